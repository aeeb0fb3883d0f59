// A file that an option names to be written: what is wrong with it is known before the work, not after it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longstride::program {

// The name that stands for standard output, where a command can write there.
inline constexpr std::string_view kStandardOutput = "-";

std::string lower_ending(const std::string& path);  // ".png", in small letters

// What a file is written as.
enum class FileForm { png, png_or_svg, wav, page, text };

// That of a window or a sample of this kind of data: text | image | sound.
FileForm form_of(const std::string& kind);

// Whether writing to `path` writes to standard output, as "-", /dev/stdout and links to them do, and the name of the
// file that it was directed to. Not where that is /dev/null, which loses nothing.
bool is_standard_output(const std::string& path);

// Throws invalid_argument where `path` is standard output, on which --json promises to print one object alone.
void keep_json_alone(const char* option, const std::string& path, bool json);

// Throws Error naming `option` where `path` has the ending of another form, is one of `inputs` or the file `run`, lies
// in one that is a folder of data, belongs to a run, whichever that is, or cannot be written: invalid_argument where
// the words are wrong, exhausted where the system refuses. An empty path is none, and all is well.
void check_output(const char* option, const std::string& path, FileForm form,
                  const std::vector<std::string>& inputs = {}, const std::string& run = "");

// Its parts, for names that an option's value makes. What a command reads, and what a run consists of, is never what it
// writes over.
void keep_inputs(const char* option, const std::string& path, const std::vector<std::string>& inputs,
                 const std::string& run = "");
void check_ending(const char* option, const std::string& path, FileForm form);
void check_place(const char* option, const std::string& path);

}  // namespace longstride::program
