// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "longstride/config.h"
#include "longstride/device.h"
#include "longstride/evaluate.h"
#include "longstride/plan.h"

namespace longstride::program {

std::string with_commas(std::int64_t number);                     // 4,812,331
std::string counted(std::int64_t count, const std::string& one);  // 1 step, 1,200 steps
std::string bytes_words(std::int64_t bytes);                      // 412 MB (powers of 1,000)
std::string duration_words(double seconds);                       // 8 s, 3 min, 2 h 05 min, 3 days 4 h
std::string part_words(const std::string& part);                  // decoder cache, of a plan's decoder_cache
std::string rate_words(double a_second);                          // 812, 45.2k, 1.3M
std::string attention_words(const ModelConfig& model);            // fixed(32,8); or the JSON of a list
// 4 layers, width 256, 4 heads, context 1,024
std::string model_words(const ModelConfig& model);
bool is_text(const DataConfig& data);            // what a model has learned from, or learns
std::string kind_words(const DataConfig& data);  // text, pictures, sound
std::string bits_unit(const DataConfig& data);   // what bits are said to be per: dim, of pictures, or byte
std::string precision_words(const Plan& plan);   // bfloat16: as asked
// What a figure is a figure of: tokens, data with their hash, windows, checkpoint, precision, program. Not escaped.
std::string protocol_words(const Evaluation& result);
// "AMD EPYC, 2 threads", and "scalar, avx2; in use: avx2".
std::string processor_words(const MachineInfo& machine);
std::string instructions_words(const MachineInfo& machine);

// What a terminal could take for a command (control characters, those beyond ASCII too) and every byte that is not
// UTF-8 as a dot; line ends and tabs stay. For samples.
std::string printable(const std::string& bytes);
// The same of text that comes in pieces: what of it may be shown by now, and what was held back as the beginning of a
// character, once nothing comes any more.
class PrintableText {
 public:
  std::string add(std::string_view bytes);
  std::string rest();

 private:
  std::string waiting_;  // the first bytes of a character
};
// The same as \x1b: for sentences with names and keys in them, and for several lines, whose ends stay.
std::string escaped(std::string_view sentence);
std::string escaped_lines(std::string_view lines);
// What `longstride COMMAND` has to say, as standard error gets it: one beginning for all, "longstride COMMAND: ", which
// the library's own sentences may have in part. An empty command: the program itself.
std::string message(const std::string& command, std::string_view sentence);
// A word as a shell takes it, quoted where that needs it; what `escaped` would change as bash's $'\x1b'.
std::string shell_word(const std::string& word);

// Left column padded to the widest, right column escaped: "  name   value\n" a row.
std::string two_columns(const std::vector<std::pair<std::string, std::string>>& rows);

}  // namespace longstride::program
