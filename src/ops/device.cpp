// A device in one word.
#include <charconv>

#include "longstride/config.h"

namespace longstride {

namespace {

const std::string kCard = "cuda:";
constexpr std::size_t kMostDigits = 4;

}  // namespace

std::optional<Device> read_device(const std::string& word) {
  if (word == "auto") return Device::automatic;
  if (word == "cpu") return Device::cpu;
  if (word == "cuda") return Device::cuda;
  if (!word.starts_with(kCard) || word.size() > kCard.size() + kMostDigits) return std::nullopt;
  Device device = Device::cuda;
  const char *const begin = word.data() + kCard.size(), *const end = word.data() + word.size();
  const std::from_chars_result read = std::from_chars(begin, end, device.card);
  if (begin == end || *begin == '-' || read.ptr != end) return std::nullopt;
  return device;
}

std::string to_string(const Device& device) {
  if (device.kind == Device::automatic) return "auto";
  if (device.kind == Device::cpu) return "cpu";
  return device.card == 0 ? "cuda" : kCard + std::to_string(device.card);
}

}  // namespace longstride
