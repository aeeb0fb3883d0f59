// Joining the processes that a launcher started, and leaving them.
#include "world.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdlib>
#include <utility>

#include "held.h"
#include "longstride/launch.h"
#include "longstride/origin.h"
#include "paths.h"

namespace longstride::python {
namespace {

using namespace nb::literals;

// From now on this process computes on its share of the cores.
WorldHandle join() {
  auto joined = shared_until_fork<Joined>();
  Errand errand;
  errand.run([&] {
    const Launch launch = find_launch(std::getenv);
    if (launch.place.size == 1) return;
    Joining joining;
    joining.build = origin_words(this_origin(""));
    joining.stop = errand.stop();
    joined->world = join_launched(launch, joining);
    joined->rank = rank_of(*joined->world);
    joined->size = size_of(*joined->world);
    set_threads_of_process(share_of_cores(*joined->world, std::getenv));
  });
  return {std::move(joined)};
}

// Waits until all leave.
void leave(const WorldHandle& self) {
  if (self.joined->left || getpid() != self.joined->maker) return;
  const InWorld alone(&self);
  self.joined->left = true;
  Errand errand;
  errand.run([&] { self.joined->world.reset(); });
}

void end(const WorldHandle& self, const std::string& sentence) {
  const Unlocked unlocked;
  if (self.joined->world) end_all(*self.joined->world, sentence, 1);
}

nb::tuple hosts(const WorldHandle& self) {
  nb::list names;
  if (self.joined->world)
    for (const Member& member : members_of(*self.joined->world)) names.append(said(member.host));
  return nb::tuple(names);
}

}  // namespace

void bind_world(nb::module_& module) {
  nb::class_<WorldHandle>(module, "World")
      .def_prop_ro("rank", [](const WorldHandle& self) { return self.joined->rank; })
      .def_prop_ro("size", [](const WorldHandle& self) { return self.joined->size; })
      .def("hosts", hosts)
      .def("leave", leave)
      .def("end", end, "sentence"_a);
  module.def("join_world", join);
}

}  // namespace longstride::python
