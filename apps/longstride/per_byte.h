// evaluate --per-byte and --page: what single bytes cost, as lines of JSON and as a page for a browser.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "command_line.h"
#include "longstride/config.h"
#include "longstride/evaluate.h"

namespace longstride::program {

struct PerByteOptions {
  bool lines = false;
  std::string page;
  std::optional<std::int64_t> expected;
  bool any() const { return lines || !page.empty(); }
  bool takes_output() const;  // standard output has lines, or the page
};
void add_per_byte_options(CommandLine app, PerByteOptions& options);

class PerByte {
 public:
  // Lets `evaluation` hear of bytes, and without --bytes look at no more of them than a page holds; this must stay
  // where it is. data: what the model has learned from. Errors: invalid_argument where the options do not fit one
  // another, and those of check_output for the page.
  PerByte(const PerByteOptions& options, const DataConfig& data, EvaluateOptions& evaluation);
  PerByte(const PerByte&) = delete;
  PerByte& operator=(const PerByte&) = delete;

  // The rest of the lines, of which `whole`, the evaluation, is the last; the page. Returns a sentence to be said.
  std::string finish(const Evaluation& result, const nlohmann::ordered_json& whole);

 private:
  void fit_page(EvaluateOptions& evaluation);
  void take(const ScoredToken& token);

  PerByteOptions options_;
  DataConfig data_;
  std::int64_t cut_ = 0;  // bytes that are looked at because a page holds no more; 0: as many as were asked for
  std::string lines_;
  std::vector<ScoredToken> tokens_;  // for the page
};

}  // namespace longstride::program
