#include "monitor/forking.hpp"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <stdexcept>

#include "monitor/space.hpp"

namespace mmunotify::monitor {
namespace {

constexpr std::size_t most = 256;

// Without locks, for the sake of the child; zero-initialised and never destroyed.
std::array<std::atomic<Space*>, most> spaces;
std::array<std::atomic<int>, most> fds;  // each plus 1, so that 0 is none

void child() {
  for (auto& fd : fds)
    if (const int found = fd.exchange(0); found != 0) close(found - 1);
  for (auto& place : spaces)
    if (Space* space = place.load()) space->start_anew_in_child();
}

template <typename Value>
bool put(std::array<std::atomic<Value>, most>& places, Value value) {
  for (auto& place : places) {
    Value none{};
    if (place.compare_exchange_strong(none, value)) return true;
  }
  return false;
}

template <typename Value>
void take(std::array<std::atomic<Value>, most>& places, Value value) {
  for (auto& place : places) {
    Value expected = value;
    if (place.compare_exchange_strong(expected, Value{})) return;
  }
}

}  // namespace

void watch_forks_of(Space* space) {
  static const int installed = pthread_atfork(nullptr, nullptr, child);
  if (installed != 0 || !put(spaces, space)) throw std::runtime_error("256 address spaces are alive in this process, which is the most");
}

void forget_forks_of(Space* space) { take(spaces, space); }

void close_in_children(int fd) { put(fds, fd + 1); }

void keep_in_children(int fd) { take(fds, fd + 1); }

}  // namespace mmunotify::monitor
