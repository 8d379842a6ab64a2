// The io_uring as Python sees it; what it is for is said in mmunotify.live.devices.io_uring.
#include "bind/uring.hpp"

#include <nanobind/stl/shared_ptr.h>

#include <cerrno>
#include <memory>
#include <system_error>

#include "bind/unlocked.hpp"
#include "uring/uring.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace mmunotify::bind {
namespace {

std::shared_ptr<uring::Uring> open(unsigned buffers) {
  try {
    return std::make_shared<uring::Uring>(buffers);
  } catch (const std::system_error& error) {
    errno = error.code().value();
    PyErr_SetFromErrno(PyExc_OSError);
    throw nb::python_error();
  }
}

}  // namespace

void add_uring(nb::module_& module) {
  using uring::Uring;
  nb::class_<Uring>(module, "Uring", "An io_uring with a table of registered buffers.")
      .def(nb::new_(&open), "buffers"_a)
      .def("update", [](Uring& u, unsigned slot, std::uintptr_t address, std::size_t length) {
        return unlocked([&] { return static_cast<long>(u.update(slot, address, length)); });
      }, "slot"_a, "address"_a, "length"_a, "Pin memory as a buffer, or none; 0 or -errno.")
      .def("transfer", [](Uring& u, bool write, int fd, std::uintptr_t address, std::size_t length,
                          std::int64_t offset, int slot) {
        return unlocked([&] { return u.transfer(write, fd, address, length, offset, slot); });
      }, "write"_a, "fd"_a, "address"_a, "length"_a, "offset"_a, "slot"_a,
         "Read or write through a buffer, or without one (-1); bytes or -errno.");
}

}  // namespace mmunotify::bind
