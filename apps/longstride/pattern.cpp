// longstride pattern: what a pattern reads, what it costs, whether everything arrives, what is wrong, and how it looks.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "command.h"
#include "longstride/error.h"
#include "longstride/file.h"
#include "longstride/image.h"
#include "longstride/pattern.h"
#include "output.h"
#include "output_file.h"
#include "words.h"

namespace longstride::program {

namespace {

constexpr std::int64_t kLongest = std::int64_t{1} << 31;  // counts of pairs fit 64 bits
constexpr std::int64_t kMostHeads = 4096;
constexpr int kDrawings = 4;            // of different patterns, at most
constexpr int kColumns = 72;            // of a drawing
constexpr int kColumnsOfSeveral = 100;  // of drawings side by side
constexpr int kGap = 3;                 // columns between them
constexpr int kPicturePixels = 768;
constexpr int kPictureGap = 24;

struct Options {
  std::string attention;
  std::int64_t length = 0;
  std::optional<std::int64_t> heads;  // left out: as many as the longest list over heads
  std::string picture;
  bool json = false;
  bool quiet = false;
};

// One head of one block.
struct Head {
  Pattern pattern;
  std::int64_t pairs = 0;
  std::int64_t most = 0;
};

struct Report {
  AttentionLayout layout;
  std::int64_t heads = 1;
  std::int64_t n = 0;
  std::vector<std::vector<Head>> blocks;
  std::vector<Pattern> distinct;  // in order of first use
  double share = 0, mean = 0;
  std::int64_t most = 0;
  Reach reach;
  std::vector<std::string> problems;
};

Report examine(const Options& options) {
  Report report;
  report.layout = read_attention(options.attention);
  report.n = options.length;
  std::size_t listed = 1;
  for (const std::vector<Pattern>& heads : report.layout.blocks) listed = std::max(listed, heads.size());
  report.heads = options.heads.value_or(static_cast<std::int64_t>(listed));
  double pairs = 0;
  std::vector<Head> counted;  // heads that share a pattern are counted once
  for (std::size_t b = 0; b < report.layout.blocks.size(); ++b) {
    report.blocks.emplace_back();
    for (std::int64_t h = 0; h < report.heads; ++h) {
      const Pattern pattern = report.layout.head(static_cast<std::int64_t>(b), h);
      auto known =
          std::find_if(counted.begin(), counted.end(), [&](const Head& head) { return head.pattern == pattern; });
      if (known == counted.end()) {
        known = counted.insert(known, {pattern, count_pairs(pattern, report.n), max_keys(pattern, report.n)});
        report.distinct.push_back(pattern);
      }
      report.blocks.back().push_back(*known);
      pairs += static_cast<double>(known->pairs);
      report.most = std::max(report.most, known->most);
    }
  }
  const double n = static_cast<double>(report.n),
               all = static_cast<double>(report.blocks.size()) * static_cast<double>(report.heads);
  report.share = pairs / all / (n * (n + 1) / 2);
  report.mean = pairs / all / n;
  report.reach = reach(report.layout, report.heads, report.n);
  report.problems = problems(report.layout, report.heads, report.n);
  return report;
}

// The layout as the user would write it: bare where it is one pattern.
std::string written(const AttentionLayout& layout) {
  if (layout.blocks.size() == 1 && layout.blocks[0].size() == 1) return to_string(layout.blocks[0][0]);
  return write_attention(layout);
}

nlohmann::ordered_json json_of(const Report& report) {
  nlohmann::ordered_json json;
  json["pattern"] = written(report.layout);
  json["length"] = report.n;
  json["heads"] = report.heads;
  nlohmann::ordered_json blocks = nlohmann::ordered_json::array();
  for (const std::vector<Head>& heads : report.blocks) {
    nlohmann::ordered_json pairs = nlohmann::ordered_json::array();
    for (const Head& head : heads) pairs.push_back(head.pairs);
    blocks.push_back(pairs);
  }
  json["pairs"] = blocks.size() == 1 ? blocks[0] : blocks;
  json["share"] = report.share;
  json["keys_mean"] = report.mean;
  json["keys_max"] = report.most;
  json["reaches_all"] = report.reach.all;
  json["steps_to_reach"] = report.reach.steps;
  json["problems"] = report.problems;
  return json;
}

std::string reach_text(const Report& report) {
  const Reach& reach = report.reach;
  const char* tried = reach.exact ? "" : " (tried on a few queries)";
  if (!reach.all)
    return fmt::format("not everything: position {} never arrives at {}", with_commas(reach.key),
                       with_commas(reach.query));
  return fmt::format("every earlier position, in {} layer{}{}", with_commas(reach.steps), reach.steps == 1 ? "" : "s",
                     tried);
}

std::string line(const std::string& name, const std::string& text) { return fmt::format("  {:<19} {}\n", name, text); }

std::string pairs_text(std::int64_t pairs, std::int64_t n) {
  const double all = static_cast<double>(n) * (static_cast<double>(n) + 1) / 2;
  return fmt::format("{:>15}  {:6.2f} %", with_commas(pairs), 100 * static_cast<double>(pairs) / all);
}

// One line a pattern: where several differ.
std::string heads_text(const Report& report) {
  std::string text;
  for (std::size_t b = 0; b < report.blocks.size(); ++b)
    for (std::size_t h = 0; h < report.blocks[b].size(); ++h) {
      const Head& head = report.blocks[b][h];
      std::size_t last = h;
      while (last + 1 < report.blocks[b].size() && report.blocks[b][last + 1].pattern == head.pattern) ++last;
      const std::string heads = h == last ? fmt::format("head {}", h) : fmt::format("heads {}-{}", h, last);
      const std::string where = report.blocks.size() > 1 ? fmt::format("block {}, {}", b, heads) : heads;
      text += line(where, fmt::format("{}  {}", pairs_text(head.pairs, report.n), to_string(head.pattern)));
      h = last;
    }
  return text;
}

// On a terminal: what is read in colour, what is not faint.
std::string coloured(const std::string& drawing) {
  constexpr std::string_view kDot = "·", kFaint = "\x1b[90m", kStrong = "\x1b[36m", kPlain = "\x1b[0m";
  std::string text(kStrong);
  for (std::size_t at = 0; at < drawing.size();) {
    if (drawing.compare(at, kDot.size(), kDot) != 0) {
      text += drawing[at++];
      continue;
    }
    text += kFaint;
    for (; drawing.compare(at, kDot.size(), kDot) == 0; at += kDot.size()) text += kDot;
    text += kStrong;
  }
  text += kPlain;
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// Characters that a line of UTF-8 shows.
int shown(const std::string& line) {
  return static_cast<int>(std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

int output_columns() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 8 ? size.ws_col - 2 : kColumns;
}

// Different patterns side by side, each under its name.
std::string drawings_text(const Report& report) {
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  const int distinct = static_cast<int>(report.distinct.size());
  const int most = distinct == 1 ? kColumns : kColumnsOfSeveral;
  const int total = terminal ? std::min(most, output_columns()) : most;
  int drawn = std::min(kDrawings, distinct);
  // Short sequences are drawn pair by pair: as many as fit so.
  if (report.n <= kColumns) drawn = std::clamp((total + kGap) / (static_cast<int>(report.n) + kGap), 1, drawn);
  const int columns = std::max(1, (total - kGap * (drawn - 1)) / drawn);
  std::vector<std::vector<std::string>> drawings;
  std::string text = "\n";
  for (int d = 0; d < drawn; ++d) {
    const Pattern& pattern = report.distinct[static_cast<std::size_t>(d)];
    drawings.push_back(lines_of(draw_text(pattern, report.n, columns)));
    const std::string name = to_string(pattern).substr(0, static_cast<std::size_t>(drawn == 1 ? 200 : columns));
    text += d + 1 < drawn ? fmt::format("{:<{}}", name, columns + kGap) : name + "\n";
  }
  std::string picture;
  for (std::size_t row = 0; row < drawings[0].size(); ++row)
    for (int d = 0; d < drawn; ++d) {
      const std::string& line = drawings[static_cast<std::size_t>(d)][row];
      picture += line;
      picture += d + 1 < drawn ? std::string(static_cast<std::size_t>(columns + kGap - shown(line)), ' ') : "\n";
    }
  text += shows_colours(STDOUT_FILENO) ? coloured(picture) : picture;
  text += "query down, key across";
  if (report.n > columns) text += "; a cell's shade is the share of its pairs that attend";
  if (drawn < distinct) text += fmt::format("; {} more are not drawn", distinct - drawn);
  return text + "\n";
}

std::string report_text(const Report& report) {
  const double pairs = report.mean * static_cast<double>(report.n);  // a head, on average
  std::string text = written(report.layout) + "\n";
  text += line("length", fmt::format("{} positions, {} head{}", with_commas(report.n), report.heads,
                                     report.heads == 1 ? "" : "s"));
  text += line("keys a query", fmt::format("{:.1f} on average, {} at most", report.mean, with_commas(report.most)));
  text += line("pairs a head", fmt::format("{} of {}, {:.2f} % of dense", with_commas(std::llround(pairs)),
                                           with_commas(report.n * (report.n + 1) / 2), 100 * report.share));
  if (report.distinct.size() > 1) text += heads_text(report);
  text += line("reaches", reach_text(report));
  if (report.problems.empty()) text += line("problems", "none found");
  for (std::size_t p = 0; p < report.problems.size(); ++p)
    text += line(p == 0 ? "problems" : "", "- " + report.problems[p]);
  return text;
}

// Different patterns side by side.
void write_picture(const Report& report, const std::string& path) {
  const int count = static_cast<int>(std::min<std::size_t>(kDrawings, report.distinct.size()));
  if (lower_ending(path) == ".svg") {
    const int width = count * (kPicturePixels + kPictureGap) - kPictureGap;
    std::string svg =
        fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n",
                    width, kPicturePixels);
    for (int d = 0; d < count; ++d)
      svg += fmt::format("<g transform=\"translate({},0)\">\n{}</g>\n", d * (kPicturePixels + kPictureGap),
                         draw_svg(report.distinct[static_cast<std::size_t>(d)], report.n, kPicturePixels));
    write_file_atomically(path, svg + "</svg>\n");
    return;
  }
  Image strip;
  for (int d = 0; d < count; ++d) {
    const Image image = draw_image(report.distinct[static_cast<std::size_t>(d)], report.n, kPicturePixels);
    if (d == 0) {
      strip.height = image.height;
      strip.width = count * (image.width + kPictureGap) - kPictureGap;
      strip.bytes.assign(static_cast<std::size_t>(strip.width) * static_cast<std::size_t>(strip.height) * 3, 255);
    }
    for (int y = 0; y < image.height; ++y)
      std::copy_n(image.bytes.begin() + std::ptrdiff_t{3} * y * image.width, std::ptrdiff_t{3} * image.width,
                  strip.bytes.begin() +
                      std::ptrdiff_t{3} * (std::ptrdiff_t{y} * strip.width + d * (image.width + kPictureGap)));
  }
  write_png(strip, path);
}

int run(const Options& options) {
  if (options.length < 1 || options.length > kLongest)
    throw_invalid(fmt::format("--length: needs a whole number in [1, {}], got {}", kLongest, options.length));
  if (options.heads && (*options.heads < 1 || *options.heads > kMostHeads))
    throw_invalid(fmt::format("--heads: needs a whole number in [1, {}], got {}", kMostHeads, *options.heads));
  keep_json_alone("--picture", options.picture, options.json);
  check_output("--picture", options.picture, FileForm::png_or_svg);
  const Report report = examine(options);
  if (!options.picture.empty()) {
    write_picture(report, options.picture);
    if (!options.quiet) say("wrote " + escaped(options.picture) + "\n");
  }
  if (options.json) {
    print_json(json_of(report));
  } else {
    print_words(report_text(report));
    print(drawings_text(report));  // as it is: it may be in colour
  }
  return 0;
}

}  // namespace

Command pattern_command(CommandLine program) {
  auto options = std::make_shared<Options>();
  CommandLine app =
      program.add_command("pattern", "Explains an attention pattern: what it reads, costs, reaches; draws it");
  app.add_option("PATTERN", options->attention,
                 "A pattern, or as in a configuration a JSON list over blocks, inner lists over heads.\n"
                 "dense, window(w), local(l), column(l), strided(l), row(l), summary(l,c[,o]),\n"
                 "fixed(l,c), previous_row(l), prefix(p), digits(l,m); a union is written a | b")
      .required();
  app.add_option("--length", options->length, "Positions of the sequence, n").type_name("N").required();
  app.add_option("--heads", options->heads, "Heads that share the layer (default: as many as a list names)")
      .type_name("H");
  app.add_option("--picture", options->picture, "Writes a picture too: FILE.png or FILE.svg").type_name("FILE");
  app.add_flag("--json", options->json, "One JSON object on standard output");
  app.add_flag("--quiet", options->quiet, "No messages on standard error");
  app.add_footer(
      "Examples:\n"
      "  longstride pattern 'fixed(128,32)' --length 12288 --heads 4\n"
      "  longstride pattern 'strided(8)' --length 64 --picture strided.svg\n"
      "  longstride pattern '[\"window(128)\", \"column(128)\"]' --length 12288 --json");
  return {app, [options] { return run(*options); }};
}

}  // namespace longstride::program
