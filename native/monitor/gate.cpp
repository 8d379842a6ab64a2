#include "monitor/gate.hpp"

#include <thread>

namespace mmunotify::monitor {

void Gate::wait_for_batch() const {
  const auto batch = batches.load(std::memory_order_seq_cst);
  while (working.load(std::memory_order_seq_cst) != 0 &&
         batches.load(std::memory_order_seq_cst) == batch)
    std::this_thread::yield();
}

}  // namespace mmunotify::monitor
