// How a Dataset comes by its pieces: text as it lies, pictures and sound decoded.
#include <sys/resource.h>

#include <algorithm>

#include <fmt/format.h>

#include "data/dataset.h"
#include "data/decode.h"
#include "data/picture_files.h"
#include "io/words.h"
#include "longstride/error.h"

namespace longstride {
namespace {

// A folder may have more files than a process may hold open; half of those are left to others.
std::size_t most_open_files() {
  constexpr std::size_t kMost = 16384;
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return static_cast<std::size_t>(std::min<rlim_t>(limit.rlim_cur / 2, kMost));
}

// Of the files that were left out: those whose reason is told, and those that are named after them.
constexpr std::size_t kMostReasons = 5, kMostNames = 100;

std::string name_of(const std::vector<std::string>& files) {
  const std::string first = fmt::format("\"{}\"", files.front());
  return files.size() == 1 ? first : fmt::format("{} and {} more", first, files.size() - 1);
}

// A decoding of which nothing is left is an error, and leaves no file.
Decoding require_some(Decoding decoding, std::int64_t count) {
  if (static_cast<std::int64_t>(decoding.left_out.size()) < count) return decoding;
  throw Error(ErrorKind::corrupt_data, fmt::format("nothing could be read: {}", decoding.left_out.front().reason));
}

// "2 files", "1 folder and 2 files".
std::string left_out_count(const std::vector<LeftOut>& all) {
  const auto folders = std::count_if(all.begin(), all.end(), [](const LeftOut& one) { return one.folder; });
  const auto files = std::ssize(all) - folders;
  if (folders == 0) return counted(files, "file");
  return counted(folders, "folder") + (files == 0 ? "" : " and " + counted(files, "file"));
}

std::string left_out_words(const std::vector<LeftOut>& files) {
  std::string words = left_out_count(files) + (files.size() == 1 ? " was left out because it cannot be read: "
                                                                 : " were left out because they cannot be read: ");
  for (std::size_t i = 0; i < std::min(files.size(), kMostReasons); ++i) words += (i > 0 ? "; " : "") + files[i].reason;
  for (std::size_t i = kMostReasons; i < std::min(files.size(), kMostNames); ++i) {
    words += fmt::format("{} \"{}\"", i == kMostReasons ? "; likewise" : ",", files[i].path);
  }
  return files.size() <= kMostNames ? words : words + fmt::format(" and {} more", files.size() - kMostNames);
}

std::string empty_words(const std::vector<std::string>& files) {
  return fmt::format("\"{}\" is empty{}: nothing is learned from {}", files.front(),
                     files.size() == 1 ? "" : fmt::format(", and so are {} more", with_commas(std::ssize(files) - 1)),
                     files.size() == 1 ? "it" : "them");
}

std::string duration_words(std::int64_t samples, std::int64_t rate) {
  const std::int64_t seconds = (samples + rate / 2) / rate;
  return fmt::format("{} min {:02} s", with_commas(seconds / 60), seconds % 60);
}

}  // namespace

void Dataset::add_piece(const std::string& path, std::int64_t first_byte) {
  InputFile file(path);
  if (file.size() <= first_byte) return;
  Piece& piece = pieces_.emplace_back();
  piece.path = path;
  piece.begin = size_;
  piece.size = file.size() - first_byte;
  piece.first_byte = first_byte;
  size_ += piece.size;
  piece.inode = file.inode();
  if (pieces_.size() <= most_open_files()) piece.file = std::move(file);
}

void Dataset::open_text(const std::vector<std::string>& files, const DatasetOptions& options) {
  std::vector<std::string> named, empty;
  for (const std::string& path : files) {
    add_piece(path, 0);
    (pieces_.size() > named.size() ? named : empty).push_back(path);
  }
  if (size_ == 0) {
    throw_invalid(files.size() == 1 ? fmt::format("\"{}\" is empty; name a file with data", files.front())
                                    : fmt::format("\"{}\" and {} more files are all empty; name files with data",
                                                  files.front(), files.size() - 1));
  }
  if (!empty.empty() && options.noted) options.noted(empty_words(empty));
  name_ = name_of(named);
  describe_ = fmt::format("{}, {}", counted(std::ssize(named), "file"), counted(size_, "byte"));
  settle({}, options);
}

DecodedPlace Dataset::place(const DatasetOptions& options) const {
  const std::string folder = config_.cache.empty() ? options.cache : config_.cache;
  if (folder.empty()) throw_invalid("data.cache: needs a folder for decoded pictures and sound");
  return {folder, options.decoding ? options.decoding : options.noted};
}

DecodedFile Dataset::decoded_by(std::string recipe, const std::vector<std::string>& sources,
                                const DatasetOptions& options, const std::function<Decoding(AtomicFile& out)>& decode) {
  DecodedFile decoded = open_or_decode(place(options), recipe, sources, decode);
  add_piece(decoded.path, 0);
  decoded_ = Decoded{std::move(recipe), sources};
  return decoded;
}

// Says what there is to say of a decoding.
void Dataset::settle(const Decoding& decoding, const DatasetOptions& options) {
  std::vector<LeftOut> left_out = refused_;
  left_out.insert(left_out.end(), decoding.left_out.begin(), decoding.left_out.end());
  if (!left_out.empty()) {
    describe_ += fmt::format(", {} left out", left_out_count(left_out));
    if (options.noted) options.noted(left_out_words(left_out));
  }
  for (const std::string& note : decoding.notes) {
    if (options.noted) options.noted(note);
  }
}

void Dataset::open_pictures(const std::vector<std::string>& files, const DatasetOptions& options) {
  PictureFiles pictures = find_pictures(files, config_);
  const PictureShape& shape = pictures.shape;
  if (options.model != nullptr) check_fit(shape, *options.model, options.has_weights);
  unit_ = shape.bytes();
  name_ = name_of(files);
  config_.image_size = {shape.height, shape.width};
  config_.channels = shape.channels;
  Decoding decoding = pictures.found;
  const bool as_they_lie = std::all_of(pictures.files.begin(), pictures.files.end(), [&](const PictureFile& file) {
    return file.form == PictureFile::Form::array && file.shape == shape;
  });
  if (as_they_lie) {
    for (const PictureFile& file : pictures.files) add_piece(file.path, file.first_byte);
  } else if (options.undecoded_tokens > 0) {
    size_ = pictures.count() * unit_;
    readable_ = false;
  } else {
    std::vector<std::string> sources;
    for (const PictureFile& file : pictures.files) sources.push_back(file.path);
    const bool skip = config_.unreadable == Unreadable::skip;
    const std::string recipe = fmt::format("upright pictures {}{}", shape.words(), skip ? " skip" : "");
    const DecodedFile decoded = decoded_by(recipe, sources, options, [&](AtomicFile& out) {
      return require_some(decode_pictures(pictures, config_.unreadable, options.stop, out), pictures.count());
    });
    decoding.left_out.insert(decoding.left_out.end(), decoded.decoding.left_out.begin(),
                             decoded.decoding.left_out.end());
  }
  if (pictures.cifar) {
    std::int64_t training = 0;
    for (const PictureFile& file : pictures.files) training += file.path.ends_with("test_batch.bin") ? 0 : file.count;
    own_parts_ = {(training - (training + 12) / 25) * unit_, training * unit_};  // 1/25, rounded to the nearest
  }
  describe_ = fmt::format("{} of {}, {}", counted(size_ / unit_, "picture"), shape.words(), counted(size_, "byte"));
  settle(decoding, options);
}

void Dataset::open_sound(const std::vector<std::string>& files, const DatasetOptions& options) {
  const bool skip = config_.unreadable == Unreadable::skip;
  const std::string recipe = fmt::format("sound {} Hz {} dB{}", config_.sample_rate, config_.gain, skip ? " skip" : "");
  name_ = name_of(files);
  if (options.undecoded_tokens > 0) {
    size_ = count_sound(files, config_, options.undecoded_tokens);
    readable_ = false;
    describe_sound(std::ssize(files));
    return;
  }
  const DecodedFile decoded = decoded_by(recipe, files, options, [&](AtomicFile& out) {
    return require_some(decode_sounds(files, config_, options.stop, out), static_cast<std::int64_t>(files.size()));
  });
  describe_sound(std::ssize(files) - std::ssize(decoded.decoding.left_out));
  settle(decoded.decoding, options);
}

// files: that were read.
void Dataset::describe_sound(std::int64_t files) {
  const std::string gain = config_.gain == 0 ? "" : fmt::format(", gain {} dB", config_.gain);
  describe_ =
      fmt::format("{} of sound, {} at {} Hz{}, {}", counted(files, "file"), duration_words(size_, config_.sample_rate),
                  with_commas(config_.sample_rate), gain, counted(size_, "byte"));
}

}  // namespace longstride
