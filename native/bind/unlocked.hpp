// Runs something without the interpreter's lock, and survives the end of the interpreter.
//
// A daemon thread that asks for the lock after the interpreter has begun to end is ended by
// `pthread_exit` (before Python 3.14), which unwinds C++ frames that must not be unwound and aborts
// the process. So once `set_closing` was called, by an exit handler, threads other than the main one
// stop here for good, as they do in Python 3.14 everywhere.
#pragma once

#include <Python.h>
#include <unistd.h>

#include <atomic>

namespace mmunotify::bind {

inline std::atomic<bool> closing{false};
inline std::atomic<int> without_lock{0};

// Called with the lock held, on the main thread.
inline void set_closing() {
  closing.store(true);
  // Those that ask for the lock already get it as long as it is given away here.
  for (int round = 0; round < 1000 && without_lock.load() > 0; ++round) {
    PyThreadState* state = PyEval_SaveThread();
    usleep(1000);
    PyEval_RestoreThread(state);
  }
}

template <typename Work>
long unlocked(Work&& work) {
  without_lock.fetch_add(1);
  PyThreadState* state = PyEval_SaveThread();
  const long result = work();
  if (closing.load() && getpid() != gettid()) {
    without_lock.fetch_sub(1);
    for (;;) pause();
  }
  PyEval_RestoreThread(state);
  without_lock.fetch_sub(1);
  return result;
}

}  // namespace mmunotify::bind
