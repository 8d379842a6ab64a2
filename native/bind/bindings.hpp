// What each file of this folder adds to the extension module.
#pragma once

#include <nanobind/nanobind.h>

namespace mmunotify::bind {

void add_search(nanobind::module_& module);

}  // namespace mmunotify::bind
