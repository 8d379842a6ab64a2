// The hot path of a registration cache: a lookup that hits, and the release of what it gave.
//
// Types of the C API rather than nanobind's, since these two calls are all that a hit costs: the
// interpreter calls a function of one argument at once, and after the system call of a lookup each
// frame to return from is dear (monitor/gate.hpp).
#include "bind/hit.hpp"

#include <structmember.h>

#include <cstddef>
#include <stdexcept>
#include <utility>

namespace nb = nanobind;

namespace mmunotify::bind {

Table::Table(std::shared_ptr<monitor::Space> space, std::size_t capacity, bool whole)
    : space_(std::move(space)), table_(space_->gate, space_->sections, capacity, whole) {
  if (!space_->attach(&table_)) throw std::runtime_error("a space has 64 tables at most");
}

Table::~Table() { space_->detach(&table_); }

namespace {

using monitor::Range;

monitor::Table* table_of(PyObject* object) {
  try {
    return &*nb::cast<Table&>(nb::handle(object));
  } catch (const nb::cast_error&) {
    PyErr_SetString(PyExc_TypeError, "a Table is wanted");
    return nullptr;
  }
}

template <typename Self>
Self* as(PyObject* object) {
  return reinterpret_cast<Self*>(object);
}

void keep(PyObject*& place, PyObject* object) {
  PyObject* before = std::exchange(place, Py_NewRef(object));
  Py_XDECREF(before);
}

void free_object(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  const auto release = reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free));
  release(self);
  Py_DECREF(type);
}

// -- lookups ---------------------------------------------------------------------------------------

struct Lookup {
  PyObject_HEAD
  PyObject* owner;  // of the table
  monitor::Table* table;
  PyObject* registrations;  // a list, by slot
  char distrusts;
};

// The addresses of a tuple (address, length); false if it is anything else, or nonsense.
bool span_of(PyObject* pair, Range& range) {
  if (PyTuple_Size(pair) != 2) return false;
  range.start = PyLong_AsSize_t(PyTuple_GetItem(pair, 0));
  const std::size_t length = PyLong_AsSize_t(PyTuple_GetItem(pair, 1));
  range.end = range.start + length;
  return PyErr_Occurred() == nullptr && range.start > 0 && range.end > range.start;
}

bool buffer_of(PyObject* object, Range& range) {
  if (PyByteArray_Check(object)) return false;  // it may move: refused by whoever is called instead
  Py_buffer view;
  if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) != 0) return false;
  range.start = reinterpret_cast<std::uintptr_t>(view.buf);
  range.end = range.start + static_cast<std::uintptr_t>(view.len);
  PyBuffer_Release(&view);
  return true;
}

PyObject* get(PyObject* self, PyObject* memory) {
  const auto* lookup = as<Lookup>(self);
  Range range{};
  const bool asks = lookup->distrusts == 0 && lookup->table != nullptr;
  if (asks && (PyTuple_CheckExact(memory) ? span_of(memory, range) : buffer_of(memory, range))) {
    const std::int64_t slot = lookup->table->hit(range);
    if (slot >= 0) return Py_NewRef(PyList_GetItem(lookup->registrations, slot));
  }
  PyErr_Clear();
  return PyObject_CallMethod(self, "_otherwise", "(O)", memory);
}

int init_lookup(PyObject* self, PyObject* arguments, PyObject*) {
  PyObject *owner = nullptr, *registrations = nullptr;
  auto* lookup = as<Lookup>(self);
  if (PyArg_ParseTuple(arguments, "OO!:Lookup", &owner, &PyList_Type, &registrations) == 0) return -1;
  monitor::Table* table = table_of(owner);
  if (table == nullptr) return -1;
  keep(lookup->owner, owner);
  keep(lookup->registrations, registrations);
  lookup->table = table;
  return 0;
}

int traverse_lookup(PyObject* self, visitproc visit, void* arg) {
  const auto* lookup = as<Lookup>(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(lookup->owner);
  Py_VISIT(lookup->registrations);
  return 0;
}

int clear_lookup(PyObject* self) {
  auto* lookup = as<Lookup>(self);
  lookup->table = nullptr;
  Py_CLEAR(lookup->registrations);
  Py_CLEAR(lookup->owner);
  return 0;
}

void free_lookup(PyObject* self) {
  PyObject_GC_UnTrack(self);
  clear_lookup(self);
  free_object(self);
}

PyMethodDef lookup_methods[] = {
    {"get", get, METH_O, "get($self, memory, /)\n--\n\nReturn what is registered for memory."},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef lookup_members[] = {
    {"distrusts", T_BOOL, offsetof(Lookup, distrusts), 0, "Whether nothing is a hit at once."},
    {nullptr, 0, 0, 0, nullptr}};

// -- holders ---------------------------------------------------------------------------------------

struct Held {
  PyObject_HEAD
  PyObject* owner;  // of the table
  monitor::Table* table;
  long long slot;
  char retired;
};

PyObject* release(PyObject* self, PyObject*) {
  const auto* held = as<Held>(self);
  if (held->retired == 0 && held->slot >= 0 &&
      !held->table->leave(static_cast<std::uint32_t>(held->slot)))
    return Py_NewRef(Py_None);
  return PyObject_CallMethod(self, "_left", nullptr);
}

PyObject* enter(PyObject* self, PyObject*) { return Py_NewRef(self); }

PyObject* exit(PyObject* self, PyObject* const*, Py_ssize_t) { return release(self, nullptr); }

int init_held(PyObject* self, PyObject* arguments, PyObject*) {
  PyObject* owner = nullptr;
  auto* held = as<Held>(self);
  long long slot = -1;
  if (PyArg_ParseTuple(arguments, "OL:Held", &owner, &slot) == 0) return -1;
  monitor::Table* table = table_of(owner);
  if (table == nullptr) return -1;
  keep(held->owner, owner);
  held->table = table;
  held->slot = slot;
  return 0;
}

void free_held(PyObject* self) {
  Py_CLEAR(as<Held>(self)->owner);
  free_object(self);
}

PyMethodDef held_methods[] = {
    {"release", release, METH_NOARGS, "release($self, /)\n--\n\nGive it back; once for each `get`."},
    {"__enter__", enter, METH_NOARGS, "__enter__($self, /)\n--\n\n"},
    {"__exit__", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(exit)), METH_FASTCALL,
     "__exit__($self, /, *_)\n--\n\n"},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef held_members[] = {
    {"slot", T_LONGLONG, offsetof(Held, slot), 0, "The place in the table, or -1."},
    {"retired", T_BOOL, offsetof(Held, retired), 0, "Whether it was given back for good."},
    {nullptr, 0, 0, 0, nullptr}};

// -- types -----------------------------------------------------------------------------------------

constexpr unsigned inheritable = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE;

void add_type(nb::module_& module, PyType_Spec spec) {
  const nb::object type = nb::steal(PyType_FromSpec(&spec));
  if (!type.is_valid()) throw nb::python_error();
  module.attr(type.attr("__name__")) = type;
}

void* slot(auto* function) { return reinterpret_cast<void*>(function); }

}  // namespace

void add_hit(nb::module_& module) {
  static PyType_Slot lookup[] = {
      {Py_tp_doc, const_cast<char*>("Finds what a list holds for the slots of a table.")},
      {Py_tp_init, slot(init_lookup)},
      {Py_tp_dealloc, slot(free_lookup)},
      {Py_tp_traverse, slot(traverse_lookup)},
      {Py_tp_clear, slot(clear_lookup)},
      {Py_tp_methods, lookup_methods},
      {Py_tp_members, lookup_members},
      {0, nullptr}};
  add_type(module, {"mmunotify._monitor.Lookup", sizeof(Lookup), 0,
                    inheritable | Py_TPFLAGS_HAVE_GC, lookup});
  static PyType_Slot held[] = {
      {Py_tp_doc, const_cast<char*>("A slot of a table, for users that leave one by one.")},
      {Py_tp_init, slot(init_held)},
      {Py_tp_dealloc, slot(free_held)},
      {Py_tp_methods, held_methods},
      {Py_tp_members, held_members},
      {0, nullptr}};
  add_type(module, {"mmunotify._monitor.Held", sizeof(Held), 0, inheritable, held});
}

}  // namespace mmunotify::bind
