// Which files a list of paths stands for.
#pragma once

#include <string>
#include <vector>

namespace longstride {

// Files as given, and for a folder all files below it sorted by path, without files and folders whose name begins with
// a dot. Links are followed; a folder already visited on the way down is not entered again. Errors: invalid_argument
// where a path is missing, exhausted where a folder cannot be read.
std::vector<std::string> list_files(const std::vector<std::string>& paths);

std::string file_ending(const std::string& file);  // ".png": the last ending in small letters, with its dot

// Without the .txt and .html files that come with CIFAR-10's batches, where any of those is there.
std::vector<std::string> without_companions(std::vector<std::string> files);

// text | image | sound: what the names say. image_size_given: raw arrays (.bin) count as images; CIFAR-10's batches do
// anyway. Error invalid_argument, naming one of each, where the files are of several kinds.
std::string find_kind(const std::vector<std::string>& files, bool image_size_given);

}  // namespace longstride
