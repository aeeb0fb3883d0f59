// This knows foreign files by the ends of their names and by their first bytes.
#include "data/foreign.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "data/files.h"
#include "io/system.h"
#include "io/words.h"
#include "longstride/error.h"
#include "longstride/utf8.h"

namespace longstride {
namespace {

using namespace std::string_view_literals;

constexpr const char* kByBytes = ", as its first bytes say";

constexpr Foreign kPacked = {"packed", "unpack it"};
constexpr Foreign kDocument = {"a packed document", "take the text from it"};
constexpr Foreign kSound = {"sound in a form that is not read", "make it WAV or FLAC"};
constexpr Foreign kPicture = {"a picture in a form that is not read", "make it PNG or JPEG"};
constexpr Foreign kFilm = {"a film", "take pictures or sound from it"};
constexpr Foreign kProgram = {"a program", "name files to learn from"};
constexpr Foreign kTable = {"a table or a data base", "take the text from it"};
constexpr Foreign kPng = {"a picture whose name does not say so", "let its name end in .png"};
constexpr Foreign kJpeg = {"a picture whose name does not say so", "let its name end in .jpg"};
constexpr Foreign kArray = {"an array whose name does not say so", "let its name end in .npy"};
constexpr Foreign kWav = {"sound whose name does not say so", "let its name end in .wav"};
constexpr Foreign kFlac = {"sound whose name does not say so", "let its name end in .flac"};

struct Named {
  std::set<std::string_view> endings;
  const Foreign& foreign;
};

// What stands at an offset of a file.
struct FirstBytes {
  std::size_t offset;
  std::string_view bytes;
  const Foreign& foreign;
};

constexpr FirstBytes kMarks[] = {
    {0, "\x1f\x8b"sv, kPacked},            // gzip
    {0, "\3757zXZ\0"sv, kPacked},          // xz
    {0, "BZh"sv, kPacked},                 // bzip2; its blocks are looked for as well
    {0, "\x28\xb5\x2f\xfd"sv, kPacked},    // zstd
    {0, "\x04\x22\x4d\x18"sv, kPacked},    // lz4
    {0, "PK\x03\x04"sv, kPacked},          // zip, and what is one: docx, odt, epub, npz
    {0, "7z\xbc\xaf\x27\x1c"sv, kPacked},  // 7z
    {0, "Rar!\x1a\x07"sv, kPacked},        // rar
    {257, "ustar\0"sv, kPacked},           // tar
    {257, "ustar  \0"sv, kPacked},
    {0, "%PDF-"sv, kDocument},
    {0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, kDocument},  // doc, xls
    {0, "\177ELF"sv, kProgram},
    {0, "SQLite format 3\0"sv, kTable},
    {0, "PAR1\x15"sv, kTable},
    {0, "\x89HDF\r\n"sv, kTable},
    {0, "ID3"sv, kSound},  // mp3; the version follows
    {0, "OggS\0"sv, kSound},
    {8, "AIFF"sv, kSound},
    {8, "WEBP"sv, kPicture},
    {0, "BM"sv, kPicture},  // bmp
    {0, "GIF87a"sv, kPicture},
    {0, "GIF89a"sv, kPicture},
    {0, "II*\0"sv, kPicture},  // tiff
    {0, "MM\0*"sv, kPicture},
    {8, "WAVE"sv, kWav},
    {0, "fLaC\0"sv, kFlac},
    {0, "\x89PNG\r\n\x1a\n"sv, kPng},
    {0, "\xff\xd8\xff"sv, kJpeg},
    {0, "\x93NUMPY"sv, kArray},
    {0, "\x1a\x45\xdf\xa3"sv, kFilm},  // mkv, webm
};

bool stands_at(std::span<const std::uint8_t> begin, std::size_t offset, std::string_view bytes) {
  if (begin.size() < offset + bytes.size()) return false;
  return std::equal(bytes.begin(), bytes.end(), begin.begin() + static_cast<std::ptrdiff_t>(offset),
                    [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

// Letters that a text might begin with mean something only with what must follow them.
bool is_confirmed(std::string_view mark, std::span<const std::uint8_t> begin) {
  if (mark == "BZh"sv) return stands_at(begin, 4, "1AY&SY"sv);
  if (mark == "BM"sv) {  // the length of the header that follows; two words before it are 0
    constexpr std::string_view kLengths = "\x0c\x28\x34\x38\x40\x6c\x7c"sv;
    return begin.size() > 18 && kLengths.find(static_cast<char>(begin[14])) != std::string_view::npos &&
           stands_at(begin, 15, "\0\0\0"sv) && stands_at(begin, 6, "\0\0\0\0"sv);
  }
  if (mark == "ID3"sv) return begin.size() > 4 && begin[3] < 0x10 && begin[4] < 0x10;
  if (mark == "WAVE"sv || mark == "WEBP"sv) return stands_at(begin, 0, "RIFF"sv);
  if (mark == "AIFF"sv) return stands_at(begin, 0, "FORM"sv);
  return mark != "\x1f\x8b"sv || (begin.size() > 2 && begin[2] == 8);  // gzip's only method
}

// A frame of MPEG audio, layer III, without a tag before it, where another one follows it: two bytes alone say little.
bool is_mp3_frame(std::span<const std::uint8_t> begin) {
  if (begin.size() < 4 || begin[0] != 0xff || (begin[1] & 0xf6) != 0xf2) return false;
  constexpr std::size_t kKilobits[2][16] = {{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0},
                                            {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0}};
  constexpr std::size_t kRates[2][4] = {{22050, 24000, 16000, 0}, {44100, 48000, 32000, 0}};
  const std::size_t version = begin[1] >> 3 & 1;  // 0: MPEG-2, 1: MPEG-1
  const std::size_t kilobits = kKilobits[version][begin[2] >> 4], rate = kRates[version][begin[2] >> 2 & 3];
  if (kilobits == 0 || rate == 0) return false;
  const std::size_t end = (version + 1) * 72000 * kilobits / rate + (begin[2] >> 1 & 1);
  return begin.size() > end + 1 && begin[end] == 0xff && begin[end + 1] == begin[1];
}

// mp4 and its kin say at the fourth byte what they are.
const Foreign* boxed(std::span<const std::uint8_t> begin) {
  if (!stands_at(begin, 4, "ftyp"sv)) return nullptr;
  for (const std::string_view brand : {"heic"sv, "heix"sv, "mif1"sv, "avif"sv})
    if (stands_at(begin, 8, brand)) return &kPicture;
  return stands_at(begin, 8, "M4A"sv) ? &kSound : &kFilm;
}

// At most `most` bytes of each of `places` places at equal distances, the first at the beginning; of a short file all
// of them together. None where the file cannot be read or is none.
std::vector<std::vector<std::uint8_t>> bytes_of(const std::string& path, std::int64_t places, std::int64_t most) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  const Descriptor file(open_path(path, O_RDONLY | O_NONBLOCK));
  if (file.get() < 0) return {};
  const bool is_short = places > 1 && status.st_size <= places * most;
  std::vector<std::vector<std::uint8_t>> all(static_cast<std::size_t>(is_short ? 1 : places));
  for (std::size_t at = 0; at < all.size(); ++at) {
    all[at].resize(static_cast<std::size_t>(is_short ? status.st_size : most));
    const ssize_t got =
        ::pread(file.get(), all[at].data(), all[at].size(), status.st_size / places * static_cast<std::int64_t>(at));
    all[at].resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }
  return all;
}

std::vector<std::uint8_t> beginning_of(const std::string& path) {
  const auto all = bytes_of(path, 1, kFirstBytes);
  return all.empty() ? std::vector<std::uint8_t>() : all.front();
}

// Bytes that belong to no character of UTF-8.
std::ptrdiff_t malformed_bytes(std::span<const std::uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::ptrdiff_t malformed = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text.substr(at, 4));
    malformed += length == 0 ? 1 : 0;
    at += std::max<std::size_t>(length, 1);
  }
  return malformed;
}

using Look = std::function<const Foreign*(const std::string& file)>;

void refuse_first(const std::vector<std::string>& files, const char* by, const Look& look) {
  const auto is_foreign = [&](const std::string& file) { return look(file) != nullptr; };
  const auto first = std::find_if(files.begin(), files.end(), is_foreign);
  if (first == files.end()) return;
  const Foreign& one = *look(*first);
  const auto others = std::count_if(first + 1, files.end(), is_foreign);
  throw_invalid(fmt::format(
      "data.paths: \"{}\" is {}{}{}; {}, or --set data.kind=text to take all bytes as they lie", *first, one.what, by,
      others == 0 ? "" : fmt::format(" (and {} more files are of such kinds)", others), one.remedy));
}

}  // namespace

const Foreign* foreign_by_name(const std::string& file) {
  static const std::vector<Named> known = {
      {{".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".wma", ".aif", ".aiff"}, kSound},
      {{".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl"}, kPicture},
      {{".mp4", ".mkv", ".mov", ".avi", ".webm"}, kFilm},
      {{".gz", ".tgz", ".xz", ".bz2", ".zst", ".lz4", ".zip", ".7z", ".rar", ".npz", ".tar"}, kPacked},
      {{".pdf", ".docx", ".odt", ".epub"}, kDocument}};
  const std::string ending = file_ending(file);
  const auto found =
      std::find_if(known.begin(), known.end(), [&](const Named& one) { return one.endings.contains(ending); });
  return found == known.end() ? nullptr : &found->foreign;
}

const Foreign* foreign_by_bytes(std::span<const std::uint8_t> begin) {
  for (const FirstBytes& mark : kMarks)
    if (stands_at(begin, mark.offset, mark.bytes) && is_confirmed(mark.bytes, begin)) return &mark.foreign;
  return is_mp3_frame(begin) ? &kSound : boxed(begin);
}

bool is_no_text(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kOfText = "\b\t\n\v\f\r\x1b";
  const auto strange = std::count_if(bytes.begin(), bytes.end(), [&](std::uint8_t byte) {
    return (byte < 0x20 || byte == 0x7f) && kOfText.find(static_cast<char>(byte)) == std::string_view::npos;
  });
  if (strange * 50 > std::ssize(bytes)) return true;
  return strange > 0 && malformed_bytes(bytes) * 10 > std::ssize(bytes);
}

std::optional<std::string> foreign_words(const std::string& file) {
  if (const Foreign* by_name = foreign_by_name(file)) return by_name->what;
  if (const Foreign* by_bytes = foreign_by_bytes(beginning_of(file))) return std::string(by_bytes->what) + kByBytes;
  return std::nullopt;
}

void refuse_foreign_names(const std::vector<std::string>& files) { refuse_first(files, "", foreign_by_name); }

void refuse_foreign_bytes(const std::vector<std::string>& files) {
  refuse_first(files, kByBytes, [](const std::string& file) { return foreign_by_bytes(beginning_of(file)); });
}

std::string no_text_words(const std::vector<std::string>& files) {
  constexpr std::int64_t kPlaces = 8, kLookedAt = 4096;
  std::string first;
  std::int64_t others = -1;
  for (const std::string& file : files) {
    const auto places = bytes_of(file, kPlaces, kLookedAt);
    if (std::none_of(places.begin(), places.end(), [](const auto& bytes) { return is_no_text(bytes); })) continue;
    if (++others == 0) first = file;
  }
  if (others < 0) return "";
  return fmt::format(
      "\"{}\"{} no text by {} bytes, which are learned as they lie; raw pictures in a .bin need --set "
      "data.image_size=[HEIGHT,WIDTH], and with --set data.kind=text nothing is asked",
      first, others == 0 ? " is" : fmt::format(" and {} are", counted(others, "more file")),
      others == 0 ? "its" : "their");
}

}  // namespace longstride
