// Which files a list of paths stands for.
#pragma once

#include <string>
#include <vector>

namespace longstride {

// Files as given, and for a folder all files below it sorted by path, without files and folders whose name begins with
// a dot. Links are followed; a folder already visited on the way down is not entered again. Errors: invalid_argument
// where a path is missing, exhausted where a folder cannot be read.
std::vector<std::string> list_files(const std::vector<std::string>& paths);

// text | image | sound: what the names' endings say; image or sound only where every file is. image_size_given: raw
// arrays (.bin) count as images.
std::string find_kind(const std::vector<std::string>& files, bool image_size_given);

}  // namespace longstride
