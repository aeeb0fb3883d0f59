// What every world does by its exchanges, and the world of one process.
#include "parallel/world.h"

#include <cstring>

#include "longstride/processes.h"

namespace longstride {

namespace {

class WorldOfOne : public World {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  Ticket begin_exchange(std::span<const Piece> sends, std::span<const Piece> receives) override {
    copy_own(sends[0], receives[0]);
    return 0;
  }
  void finish(Ticket) override {}
};

std::vector<World::Piece> pieces(int size, World::Piece piece) {
  return std::vector<World::Piece>(static_cast<std::size_t>(size), piece);
}

}  // namespace

void World::copy_own(const Piece& send, const Piece& receive) {
  if (send.data != receive.data && send.bytes > 0)
    std::memcpy(receive.data, send.data, static_cast<std::size_t>(send.bytes));
}

Carrier::Ticket Carrier::begin_share(std::span<const Piece> places) {
  return begin_exchange(pieces(size(), places[static_cast<std::size_t>(rank())]), places);
}

void World::all_gather(const void* mine, std::int64_t bytes, void* all) {
  std::vector<Piece> places;
  for (int p = 0; p < size(); ++p) places.push_back({static_cast<char*>(all) + p * bytes, bytes});
  std::memmove(places[static_cast<std::size_t>(rank())].data, mine, static_cast<std::size_t>(bytes));
  finish(begin_share(places));
}

void World::broadcast(void* data, std::int64_t bytes, int root) {
  std::vector<Piece> receives = pieces(size(), {nullptr, 0});
  receives[static_cast<std::size_t>(root)] = {data, bytes};
  exchange(pieces(size(), rank() == root ? Piece{data, bytes} : Piece{}), receives);
}

int rank_of(const World& world) { return world.rank(); }
int size_of(const World& world) { return world.size(); }
std::vector<Member> members_of(const World& world) { return world.members(); }
void end_all(World& world, const std::string& sentence, int status) noexcept { world.end_all(sentence, status); }

std::vector<std::string> gather(World& world, const std::string& mine) {
  const auto size = static_cast<std::size_t>(world.size());
  std::vector<std::int64_t> lengths(size);
  const std::int64_t length = std::ssize(mine);
  world.all_gather(&length, sizeof length, lengths.data());
  std::vector<std::string> all(size);
  std::vector<World::Piece> places;
  for (std::size_t p = 0; p < size; ++p) {
    all[p] =
        p == static_cast<std::size_t>(world.rank()) ? mine : std::string(static_cast<std::size_t>(lengths[p]), ' ');
    places.push_back({all[p].data(), lengths[p]});
  }
  world.finish(world.begin_share(places));
  return all;
}

World& world_of_one() {
  static WorldOfOne world;
  return world;
}

}  // namespace longstride
