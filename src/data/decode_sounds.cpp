// This decodes sound files one after another into mu-law codes, mixed, resampled and amplified.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "data/decode.h"
#include "data/files.h"
#include "data/mu_law.h"
#include "io/resample.h"
#include "io/sound.h"
#include "io/words.h"
#include "longstride/error.h"

namespace longstride {
namespace {

constexpr std::int64_t kBlock = 1 << 16;  // samples read at a time, at most

using Codes = std::span<const std::uint8_t>;

// Samples to codes for `out`; what lay beyond full scale is counted.
class CodeWriter {
 public:
  CodeWriter(double gain_db, std::function<void(Codes)> out)
      : out_(std::move(out)), factor_(std::pow(10.0, gain_db / 20)) {}

  void append(std::span<const double> samples) {
    codes_.clear();
    for (const double sample : samples) {
      const double x = factor_ * sample;
      clipped += x > 1 || x < -1 ? 1 : 0;
      codes_.push_back(mu_law_code(x));
    }
    out_(codes_);
    written += static_cast<std::int64_t>(codes_.size());
  }

  std::int64_t written = 0, clipped = 0;

 private:
  std::function<void(Codes)> out_;
  double factor_;
  std::vector<std::uint8_t> codes_;
};

// From a file's rate; none where it is the configured one.
std::optional<Resampler> make_resampler(const std::string& path, std::int64_t from, std::int64_t to) {
  if (from == to) return std::nullopt;
  const double low = static_cast<double>(std::min(from, to)), high = static_cast<double>(std::max(from, to));
  if (high > low * Resampler::kMostRatio) {
    throw_corrupt(path, fmt::format("has {} samples a second: too far from data.sample_rate={} to be resampled",
                                    with_commas(from), to));
  }
  return std::optional<Resampler>(std::in_place, static_cast<double>(from), static_cast<double>(to));
}

// Samples read at a time, so that what they become at another rate is not many more than were asked for.
std::size_t block_size(std::int64_t from, std::int64_t to) {
  constexpr std::int64_t kMostMade = std::int64_t{1} << 20;
  return static_cast<std::size_t>(std::clamp<std::int64_t>(kMostMade * from / to, 1, kBlock));
}

// Reads until the end, or until `most` codes are there.
void decode(const std::string& path, std::int64_t rate, std::int64_t most, const std::atomic<bool>* stop,
            CodeWriter& codes) {
  SoundReader reader(path);
  std::optional<Resampler> resampler = make_resampler(path, reader.rate(), rate);
  const std::int64_t before = codes.written;
  const auto append = [&](std::span<const double> samples) {
    const auto wanted = static_cast<std::uint64_t>(most - (codes.written - before));
    codes.append(samples.first(std::min<std::uint64_t>(samples.size(), wanted)));
  };
  std::vector<double> block(block_size(reader.rate(), rate));
  for (std::size_t count; codes.written - before < most && (count = reader.read(block)) > 0;) {
    if (stop != nullptr && stop->load()) throw Error(ErrorKind::stopped, "data: stopped before all was decoded");
    const std::span<const double> samples(block.data(), count);
    if (resampler) {
      resampler->feed(samples, append);
    } else {
      append(samples);
    }
  }
  if (resampler) resampler->finish(append);
  if (codes.written == before && most > 0) throw_corrupt(path, "holds no samples");
}

// What can be said against a file without decoding it.
void require_sound(const std::string& path, std::int64_t rate) {
  SoundReader reader(path);
  make_resampler(path, reader.rate(), rate);
  double sample = 0;
  if (reader.read({&sample, 1}) == 0) throw_corrupt(path, "holds no samples");
}

// What an error of reading one of several files says where the file does not claim to be sound: it was named wrongly.
[[noreturn]] void rethrow_of(const Error& error, const std::string& path) {
  if (are_wrong_files(error, {path}, "sound")) throw_invalid(error.what());
  throw Error(error);
}

bool is_left_out(const Error& error, const DataConfig& config) {
  return config.unreadable == Unreadable::skip && error.kind() == ErrorKind::corrupt_data;
}

}  // namespace

std::vector<std::uint8_t> decode_sound(const std::string& path, const DataConfig& config, std::int64_t most) {
  std::vector<std::uint8_t> all;
  CodeWriter codes(config.gain, [&](Codes part) { all.insert(all.end(), part.begin(), part.end()); });
  decode(path, config.sample_rate, most, nullptr, codes);
  all.resize(static_cast<std::size_t>(std::min(most, codes.written)));
  return all;
}

std::int64_t count_sound(const std::vector<std::string>& files, const DataConfig& config, std::int64_t most) {
  CodeWriter codes(config.gain, [](Codes) {});
  std::string reason;
  for (const std::string& path : files) {
    const std::int64_t written = codes.written;
    try {
      if (written < most) decode(path, config.sample_rate, most - written, nullptr, codes);
      if (written >= most) require_sound(path, config.sample_rate);
    } catch (const Error& error) {
      if (!is_left_out(error, config)) rethrow_of(error, path);
      if (reason.empty()) reason = error.what();
      codes.written = written;
    }
  }
  if (codes.written > 0) return codes.written;
  throw Error(ErrorKind::corrupt_data, fmt::format("nothing could be read: {}", reason));
}

Decoding decode_sounds(const std::vector<std::string>& files, const DataConfig& config, const std::atomic<bool>* stop,
                       AtomicFile& out) {
  Decoding decoding;
  CodeWriter codes(config.gain, [&](Codes part) { out.append(part); });
  for (const std::string& path : files) {
    const std::int64_t written = codes.written, clipped = codes.clipped;
    try {
      decode(path, config.sample_rate, std::numeric_limits<std::int64_t>::max(), stop, codes);
    } catch (const Error& error) {
      if (!is_left_out(error, config)) rethrow_of(error, path);
      decoding.left_out.push_back({path, error.what()});
      out.shorten(written);
      codes.written = written;
      codes.clipped = clipped;
    }
  }
  if (codes.clipped > 0) {
    decoding.notes.push_back(fmt::format("{} of {} samples lay beyond full scale and were clipped",
                                         with_commas(codes.clipped), with_commas(codes.written)));
  }
  return decoding;
}

}  // namespace longstride
