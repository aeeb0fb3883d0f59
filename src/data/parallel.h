// Independent tasks on several threads.
#pragma once

#include <cstdint>
#include <functional>

namespace longstride {

// Runs task(0) .. task(count - 1), taken in this order, on as many threads as there are cores; returns when all have
// ended. Where tasks throw, no more are taken and the exception of the lowest of them is thrown on.
void in_parallel(std::int64_t count, const std::function<void(std::int64_t index)>& task);

}  // namespace longstride
