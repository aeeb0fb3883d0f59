// longstride attention RUN --prime FILE: where heads look, told and drawn.
#include "longstride/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string_view>

#include "choice.h"
#include "command.h"
#include "longstride/checkpoint.h"
#include "longstride/error.h"
#include "longstride/file.h"
#include "options.h"
#include "output.h"
#include "output_file.h"
#include "signals.h"
#include "words.h"

namespace longstride::program {
namespace {

constexpr std::string_view kStandardInput = "-";
constexpr std::int64_t kLayersUnlessAsked = 4;

struct AttentionArguments {
  RunOptions run;
  OutputOptions output;
  std::string prime, layers, heads = "all", query, window, picture;
  std::int64_t top = 5, threads = 0;
};

using Numbers = std::vector<std::int64_t>;
using Json = nlohmann::ordered_json;

Numbers first_numbers(std::int64_t count) {
  Numbers all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  return all;
}

// "0,3" -> {0, 3}, each in [0, count); "all" -> every one.
Numbers parse_list(const std::string& option, const std::string& words, std::int64_t count) {
  if (words == "all") return first_numbers(count);
  Numbers list;
  for (const char *at = words.data(), *const end = at + words.size();;) {
    std::int64_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc() || number < 0 || number >= count || (next != end && *next != ',')) {
      throw_invalid(fmt::format("{}: needs whole numbers in [0, {}] with commas between them, or all, got \"{}\"",
                                option, count - 1, words));
    }
    if (std::find(list.begin(), list.end(), number) == list.end()) list.push_back(number);
    if (next == end) return list;
    at = next + 1;
  }
}

// The first, the last, and others at equal distances.
Numbers some_layers(std::int64_t layers) {
  if (layers <= kLayersUnlessAsked) return first_numbers(layers);
  Numbers some;
  for (std::int64_t at = 0; at < kLayersUnlessAsked; ++at) some.push_back(at * (layers - 1) / (kLayersUnlessAsked - 1));
  return some;
}

// What is looked at, on which input.
struct Look {
  const AttentionView& view;
  Numbers layers, heads, queries;
  std::int64_t first = 0, count = 0;  // of a matrix

  Look(const AttentionArguments& arguments, const AttentionView& of) : view(of) {
    const ModelConfig& model = view.config().model;
    const auto n = static_cast<std::int64_t>(view.tokens().size());
    layers =
        arguments.layers.empty() ? some_layers(model.layers) : parse_list("--layers", arguments.layers, model.layers);
    std::sort(layers.begin(), layers.end());
    heads = parse_list("--heads", arguments.heads, model.heads);
    queries =
        arguments.query.empty() ? Numbers{pictures() ? middle() : n - 1} : parse_list("--query", arguments.query, n);
    count = n;
    if (arguments.window.empty()) return;
    if (pictures()) throw_invalid("--window: belongs to text and sound; of a picture, --query chooses pixels");
    const Numbers window = parse_list("--window", arguments.window, n + 1);
    if (window.size() != 2 || window[1] < 1 || window[0] + window[1] > n) {
      throw_invalid(fmt::format("--window: needs FIRST,COUNT within the input's {} tokens, got \"{}\"", with_commas(n),
                                arguments.window));
    }
    first = window[0];
    count = window[1];
  }

  bool pictures() const { return view.config().data.kind == "image"; }

  // The first channel of the pixel in the middle.
  std::int64_t middle() const {
    const DataConfig& data = view.config().data;
    return (data.image_size[0] / 2 * data.image_size[1] + data.image_size[1] / 2) * data.channels;
  }

  // Token `at` of the input, or the start vector before it.
  Json json_of(std::int64_t at) const {
    if (at < 0) return {{"token", nullptr}};
    const std::uint8_t token = view.tokens()[static_cast<std::size_t>(at)];
    Json json = {{"token", token}};
    const DataConfig& data = view.config().data;
    if (data.kind == "text") json["text"] = std::string(1, static_cast<char>(token));
    if (data.kind == "image") {
      const std::int64_t pixel = at / data.channels, width = data.image_size[1];
      json["pixel"] = {pixel / width, pixel % width, at % data.channels};
    }
    return json;
  }

  std::string words_of(std::int64_t at) const {
    const Json json = json_of(at);
    if (json["token"].is_null()) return "start";
    if (json.contains("text")) return fmt::format("{:3}  {}", int{json["token"]}, escaped(std::string(json["text"])));
    if (!json.contains("pixel")) return fmt::format("{:3}", int{json["token"]});
    return fmt::format("{:3}  row {}, column {}, channel {}", int{json["token"]}, int{json["pixel"][0]},
                       int{json["pixel"][1]}, int{json["pixel"][2]});
  }
};

// Places of the keys with the largest probabilities, at most `most`, the largest first.
std::vector<std::size_t> top_keys(const AttentionRow& row, std::int64_t most) {
  std::vector<std::size_t> order(row.keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto taken = static_cast<std::ptrdiff_t>(std::min<std::size_t>(order.size(), static_cast<std::size_t>(most)));
  std::partial_sort(order.begin(), order.begin() + taken, order.end(), [&](std::size_t a, std::size_t b) {
    return row.p[a] > row.p[b] || (row.p[a] == row.p[b] && a < b);
  });
  order.resize(static_cast<std::size_t>(taken));
  return order;
}

double entropy_bits(const AttentionRow& row) {
  double bits = 0;
  for (const double p : row.p) bits -= p > 0 ? p * std::log2(p) : 0;
  return std::max(0.0, bits);  // of one key, whose probability may be rounded to more than 1
}

Json row_json(const Look& look, const AttentionRow& row, std::int64_t top) {
  Json json = {
      {"layer", row.layer}, {"head", row.head}, {"pattern", to_string(look.view.pattern(row.layer, row.head))}};
  json["query"] = row.query;
  json["predicts"] = look.json_of(row.query);
  json["keys"] = row.keys.size();
  json["entropy_bits"] = entropy_bits(row);
  json["top"] = Json::array();
  for (const std::size_t at : top_keys(row, top)) {
    Json key = {{"key", row.keys[at]}, {"p", row.p[at]}};
    key.update(look.json_of(row.keys[at] - 1));
    json["top"].push_back(key);
  }
  return json;
}

std::string row_words(const Look& look, const AttentionRow& row, std::int64_t top) {
  std::string text = fmt::format("layer {}, head {}, {}: query {} reads {} key{}, {:.2f} bits of choice\n", row.layer,
                                 row.head, to_string(look.view.pattern(row.layer, row.head)), with_commas(row.query),
                                 with_commas(static_cast<std::int64_t>(row.keys.size())),
                                 row.keys.size() == 1 ? "" : "s", entropy_bits(row));
  for (const std::size_t at : top_keys(row, top)) {
    text += fmt::format("  {:6.2f} %  key {:>9}  {}\n", 100 * row.p[at], with_commas(row.keys[at]),
                        look.words_of(row.keys[at] - 1));
  }
  return text;
}

// Says what the picture shows; it holds no words itself.
std::string draw(const AttentionArguments& arguments, const Look& look) {
  const AttentionDrawing drawing{look.layers, look.heads};
  const bool over = look.pictures();
  write_png(over ? draw_attention_over_picture(look.view, drawing, look.queries)
                 : draw_attention_matrix(look.view, drawing, look.first, look.count),
            arguments.picture);
  const std::string what = over ? fmt::format("for each of the queries {}", fmt::join(look.queries, ", "))
                                : fmt::format("queries and keys {} to {}", look.first, look.first + look.count - 1);
  return fmt::format("wrote {}: {}, layers {} from above, heads {} from the left\n", arguments.picture, what,
                     fmt::join(look.layers, ", "), fmt::join(look.heads, ", "));
}

void tell(const AttentionArguments& arguments, const Look& look) {
  Json json;
  json["checkpoint"] = look.view.checkpoint();
  json["step"] = look.view.step();
  json["input"] = arguments.prime;
  json["kind"] = look.view.config().data.kind;
  json["tokens"] = look.view.tokens().size();
  json["rows"] = Json::array();
  std::string text = fmt::format("{} at step {}, on {} of {}\n", look.view.checkpoint(), with_commas(look.view.step()),
                                 counted(std::ssize(look.view.tokens()), "token"),
                                 arguments.prime == kStandardInput ? "standard input" : arguments.prime);
  look.view.rows(look.layers, look.heads, look.queries, [&](const AttentionRow& row) {
    if (arguments.output.json) {
      json["rows"].push_back(row_json(look, row, arguments.top));
    } else {
      text += row_words(look, row, arguments.top);
    }
  });
  if (arguments.output.json) {
    print_json(json);
  } else {
    print_words(text);
  }
}

// Of a text the beginning, as much as the model's context holds, as of a file.
std::vector<std::uint8_t> read_standard_input(const AttentionOptions& options) {
  const Config config = checkpoint_config(options.run, options.checkpoint);
  if (!is_text(config.data))
    throw_invalid(fmt::format("--prime: standard input is for texts, and the model has learned from {}; name a file",
                              kind_words(config.data)));
  const std::string text = read_text("/dev/stdin");
  if (text.empty()) throw_invalid("--prime: standard input is empty");
  if (const std::string media = media_words(text); !media.empty())
    throw_invalid(fmt::format("--prime: standard input is {}, and the model has learned from text", media));
  return bytes_of(std::string_view(text).substr(0, static_cast<std::size_t>(config.model.context)));
}

int run(const AttentionArguments& arguments) {
  apply_threads(arguments.threads);
  if (!arguments.window.empty() && arguments.picture.empty())
    throw_invalid("--window: says what --picture FILE.png draws; give that too");
  if (arguments.top < 0) throw_invalid(fmt::format("--top: needs a whole number of at least 0, got {}", arguments.top));
  AttentionOptions options;
  options.run = arguments.run.run;
  options.checkpoint = chosen_checkpoint(arguments.run, [&](const std::string& sentence) {
    if (!arguments.output.quiet) say(message("attention", sentence) + "\n");
  });
  const bool from_input = arguments.prime == kStandardInput;
  if (!from_input) options.input = arguments.prime;
  keep_json_alone("--picture", arguments.picture, arguments.output.json);
  check_output("--picture", arguments.picture, FileForm::png, {arguments.prime}, options.run);
  options.stop = stop_on_signals();
  if (from_input) options.tokens = read_standard_input(options);
  const AttentionView view(options);
  const Look look(arguments, view);
  try {
    if (!arguments.picture.empty()) {
      const std::string words = draw(arguments, look);
      if (!arguments.output.quiet) say(escaped_lines(words));
    }
    tell(arguments, look);
  } catch (const Error&) {
    if (options.stop->load()) return kInterrupted;
    throw;
  }
  return 0;
}

}  // namespace

Command attention_command(CommandLine program) {
  CommandLine app = program.add_command("attention", "Shows where heads look on an input, by the model's own weights");
  auto arguments = std::make_shared<AttentionArguments>();
  add_run_options(app, arguments->run);
  app.add_option(
         "--prime", arguments->prime,
         "The input, read as the run's data are: the first picture of a file, or one context of text (- is standard "
         "input) or sound")
      .type_name("FILE")
      .required();
  app.add_option("--layers", arguments->layers, "Layers, such as 0,3, or all (default: four, the first and last too)")
      .type_name("L,...");
  app.add_option("--heads", arguments->heads, "Heads, such as 0,1, or all").type_name("H,...").capture_default_str();
  app.add_option("--query", arguments->query,
                 "Queries: I predicts token I of the input (default: of a picture its middle, else the last)")
      .type_name("I,...");
  app.add_option("--top", arguments->top, "Keys told of each query, the most likely first")
      .type_name("K")
      .capture_default_str();
  app.add_option("--picture", arguments->picture,
                 "Draws too: the queries over the picture, or of text and sound all queries against all keys")
      .type_name("FILE.png");
  app.add_option("--window", arguments->window, "Of text and sound: draws this many positions from FIRST on")
      .type_name("FIRST,COUNT");
  add_threads_option(app, arguments->threads);
  add_output_options(app, arguments->output);
  app.add_example("longstride attention runs/first --prime README.md --layers 0,3 --picture looks.png");
  return {app, [arguments] { return run(*arguments); }};
}

}  // namespace longstride::program
