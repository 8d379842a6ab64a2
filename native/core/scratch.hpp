// Decides whether a program can see what an earlier step left in a scratch slot.
#pragma once

#include "core/program.hpp"

namespace mmunotify::core {

// Returns whether some step or predicate may read a scratch slot before it has written it. Such
// a program reads 0 there; for all others the clearing before every step is saved.
bool reads_fresh_scratch(const Program& program);

}  // namespace mmunotify::core
