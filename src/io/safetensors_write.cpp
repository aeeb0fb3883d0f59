// Writing: header with a place for the checksum, data, then the checksum into its place.
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "io/safetensors.h"
#include "io/sha256.h"
#include "io/system.h"
#include "longstride/error.h"

namespace longstride {
namespace {

constexpr std::size_t kLengthBytes = 8;
const std::string kPlaceholder(64, '0');

// Returns its bytes.
std::size_t check_tensor(const std::string& path, const StoredTensor& tensor, std::set<std::string>& names) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::invalid_argument, fmt::format("\"{}\": tensor \"{}\" {}", path, tensor.name, what));
  };
  if (!names.insert(tensor.name).second) fail("comes twice");
  if (tensor.name == "__metadata__") fail("has a name that the format keeps for itself");
  std::int64_t bytes = dtype_bytes(tensor.dtype);
  if (bytes == 0) fail(fmt::format("has dtype \"{}\", which is not known", tensor.dtype));
  for (const std::int64_t size : tensor.shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes)) fail("has a shape that is out of range");
  }
  if (!tensor.late && bytes != static_cast<std::int64_t>(tensor.bytes.size())) {
    fail(fmt::format("needs {} bytes for its shape and dtype {}, got {}", bytes, tensor.dtype, tensor.bytes.size()));
  }
  return static_cast<std::size_t>(bytes);
}

// The length, the JSON, and spaces up to a multiple of 8 bytes.
std::string make_header(const std::string& path, const std::map<std::string, std::string>& metadata,
                        const std::vector<StoredTensor>& tensors) {
  std::set<std::string> names;
  nlohmann::ordered_json header;
  header["__metadata__"] = metadata;
  header["__metadata__"]["sha256"] = kPlaceholder;
  std::size_t at = 0;
  for (const StoredTensor& tensor : tensors) {
    const std::size_t bytes = check_tensor(path, tensor, names);
    nlohmann::ordered_json& entry = header[tensor.name];
    entry["dtype"] = tensor.dtype;
    entry["shape"] = tensor.shape;
    entry["data_offsets"] = {at, at + bytes};
    at += bytes;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::type_error&) {
    throw Error(ErrorKind::invalid_argument, fmt::format("\"{}\": its metadata and names must be UTF-8", path));
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string length(kLengthBytes, '\0');
  for (std::size_t i = 0; i < kLengthBytes; ++i) length[i] = static_cast<char>(text.size() >> (8 * i));
  return length + text;
}

}  // namespace

std::string write_safetensors(const std::string& path, const std::map<std::string, std::string>& metadata,
                              const std::vector<StoredTensor>& tensors) {
  const std::string header = make_header(path, metadata, tensors);
  AtomicFile file(path);
  Sha256 hash;
  const auto append = [&](std::span<const std::uint8_t> bytes) {
    hash.update(bytes);
    file.append(bytes);
  };
  append(as_bytes(header));
  for (const StoredTensor& tensor : tensors) append(tensor.late ? tensor.late() : tensor.bytes);
  // A quote inside a JSON text is escaped, so that only the metadata's own key matches.
  const std::string key = "\"sha256\":\"";
  const std::size_t digits = header.find(key + kPlaceholder) + key.size();
  const std::string sha256 = hash.hex();
  file.overwrite(static_cast<std::int64_t>(digits), as_bytes(sha256));
  file.commit();
  return sha256;
}

}  // namespace longstride
