// .npy files as numpy writes them, for tests.
#pragma once

#include <string>

namespace longstride {

inline std::string npy(int version, const std::string& dictionary, const std::string& data) {
  std::string header = dictionary + "\n";
  std::string bytes = "\x93NUMPY";
  bytes += {static_cast<char>(version), 0, static_cast<char>(header.size()), 0};
  if (version > 1) bytes += std::string(2, '\0');
  return bytes + header + data;
}

}  // namespace longstride
