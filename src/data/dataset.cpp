// This reads bytes of any range across the files of a data set, and splits the row of them into parts.
#include "data/dataset.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>

#include <fmt/format.h>

#include "data/files.h"
#include "data/foreign.h"
#include "io/sha256.h"
#include "io/system.h"
#include "io/words.h"
#include "longstride/error.h"

namespace longstride {
namespace {

void check_split(const std::vector<double>& split) {
  const bool shares = split.size() == 3 && std::all_of(split.begin(), split.end(), [](double s) { return s >= 0; });
  const double sum = std::accumulate(split.begin(), split.end(), 0.0);
  if (!shares || !(std::abs(sum - 1) <= 1e-6)) {
    throw_invalid(fmt::format("data.split: needs three shares (train, valid, test) that sum to 1, got [{}]",
                              fmt::join(split, ", ")));
  }
}

std::string runs_words(const std::vector<std::string>& runs) {
  return runs.size() == 1 ? fmt::format("the run \"{}\" among the data is left out", runs.front())
                          : fmt::format("{} runs among the data are left out, \"{}\" first", runs.size(), runs.front());
}

std::string passed_words(const std::vector<Passed>& passed) {
  const auto& [path, reason] = passed.front();
  const std::string others =
      passed.size() == 1 ? "" : fmt::format(", and so are {} more", with_commas(std::ssize(passed) - 1));
  return fmt::format("\"{}\" {} and is left out{}", path, reason, others);
}

// A sentence for each reason.
std::vector<std::string> written_words(const std::vector<Passed>& written) {
  std::map<std::string, std::vector<Passed>> by_reason;
  for (const Passed& one : written) by_reason[one.reason].push_back(one);
  std::vector<std::string> sentences;
  for (const auto& [reason, passed] : by_reason) sentences.push_back(passed_words(passed));
  return sentences;
}

std::string again_words(const std::vector<std::pair<std::string, std::string>>& again) {
  const auto& [path, first] = again.front();
  const std::string others =
      again.size() == 1 ? "" : fmt::format(", and so are {} more", with_commas(std::ssize(again) - 1));
  return fmt::format(
      "\"{}\" is read again, it is the same file as \"{}\"{}: what is learned from one may be scored in "
      "the other",
      path, first, others);
}

FileList files_of(const DataConfig& config, const DatasetOptions& options) {
  return list_files(config.paths, {options.run, {options.cache, config.cache, options.other_cache}}, config.unreadable);
}

// One that is missing is said where it is opened, and has none.
std::vector<FileState> states_of(const std::vector<std::string>& files, FileState (*state)(const std::string&)) {
  std::vector<FileState> all;
  all.reserve(files.size());
  for (const std::string& file : files) {
    std::error_code error;
    all.push_back(std::filesystem::exists(file, error) ? state(file) : FileState());
  }
  return all;
}

}  // namespace

Split parse_split(const std::string& word) {
  for (const Split split : {Split::train, Split::valid, Split::test, Split::all}) {
    if (word == to_string(split)) return split;
  }
  throw_invalid(fmt::format("--split: needs train, valid, test or all, got \"{}\"", word));
}

std::string to_string(Split split) {
  switch (split) {
    case Split::train:
      return "train";
    case Split::valid:
      return "valid";
    case Split::test:
      return "test";
    case Split::all:
      break;
  }
  return "all";
}

std::string find_kind(const DataConfig& data, const std::string& run) {
  if (!data.kind.empty() || data.paths.empty()) return data.kind.empty() ? "text" : data.kind;
  return find_kind(without_companions(list_files(data.paths, {run, {data.cache}}, data.unreadable).files),
                   !data.image_size.empty());
}

std::string difference_words(const DataMark& then, const DataMark& now) {
  const auto differ = [](std::int64_t a, std::int64_t b, const char* what) {
    return fmt::format("{} {}bytes then, {} now", with_commas(a), what, with_commas(b));
  };
  if (then.bytes != now.bytes) return differ(then.bytes, now.bytes, "");
  if (then.train_bytes != now.train_bytes) return differ(then.train_bytes, now.train_bytes, "training ");
  if (then.valid_bytes != now.valid_bytes) return differ(then.valid_bytes, now.valid_bytes, "validation ");
  return fmt::format("{} bytes as then, but not the same ones", with_commas(now.bytes));
}

Dataset::Dataset(const DataConfig& config, const DatasetOptions& options) : config_(config) {
  quiet_.cache = options.cache;
  quiet_.run = options.run;
  quiet_.other_cache = options.other_cache;
  check_split(config_.split);
  if (config_.paths.empty()) throw_invalid("data.paths: no data was given; name files or folders with --data");
  std::string& kind = config_.kind;
  FileList listed = files_of(config_, quiet_);
  refused_ = std::move(listed.refused);
  std::vector<std::string>& files = listed.files;
  if (!listed.runs.empty() && options.noted) options.noted(runs_words(listed.runs));
  if (!listed.passed.empty() && options.noted) options.noted(passed_words(listed.passed));
  for (const std::string& words : written_words(listed.written))
    if (options.noted) options.noted(words);
  if (!listed.again.empty() && options.noted) options.noted(again_words(listed.again));
  if (kind != "text") files = without_companions(files);
  if (files.empty()) throw_invalid("data.paths: only CIFAR-10's descriptions are there; name its batches");
  if (kind.empty()) {
    kind = find_kind(files, !config_.image_size.empty());
    const std::string words = kind == "text" && options.noted ? no_text_words(files) : "";
    if (!words.empty()) options.noted(words);
  }
  if (kind != "text" && kind != "image" && kind != "sound")
    throw_invalid(fmt::format("data.kind: needs text, image or sound, got \"{}\"", kind));
  if (kind != "text" && config_.unreadable == Unreadable::error) refuse_empty(config_.paths);
  files_ = files;
  states_ = states_of(files, lasting_state);
  try {
    if (kind == "text") open_text(files, options);
    if (kind == "image") open_pictures(files, options);
    if (kind == "sound") open_sound(files, options);
  } catch (const Error& error) {
    if (are_wrong_files(error, files, kind)) throw_invalid(error.what());
    throw;
  }
}

ByteRange Dataset::part(Split split) const {
  const std::vector<double>& shares = config_.split;
  const std::int64_t units = size_ / unit_;
  const auto until = [&](double share) {
    return unit_ * std::clamp<std::int64_t>(std::llround(share * static_cast<double>(units)), 0, units);
  };
  // The last part that has a share ends with the data, whatever rounding left.
  std::int64_t train_end = shares[1] == 0 && shares[2] == 0 ? size_ : until(shares[0]);
  std::int64_t valid_end = shares[2] == 0 ? size_ : std::max(train_end, until(shares[0] + shares[1]));
  if (own_parts_) {
    train_end = (*own_parts_)[0];
    valid_end = (*own_parts_)[1];
  }
  switch (split) {
    case Split::train:
      return {0, train_end};
    case Split::valid:
      return {train_end, valid_end};
    case Split::test:
      return {valid_end, size_};
    case Split::all:
      break;
  }
  return {0, size_};
}

void Dataset::require_context(Split split, std::int64_t context) const {
  const std::int64_t size = part(split).size();
  if (size >= context) return;
  const std::string what = split == Split::all ? "the data has" : fmt::format("the {} part has", to_string(split));
  const std::string remedy = size > 0 && unit_ == 1 ? fmt::format("give more data or --set model.context={}", size)
                                                    : "give more data or another data.split";
  throw_invalid(fmt::format("{}: {} {} of {} bytes, less than one context of {}; {}", name_, what, with_commas(size),
                            with_commas(size_), with_commas(context), remedy));
}

const Dataset::Piece& Dataset::piece_at(std::int64_t offset) const {
  return *(std::upper_bound(pieces_.begin(), pieces_.end(), offset,
                            [](std::int64_t at, const Piece& p) { return at < p.begin; }) -
           1);
}

void Dataset::require_vocabulary(ByteRange range, std::int64_t vocabulary, const std::atomic<bool>* stop) const {
  constexpr std::int64_t kBlock = 1 << 20;
  if (vocabulary > 255) return;
  std::vector<std::uint8_t> block(static_cast<std::size_t>(std::min(kBlock, range.size())));
  for (std::int64_t at = range.begin; at < range.end; at += kBlock) {
    if (stop != nullptr && stop->load()) throw Error(ErrorKind::stopped, "data: stopped before all was looked at");
    const auto bytes = std::span(block).first(static_cast<std::size_t>(std::min(kBlock, range.end - at)));
    read(at, bytes);
    std::uint8_t largest = 0;  // of a block first: one pass without a branch
    for (const std::uint8_t byte : bytes) largest = std::max(largest, byte);
    if (largest < vocabulary) continue;
    const auto foreign =
        std::find_if(bytes.begin(), bytes.end(), [&](std::uint8_t byte) { return byte >= vocabulary; });
    const std::int64_t place = at + (foreign - bytes.begin());
    const Piece& piece = piece_at(place);
    const std::string where =
        decoded_ ? fmt::format("{}: token {} at {}", name_, *foreign, place)
                 : fmt::format("\"{}\": byte {} at {}", piece.path, *foreign, piece.first_byte + place - piece.begin);
    throw_invalid(fmt::format("{} is outside model.vocabulary, {}; other data or a larger one is needed, 256 for any",
                              where, vocabulary));
  }
}

void Dataset::read(std::int64_t offset, std::span<std::uint8_t> bytes) const {
  const auto count = static_cast<std::int64_t>(bytes.size());
  if (offset < 0 || offset > size_ || count > size_ - offset) {
    throw_invalid(fmt::format("dataset: read of {} bytes at {} lies outside {} bytes", count, offset, size_));
  }
  if (bytes.empty()) return;
  for (const Piece* piece = &piece_at(offset); !bytes.empty(); ++piece) {
    const std::int64_t within = offset - piece->begin;
    const std::size_t taken = std::min(bytes.size(), static_cast<std::size_t>(piece->size - within));
    const auto read_from = [&](const InputFile& file) { file.read(piece->first_byte + within, bytes.first(taken)); };
    if (piece->file) {
      read_from(*piece->file);
    } else {
      const InputFile file(piece->path);
      if (file.inode() != piece->inode) throw_corrupt(piece->path, "was replaced by another file while it was in use");
      read_from(file);
    }
    bytes = bytes.subspan(taken);
    offset += static_cast<std::int64_t>(taken);
  }
}

std::string Dataset::sha256(ByteRange range) const {
  std::vector<std::uint8_t> block(std::size_t{1} << 20);
  Sha256 hash;
  for (std::int64_t at = range.begin; at < range.end;) {
    const auto taken = static_cast<std::size_t>(std::min<std::int64_t>(range.end - at, 1 << 20));
    read(at, std::span(block).first(taken));
    hash.update(std::span<const std::uint8_t>(block).first(taken));
    at += static_cast<std::int64_t>(taken);
  }
  return hash.hex();
}

DataMark Dataset::mark() const {
  constexpr std::int64_t kWhole = std::int64_t{64} << 20, kBlocks = 1024, kBlock = 4096;
  DataMark mark{size_, part(Split::train).size(), part(Split::valid).size(), {}};
  if (size_ <= kWhole) {
    mark.sha256 = sha256({0, size_});
    return mark;
  }
  std::vector<std::uint8_t> block(kBlock);
  Sha256 hash;
  for (std::int64_t i = 0; i < kBlocks; ++i) {
    read((size_ - kBlock) / (kBlocks - 1) * i + (size_ - kBlock) % (kBlocks - 1) * i / (kBlocks - 1), block);
    hash.update(block);
  }
  mark.sha256 = hash.hex();
  return mark;
}

std::string Dataset::change_since(const DataMark& then) const {
  try {
    std::vector<std::string> files = files_of(config_, quiet_).files;
    if (config_.kind != "text") files = without_companions(files);
    if (decoded_ && files != files_)
      return files.size() == files_.size()
                 ? "other files than then"
                 : fmt::format("{} then, {} now", counted(std::ssize(files_), "file"), with_commas(std::ssize(files)));
    if (files == files_ && states_of(files, file_state) == states_) return "";
    if (decoded_) {
      const std::string& folder = config_.cache.empty() ? quiet_.cache : config_.cache;
      return is_decoded(folder, decoded_->recipe, decoded_->sources) ? "" : "not the same bytes as then";
    }
    const DataMark now = Dataset(config_, quiet_).mark();
    return now == then ? "" : difference_words(then, now);
  } catch (const Error& error) {
    return error.what();
  }
}

std::string Dataset::identity() const { return describe_ + " " + mark().sha256; }

}  // namespace longstride
