// What native/bind/uring.cpp adds to the module _monitor.
#pragma once

#include <nanobind/nanobind.h>

namespace mmunotify::bind {

void add_uring(nanobind::module_& module);

}  // namespace mmunotify::bind
