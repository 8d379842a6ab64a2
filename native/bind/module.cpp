#include "bindings.hpp"

#ifndef MMUNOTIFY_VERSION
#define MMUNOTIFY_VERSION "0"
#endif

NB_MODULE(_core, module) {
  module.doc() = "The native part of mmunotify.";
  module.attr("version") = MMUNOTIFY_VERSION;
  mmunotify::bind::add_search(module);
}
