// A page of its own for a browser: what was scored, coloured by its bits, with what the model expected instead. It
// needs no network and no script.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "longstride/config.h"
#include "longstride/evaluate.h"

namespace longstride::program {

// Tokens that a page has room for, so that browsers show it without effort.
inline constexpr std::int64_t kMostOnAPage = std::int64_t{1} << 18;

// tokens: all that `result` is of, in order. data: what the model has learned from.
std::string page_html(const std::vector<ScoredToken>& tokens, const Evaluation& result, const DataConfig& data);

// What it is put together from, by the kind of data.
std::string text_body(const std::vector<ScoredToken>& tokens);
std::string pictures_body(const std::vector<ScoredToken>& tokens, const DataConfig& data);
std::string sound_body(const std::vector<ScoredToken>& tokens, const DataConfig& data);

std::string html_escaped(std::string_view text);  // also as the value of an attribute
// The colour of so many bits a token, from none to 7.5 and more: "#fffdf0" to "#b40a0a", and the class that has it
// behind it: "b0" to "b15".
std::string colour(double bits);
std::string colour_class(double bits);
// "2.31 bits; expected a 45%, b 12%": of one token, not escaped yet. name: what a value is called.
std::string expectation(const ScoredToken& token, const std::function<std::string(std::int32_t)>& name);

}  // namespace longstride::program
