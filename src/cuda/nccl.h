// Memory of cards between processes by NCCL, which takes it from card to card. It carries and adds nothing. A build has
// it where there is NCCL's header; the library is looked for when processes meet, as it is large and no part of CUDA.
#pragma once

#include <memory>
#include <string>

#include "cuda/card.h"
#include "parallel/world.h"

namespace longstride::cuda {

// Why this build or this machine cannot, a sentence without its end; empty where it can.
std::string why_no_nccl();

// Of this card's memory; both outlive it. All of `world` call it, each with a card of its own. Error unavailable.
std::unique_ptr<Carrier> make_nccl_carrier(Card& card, World& world);

}  // namespace longstride::cuda
