// Reading. Nothing in the file is believed: each number is checked before it is used, so that a cut, damaged or foreign
// file is an error and never a read outside the map.
#include "io/safetensors.h"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "io/sha256.h"
#include "io/system.h"
#include "io/words.h"
#include "longstride/error.h"

namespace longstride {
namespace {

using nlohmann::json;

constexpr std::int64_t kLengthBytes = 8;
constexpr std::int64_t kMostHeaderBytes = 100'000'000;  // the Python package's limit
constexpr std::size_t kSha256Digits = 64;

[[noreturn]] void fail_tensor(const std::string& path, const std::string& name, const std::string& what) {
  throw_corrupt_checkpoint(path, fmt::format("is damaged: tensor \"{}\" {}", name, what));
}

// What is there and is no file is as good as damaged.
InputFile open_file(const std::string& path) {
  try {
    return InputFile(path);
  } catch (const Error& error) {
    std::error_code none;
    const std::filesystem::file_status status = std::filesystem::status(path, none);
    if (!std::filesystem::exists(status) || std::filesystem::is_regular_file(status)) throw;
    throw_corrupt_checkpoint(path, "is no file");
  }
}

// What is no safetensors file is damaged where its name says that it is one, else the wrong file.
[[noreturn]] void refuse_other(const InputFile& file) {
  constexpr const char* kWords = "is not a safetensors file";
  if (file.path().ends_with(".safetensors")) throw_corrupt_checkpoint(file.path(), kWords);
  throw_invalid(fmt::format("checkpoint \"{}\" {}", file.path(), kWords));
}

// The JSON between the length and the data.
std::string header_text(const InputFile& file) {
  if (file.size() == 0) throw_corrupt_checkpoint(file.path(), "is empty");
  if (file.size() < kLengthBytes) refuse_other(file);
  const std::vector<std::uint8_t> bytes = file.beginning(kLengthBytes + 1);
  std::uint64_t length = 0;
  for (int i = 0; i < kLengthBytes; ++i) length |= std::uint64_t{bytes[i]} << (8 * i);
  const bool brace = file.size() == kLengthBytes || bytes[kLengthBytes] == '{';
  if (length < 2 || length > kMostHeaderBytes || !brace) refuse_other(file);
  const std::int64_t end = kLengthBytes + static_cast<std::int64_t>(length);
  if (end > file.size()) {
    throw_corrupt_checkpoint(file.path(), fmt::format("ends after {} bytes, within its header of {}; it was cut short",
                                                      with_commas(file.size()), with_commas(end)));
  }
  std::string text(length, ' ');
  file.read(kLengthBytes, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return text;
}

// A whole number in [0, 2^63), or -1.
std::int64_t natural(const json& value) {
  if (!value.is_number_unsigned()) return -1;
  const auto number = value.get<std::uint64_t>();
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  return number > kMost ? -1 : static_cast<std::int64_t>(number);
}

bool is_one_bit_from(std::string_view one, std::string_view other) {
  int bits = one.size() == other.size() ? 0 : 2;
  for (std::size_t i = 0; bits < 2 && i < one.size(); ++i)
    bits += std::popcount(static_cast<unsigned char>(one[i] ^ other[i]));
  return bits == 1;
}

// begin: still counted from the end of the header.
TensorEntry read_tensor(const std::string& path, const std::string& name, const json& entry) {
  const auto field = [&](const char* key, json::value_t type) -> const json& {
    const auto found = entry.find(key);
    if (found == entry.end() || found->type() != type) fail_tensor(path, name, fmt::format("has no \"{}\"", key));
    return *found;
  };
  if (!entry.is_object()) fail_tensor(path, name, "has no description");
  TensorEntry tensor;
  tensor.name = name;
  tensor.dtype = field("dtype", json::value_t::string).get<std::string>();
  std::int64_t bytes = dtype_bytes(tensor.dtype);
  if (bytes == 0) fail_tensor(path, name, fmt::format("has dtype \"{}\", which is not known", tensor.dtype));
  bool too_large = false;
  for (const json& value : field("shape", json::value_t::array)) {
    const std::int64_t size = natural(value);
    if (size < 0) fail_tensor(path, name, "has a shape that is no list of whole numbers");
    tensor.shape.push_back(size);
    too_large = __builtin_mul_overflow(bytes, size, &bytes) || too_large;
  }
  const json& offsets = field("data_offsets", json::value_t::array);
  if (offsets.size() != 2 || natural(offsets[0]) < 0 || natural(offsets[1]) < natural(offsets[0])) {
    fail_tensor(path, name, "has no valid data_offsets");
  }
  tensor.begin = natural(offsets[0]);
  tensor.bytes = natural(offsets[1]) - tensor.begin;
  if (too_large || tensor.bytes != bytes) {
    fail_tensor(
        path, name,
        fmt::format("has {} bytes, which its shape and dtype {} do not fill", with_commas(tensor.bytes), tensor.dtype));
  }
  return tensor;
}

// Takes the header apart while it is parsed, a tensor and a text at a time: one tree of all of it would take fifteen
// times its bytes. What is nested deeper than the numbers of a shape, and lists longer than any, are refused at once.
class HeaderParts {
 public:
  HeaderParts(const std::string& path, std::map<std::string, std::string>& metadata, std::vector<TensorEntry>& tensors)
      : path_(path), metadata_(metadata), tensors_(tensors) {}

  // A json::parser_callback_t; true: `parsed` is kept in the tree. depth: 1 in the header, 2 in what describes a
  // tensor.
  bool take(int depth, json::parse_event_t event, json& parsed) {
    using Event = json::parse_event_t;
    const bool is_start = event == Event::object_start || event == Event::array_start, is_key = event == Event::key;
    if (is_start || (is_key && depth == 1)) count_ = 0;
    count_ += event == Event::value || is_key ? 1 : 0;
    if (depth > kMostDepth || (count_ > kMostTogether && !in_metadata_)) fail("header is no description of tensors");
    if (is_key && depth == 1) {
      name_ = parsed.get<std::string>();
      in_metadata_ = name_ == "__metadata__";
    } else if (in_metadata_ && depth == 1 && (event == Event::value || event == Event::array_start)) {
      fail("__metadata__ is no object");
    } else if (depth == 1 && (event == Event::value || event == Event::array_end)) {
      fail_tensor(path_, name_, "has no description");
    } else if (in_metadata_ && depth == 2) {
      return take_text(is_key, parsed);
    } else if (event == Event::object_end && depth == 1) {
      if (!in_metadata_) tensors_.push_back(read_tensor(path_, name_, parsed));
      return false;
    }
    return true;
  }

 private:
  static constexpr int kMostDepth = 3, kMostTogether = 64;
  static constexpr std::size_t kMostTexts = 1 << 16;

  // A key that is not kept keeps its value from being kept.
  bool take_text(bool is_key, const json& parsed) {
    if (is_key) {
      key_ = parsed.get<std::string>();
      return false;
    }
    if (!parsed.is_string()) fail(fmt::format("metadata \"{}\" is no text", key_));
    metadata_[key_] = parsed.get<std::string>();
    if (metadata_.size() > kMostTexts) fail(fmt::format("metadata have more than {} texts", with_commas(kMostTexts)));
    return true;
  }

  [[noreturn]] void fail(const std::string& what) const { throw_corrupt_checkpoint(path_, "is damaged: its " + what); }

  const std::string& path_;
  std::map<std::string, std::string>& metadata_;
  std::vector<TensorEntry>& tensors_;
  std::string name_, key_;
  bool in_metadata_ = false;
  int count_ = 0;  // values and keys since the innermost list or object began
};

}  // namespace

void throw_corrupt_checkpoint(const std::string& path, const std::string& what) {
  throw Error(ErrorKind::corrupt_data, fmt::format("checkpoint \"{}\" {}", path, what));
}

std::int64_t dtype_bytes(std::string_view dtype) {
  static const std::map<std::string_view, std::int64_t> kBytes = {
      {"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},  {"I32", 4},     {"I16", 2},    {"I8", 1},
      {"U64", 8}, {"U32", 4}, {"U16", 2}, {"U8", 1},   {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
  const auto found = kBytes.find(dtype);
  return found == kBytes.end() ? 0 : found->second;
}

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(open_file(path)), header_(header_text(file_)) {
  HeaderParts parts(path, metadata_, tensors_);
  const auto take = [&](int depth, json::parse_event_t event, json& parsed) {
    return parts.take(depth, event, parsed);
  };
  try {
    const json rest = json::parse(header_, take);  // nothing is kept in it
    if (header_.find('\0') != std::string::npos)   // the parser takes it for the end
      throw_corrupt_checkpoint(path, "is damaged: its header is not valid JSON");
  } catch (const json::exception&) {
    throw_corrupt_checkpoint(path, "is damaged: its header is not valid JSON");
  }
  std::sort(tensors_.begin(), tensors_.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.begin, a.bytes) < std::pair(b.begin, b.bytes);
  });
  std::int64_t at = 0;  // every byte of the data belongs to one tensor
  for (const TensorEntry& tensor : tensors_) {
    if (tensor.begin != at) fail_tensor(path, tensor.name, "does not begin where the one before it ends");
    at = tensor.begin + tensor.bytes;
  }
  const std::int64_t data_begin = kLengthBytes + static_cast<std::int64_t>(header_.size());
  if (at > file_.size() - data_begin) {
    const std::int64_t whole = std::min(at, std::numeric_limits<std::int64_t>::max() - data_begin) + data_begin;
    throw_corrupt_checkpoint(path, fmt::format("ends after {} of {} bytes; it was cut short", with_commas(file_.size()),
                                               with_commas(whole)));
  }
  if (at < file_.size() - data_begin) {
    throw_corrupt_checkpoint(path, fmt::format("is damaged: it has {} bytes, its header describes {}",
                                               with_commas(file_.size()), with_commas(data_begin + at)));
  }
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    tensors_[i].begin += data_begin;
    if (!by_name_.emplace(tensors_[i].name, i).second) fail_tensor(path, tensors_[i].name, "comes twice");
  }
}

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

const TensorEntry& SafetensorsFile::tensor(std::string_view name) const {
  const TensorEntry* found = find(name);
  if (found == nullptr) throw_corrupt_checkpoint(path(), fmt::format("has no tensor \"{}\"", name));
  return *found;
}

void SafetensorsFile::verify() const {
  const auto stored = metadata_.find("sha256");
  if (stored == metadata_.end()) {
    for (const auto& [key, value] : metadata_)
      if (is_one_bit_from(key, "sha256"))
        throw_corrupt_checkpoint(path(), fmt::format("is damaged: its metadata have \"{}\" for \"sha256\"", key));
    return;
  }
  const std::string quoted = fmt::format("\"sha256\":\"{}\"", stored->second);
  const std::size_t found = header_.find(quoted);
  bool same = found != std::string::npos && stored->second.size() == kSha256Digits;
  if (same) {
    const auto digits = static_cast<std::int64_t>(kLengthBytes + found + quoted.size() - 1 - kSha256Digits);
    Sha256 hash;
    const auto add = [&](std::span<const std::uint8_t> block) { hash.update(block); };
    file_.each_block(0, digits, add);
    hash.update(as_bytes(std::string(kSha256Digits, '0')));
    file_.each_block(digits + static_cast<std::int64_t>(kSha256Digits), size(), add);
    same = hash.hex() == stored->second;
  }
  if (!same) {
    throw_corrupt_checkpoint(
        path(),
        "is damaged: its bytes do not give the sha256 in its metadata (a program that rewrites the file must "
        "drop that key)");
  }
}

}  // namespace longstride
