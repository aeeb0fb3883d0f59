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

// Throws Error naming `option` where `path` has the ending of another form, is one of `inputs`, lies in one that is a
// folder of data, or is a file that the run `run` consists of, or cannot be written: invalid_argument where the words
// are wrong, exhausted where the system refuses. An empty path is none, and all is well.
void check_output(const char* option, const std::string& path, FileForm form,
                  const std::vector<std::string>& inputs = {}, const std::string& run = "");

// Its parts, for names that an option's value makes. What a command reads is never what it writes over.
void keep_inputs(const char* option, const std::string& path, const std::vector<std::string>& inputs,
                 const std::string& run = "");
void check_ending(const char* option, const std::string& path, FileForm form);
void check_place(const char* option, const std::string& path);

}  // namespace longstride::program
