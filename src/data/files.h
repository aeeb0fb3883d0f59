// Which files a list of paths stands for.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "data/decoded.h"
#include "longstride/config.h"
#include "longstride/error.h"

namespace longstride {

// What lies among the data and was made from them. Paths that are empty or lead nowhere stand for nothing.
struct Outputs {
  std::string run;                  // the folder that is trained into, wherever it is met
  std::vector<std::string> caches;  // folders of decoded data: its files (data/decoded.h) are left out, others are not
};

struct Passed {
  std::string path, reason;  // "leads nowhere", "is no file"; of FileList's `written`: who writes it
};

struct FileList {
  std::vector<std::string> files;
  std::vector<std::string> runs;  // folders of runs, other than the one of Outputs, that were met and left out
  std::vector<Passed> passed;     // what was met in folders and is neither a file nor a folder, and left out
  std::vector<Passed> written;    // what was met there and the run or this program writes itself, and left out
  std::vector<std::pair<std::string, std::string>>
      again;                     // a file that one before it is, by this or another name: both
  std::vector<LeftOut> refused;  // files and folders that this user may not read, left out where that was asked for
};

// Files as given, and for a folder all files below it sorted by path, without files and folders whose name begins with
// a dot, without outputs and without the folders of runs (config.json beside checkpoints/) that lie in it: the same
// files count when a run begins and when it is resumed. Links are followed; a folder already visited on the way down is
// not entered again. What the run of Outputs writes is left out wherever links and mounts show it; a hard link to a
// file of it is refused, for nothing tells one from a file any more once the run has replaced its own; and so is a file
// that is named itself and takes this program's words, and a run that is named itself. With `skip` each file is opened
// once, to know whether it may be read. Errors: invalid_argument where a path is missing or refused, exhausted where a
// folder, or what lies in it, cannot be read.
FileList list_files(const std::vector<std::string>& paths, const Outputs& outputs = {},
                    Unreadable unreadable = Unreadable::error);

std::string file_ending(const std::string& file);  // ".png": the last ending in small letters, with its dot

// text | image | sound: what one name says. image_size_given: raw arrays (.bin) count as images.
std::string kind_by_name(const std::string& file, bool image_size_given);

// Throws invalid_argument for the first of the paths that is an empty file: who named it may see that it is.
void refuse_empty(const std::vector<std::string>& named);

// Whether an error of reading files as of this kind says that they are the wrong files, and not damaged ones: none of
// them passes itself off as of the kind, by its name or by being empty. Texts are never damaged.
bool are_wrong_files(const Error& error, const std::vector<std::string>& files, const std::string& kind);

// Without the .txt and .html files that come with CIFAR-10's batches, where any of those is there.
std::vector<std::string> without_companions(std::vector<std::string> files);

// text | image | sound: what the names say. image_size_given: raw arrays (.bin) count as images; CIFAR-10's batches do
// anyway. Error invalid_argument, naming one of each, where the files are of several kinds, and where one is of none
// (data/foreign.h), by its name or, where all would be text, by its first bytes.
std::string find_kind(const std::vector<std::string>& files, bool image_size_given);

}  // namespace longstride
