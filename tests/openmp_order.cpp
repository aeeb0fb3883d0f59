// This tells the thread sanitizer which order libgomp, which is compiled without it, gives to the threads of a parallel
// region: who begins a region comes before its threads, they come before what follows the region, and what precedes a
// barrier comes before what follows it. The linker puts these functions in place of libgomp's (cmake/rooms.cmake).
#include <sanitizer/tsan_interface.h>

namespace {

// One parallel region; addresses of members name the orders.
struct Region {
  void (*body)(void*);
  void* data;
  char begin, barrier, end;
};

thread_local Region* region_of_thread = nullptr;

__attribute__((no_sanitize("thread"))) void run_in_region(void* argument) {
  auto* region = static_cast<Region*>(argument);
  Region* outer = region_of_thread;
  region_of_thread = region;
  __tsan_acquire(&region->begin);
  region->body(region->data);
  __tsan_release(&region->end);
  region_of_thread = outer;
}

template <class Wait>
__attribute__((no_sanitize("thread"))) void wait_in_order(const Wait& wait) {
  Region* region = region_of_thread;
  if (region != nullptr) __tsan_release(&region->barrier);
  wait();
  if (region != nullptr) __tsan_acquire(&region->barrier);
}

}  // namespace

extern "C" {

void __real_GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags);
void __real_GOMP_barrier();
void __real_GOMP_loop_end();

__attribute__((no_sanitize("thread"))) void __wrap_GOMP_parallel(void (*body)(void*), void* data, unsigned threads,
                                                                 unsigned flags) {
  Region region{body, data, 0, 0, 0};
  __tsan_release(&region.begin);
  __real_GOMP_parallel(run_in_region, &region, threads, flags);
  __tsan_acquire(&region.end);
}

void __wrap_GOMP_barrier() { wait_in_order(__real_GOMP_barrier); }
void __wrap_GOMP_loop_end() { wait_in_order(__real_GOMP_loop_end); }

}  // extern "C"
