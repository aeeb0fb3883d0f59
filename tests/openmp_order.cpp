// This tells the thread sanitizer which order libgomp, which is compiled without it, gives to the threads of a parallel
// region: who begins a region comes before its threads, they come before what follows the region, and what precedes a
// barrier comes before what follows it. Programs of the preset `thread` define these functions in libgomp's place, so
// that libraries (oneDNN) call them as well, and they call libgomp's.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#define LONGSTRIDE_UNSEEN __attribute__((no_sanitize("thread")))

namespace {

// One parallel region; addresses of members name the orders.
struct Region {
  void (*body)(void*);
  void* data;
  char begin, end;
  char barrier[2];  // in turn: a thread may reach the next barrier before another has left this one, and not two
};

struct Place {
  Region* region = nullptr;
  unsigned barriers = 0;  // that this thread has passed in it
};

thread_local Place place;
char one_at_a_time;  // names the order of GOMP_atomic_start

template <class Function>
LONGSTRIDE_UNSEEN Function* of_libgomp(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

LONGSTRIDE_UNSEEN void run_in_region(void* argument) {
  auto* region = static_cast<Region*>(argument);
  const Place outer = place;
  place = {region, 0};
  __tsan_acquire(&region->begin);
  region->body(region->data);
  __tsan_release(&region->end);
  place = outer;
}

LONGSTRIDE_UNSEEN void wait_in_order(void (*wait)()) {
  Region* region = place.region;
  if (region == nullptr) return wait();
  char* order = &region->barrier[place.barriers++ % 2];
  __tsan_release(order);
  wait();
  __tsan_acquire(order);
}

}  // namespace

extern "C" {

// The linker is told to look for this name, and takes the functions below with it (cmake/rooms.cmake).
char longstride_openmp_order = 0;

LONGSTRIDE_UNSEEN void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags) {
  static auto* const real = of_libgomp(&GOMP_parallel, "GOMP_parallel");
  Region region{body, data, 0, 0, {0, 0}};
  __tsan_release(&region.begin);
  real(run_in_region, &region, threads, flags);
  __tsan_acquire(&region.end);
}

LONGSTRIDE_UNSEEN void GOMP_barrier() {
  static auto* const real = of_libgomp(&GOMP_barrier, "GOMP_barrier");
  wait_in_order(real);
}

LONGSTRIDE_UNSEEN void GOMP_loop_end() {
  static auto* const real = of_libgomp(&GOMP_loop_end, "GOMP_loop_end");
  wait_in_order(real);
}

LONGSTRIDE_UNSEEN void GOMP_atomic_start() {
  static auto* const real = of_libgomp(&GOMP_atomic_start, "GOMP_atomic_start");
  real();
  __tsan_acquire(&one_at_a_time);
}

LONGSTRIDE_UNSEEN void GOMP_atomic_end() {
  static auto* const real = of_libgomp(&GOMP_atomic_end, "GOMP_atomic_end");
  __tsan_release(&one_at_a_time);
  real();
}

}  // extern "C"
