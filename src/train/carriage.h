// How a backend's memory goes between the processes that train: straight by the world where it is the host's; else by
// the backend's own carrier where all processes have one; else through the host's memory, by any world. The bytes that
// arrive are the same. Ours.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ops/backend.h"
#include "parallel/world.h"

namespace longstride {

class Carriage {
 public:
  // All of `world` make one; it and the backend outlive this.
  Carriage(Backend& backend, World& world);

  Carrier& carrier() { return own_ ? *own_ : world_; }
  // Where it goes through the host's memory, which takes time: that, and why, as a sentence without its end; else
  // empty.
  const std::string& detour() const { return detour_; }
  // Before memory is given back that may still be on its way, as it is where an error ends a step.
  void end() { own_.reset(); }

 private:
  World& world_;
  std::unique_ptr<Carrier> own_;  // none: the world itself
  std::string detour_;
};

// Through the host's memory, which it takes as much of as is on its way, once for all exchanges that follow.
std::unique_ptr<Carrier> carrier_through_host(Backend& backend, World& world);

}  // namespace longstride
