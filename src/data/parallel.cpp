// This deals tasks out to threads and throws the first error, by the order of tasks.
#include "data/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace longstride {

void in_parallel(std::int64_t count, const std::function<void(std::int64_t index)>& task) {
  std::atomic<std::int64_t> next = 0;
  std::atomic<bool> failed = false;
  std::mutex guard;
  std::int64_t lowest = count;
  std::exception_ptr thrown;
  const auto work = [&] {
    while (!failed) {
      const std::int64_t index = next++;
      if (index >= count) return;
      try {
        task(index);
      } catch (...) {
        failed = true;
        const std::lock_guard lock(guard);
        if (index < lowest) thrown = std::current_exception();
        lowest = std::min(lowest, index);
      }
    }
  };
  const std::int64_t cores = std::max<std::int64_t>(1, std::thread::hardware_concurrency());
  {
    std::vector<std::jthread> others;
    for (std::int64_t i = 1; i < std::min(cores, count); ++i) others.emplace_back(work);
    work();
  }
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace longstride
