// This decides whether decoded data on disk are still those of their files, and writes them anew where they are not.
#include "data/decoded.h"

#include <sys/stat.h>
#include <time.h>

#include <array>
#include <filesystem>
#include <numeric>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "data/parallel.h"
#include "io/sha256.h"
#include "io/system.h"
#include "io/words.h"
#include "longstride/error.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kFormat = "longstride-data-2";

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kLongestStep = 2 * kSecond;  // of a file system's clock, FAT's
constexpr std::size_t kChanged = 2;                 // where a state has the time of the last change

std::int64_t nanoseconds(const timespec& time) { return std::int64_t{time.tv_sec} * kSecond + time.tv_nsec; }

std::int64_t now() {
  timespec time = {};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return nanoseconds(time);
}

// asked: a time before the system was asked for the state.
FileState lasting(FileState state, std::int64_t asked) {
  if (state[kChanged] > asked - kLongestStep) state[kChanged] = -1;
  return state;
}

std::vector<FileState> lasting(std::vector<FileState> states, std::int64_t asked) {
  for (FileState& state : states) state = lasting(state, asked);
  return states;
}

std::vector<FileState> states(const std::vector<std::string>& files) {
  std::vector<FileState> all;
  for (const std::string& file : files) all.push_back(file_state(file));
  return all;
}

std::vector<std::string> hash_files(const std::vector<std::string>& files, const std::vector<std::size_t>& which) {
  std::vector<std::string> hashes(which.size());
  in_parallel(static_cast<std::int64_t>(which.size()), [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    hashes[at] = sha256_of(InputFile(files[which[at]]));
  });
  return hashes;
}

constexpr std::size_t kDigits = 24;  // of a key, hexadecimal

std::string key_of(const std::string& recipe, const std::vector<std::string>& files) {
  std::string names = recipe;
  for (const std::string& file : files) names += '\0' + absolute_path(file);
  return sha256_hex(as_bytes(names)).substr(0, kDigits);
}

struct Manifest {
  std::vector<FileState> identities;  // of the sources, in order, and last of the decoded data
  std::vector<std::string> hashes;    // of the same
  Decoding decoding;
};

std::string write_manifest(const Manifest& manifest, const std::string& recipe) {
  json left_out = json::array();
  for (const LeftOut& file : manifest.decoding.left_out) left_out.push_back({file.path, file.reason});
  const json object = {{"format", kFormat},
                       {"recipe", recipe},
                       {"files", {{"identities", manifest.identities}, {"sha256", manifest.hashes}}},
                       {"left_out", left_out},
                       {"notes", manifest.decoding.notes}};
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";  // names need not be UTF-8
}

// get_ref where get would cast a fraction of any size.
std::int64_t whole_number(const json& value) { return value.get_ref<const std::int64_t&>(); }

FileState read_identity(const json& value) {
  FileState identity;
  for (std::size_t i = 0; i < identity.size(); ++i) identity[i] = whole_number(value.at(i));
  return identity;
}

// None where there is none, or none that this version wrote whole.
std::optional<Manifest> read_manifest(const std::string& path) {
  if (std::error_code ignored; !fs::is_regular_file(path, ignored)) return std::nullopt;
  try {
    const json object = json::parse(read_text(path));
    if (object.at("format") != kFormat) return std::nullopt;
    Manifest manifest;
    for (const json& file : object.at("files").at("identities")) manifest.identities.push_back(read_identity(file));
    manifest.hashes = object.at("files").at("sha256").get<std::vector<std::string>>();
    for (const json& file : object.at("left_out")) manifest.decoding.left_out.push_back({file.at(0), file.at(1)});
    manifest.decoding.notes = object.at("notes").get<std::vector<std::string>>();
    return manifest;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

// Whether the files, sources and decoded data, are still those of the manifest. Those that look different are hashed;
// where all prove the same, the manifest is written again, so that it costs once.
bool is_of(Manifest& manifest, const std::vector<std::string>& files, const std::string& path,
           const std::string& recipe) {
  const std::int64_t asked = now();
  const std::vector<FileState> found = states(files);
  if (manifest.identities.size() != files.size() || manifest.hashes.size() != files.size()) return false;
  std::vector<std::size_t> doubtful;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (found[i] == manifest.identities[i]) continue;
    if (found[i].front() != manifest.identities[i].front()) return false;  // the size
    doubtful.push_back(i);
  }
  const std::vector<std::string> hashes = hash_files(files, doubtful);
  for (std::size_t i = 0; i < doubtful.size(); ++i) {
    if (hashes[i] != manifest.hashes[doubtful[i]]) return false;
  }
  if (doubtful.empty()) return true;
  manifest.identities = lasting(found, asked);
  manifest.identities.back() = found.back();  // of the decoded data, which nobody else writes
  try {
    write_file_atomically(path, write_manifest(manifest, recipe));
  } catch (const Error&) {
    // A folder that can only be read: the files are hashed again next time.
  }
  return true;
}

struct DecodedNames {
  std::string data, about;
};

DecodedNames names_of(const std::string& folder, const std::string& recipe, const std::vector<std::string>& files) {
  const std::string stem = folder + "/" + key_of(recipe, files);
  return {stem + ".data", stem + ".json"};
}

// The same where the decoded data may be gone.
bool is_whole(Manifest& manifest, std::vector<std::string> files, const std::string& data, const std::string& about,
              const std::string& recipe) {
  std::error_code missing;
  files.push_back(data);
  return fs::is_regular_file(data, missing) && is_of(manifest, files, about, recipe);
}

// What was decoded from one state of a file must not be kept as made from another.
void refuse_changed(const std::vector<std::string>& files, const std::vector<FileState>& before) {
  for (std::size_t i = 0; i < files.size(); ++i)
    if (file_state(files[i]) != before[i]) throw_corrupt(files[i], "changed while it was decoded");
}

// What is made where decoded data go; the folder may be one that only others write.
template <class Make>
auto made_in_cache(const Make& make) -> decltype(make()) {
  try {
    return make();
  } catch (const Error& error) {
    throw Error(error.kind(), std::string(error.what()) +
                                  "; evaluate --cache FOLDER, or the key data.cache, names another for decoded data");
  }
}

}  // namespace

bool is_decoded_name(const std::string& name) {
  const std::string key = name.substr(0, name.find('.')), rest = name.substr(key.size());
  return key.size() == kDigits && key.find_first_not_of("0123456789abcdef") == std::string::npos &&
         (rest.starts_with(".data") || rest.starts_with(".json"));
}

FileState file_state(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) fail_system("open", path);
  return {status.st_size, nanoseconds(status.st_mtim), nanoseconds(status.st_ctim),
          static_cast<std::int64_t>(status.st_ino)};
}

FileState lasting_state(const std::string& path) {
  const std::int64_t asked = now();
  return lasting(file_state(path), asked);
}

DecodedFile open_or_decode(const DecodedPlace& place, const std::string& recipe, const std::vector<std::string>& files,
                           const std::function<Decoding(AtomicFile& out)>& decode) {
  const DecodedNames names = names_of(place.folder, recipe, files);
  const std::string &data = names.data, &about = names.about;
  std::optional<Manifest> earlier = read_manifest(about);
  std::error_code missing;
  if (earlier && is_whole(*earlier, files, data, about, recipe)) return {data, earlier->decoding};

  if (place.noted) {
    place.noted(fmt::format(
        "{} {} into \"{}\"", earlier ? "the data changed: decoding" : "decoding",
        files.size() == 1 ? "1 file" : with_commas(static_cast<std::int64_t>(files.size())) + " files", data));
  }
  NewFolder folder = made_in_cache([&] { return NewFolder(place.folder); });
  for (const std::string& file : {data, about}) remove_abandoned(file);
  fs::remove(about, missing);  // never beside bytes that are not its own
  Manifest manifest;
  const std::int64_t asked = now();
  const std::vector<FileState> before = states(files);
  manifest.identities = lasting(before, asked);
  AtomicFile out = made_in_cache([&] { return AtomicFile(data); });
  manifest.decoding = decode(out);
  std::vector<std::size_t> each(files.size());
  std::iota(each.begin(), each.end(), std::size_t{0});
  manifest.hashes = hash_files(files, each);
  refuse_changed(files, before);
  out.commit();
  manifest.identities.push_back(file_state(data));
  manifest.hashes.push_back(sha256_of(InputFile(data)));
  write_file_atomically(about, write_manifest(manifest, recipe));
  folder.keep();
  return {data, manifest.decoding};
}

bool is_decoded(const std::string& folder, const std::string& recipe, const std::vector<std::string>& files) {
  const auto [data, about] = names_of(folder, recipe, files);
  std::optional<Manifest> manifest = read_manifest(about);
  return manifest && is_whole(*manifest, files, data, about, recipe);
}

}  // namespace longstride
