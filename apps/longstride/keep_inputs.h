// What a command reads is never what it writes over.
#pragma once

#include <string>
#include <vector>

namespace longstride::program {

// Error invalid_argument naming `option` where `path`, which will be written, is one of `inputs`, lies in one that is a
// folder of data, or is a file that the run `run` consists of. An empty path is none.
void keep_inputs(const char* option, const std::string& path, const std::vector<std::string>& inputs,
                 const std::string& run = "");

}  // namespace longstride::program
