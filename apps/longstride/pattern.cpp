// longstride pattern: what a pattern reads, what it costs, whether everything arrives, what is wrong, and how it looks.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "longstride/error.h"
#include "longstride/image.h"
#include "longstride/pattern.h"

namespace longstride::program {

namespace {

constexpr std::int64_t kLongest = std::int64_t{1} << 31;  // counts of pairs fit 64 bits
constexpr std::int64_t kMostHeads = 4096;
constexpr int kDrawings = 4;       // of different patterns at most
constexpr int kColumns = 72;       // of a drawing at most
constexpr int kPicturePixels = 768;
constexpr int kPictureGap = 24;

struct Options {
  std::string attention;
  std::int64_t length = 0;
  std::int64_t heads = 0;  // 0: as many as the longest list over heads
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

[[noreturn]] void refuse(const std::string& sentence) { throw Error(ErrorKind::invalid_argument, sentence); }

// "19470336" -> "19,470,336".
std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

Report examine(const Options& options) {
  Report report;
  report.layout = read_attention(options.attention);
  report.n = options.length;
  std::size_t listed = 1;
  for (const std::vector<Pattern>& heads : report.layout.blocks) listed = std::max(listed, heads.size());
  report.heads = options.heads > 0 ? options.heads : static_cast<std::int64_t>(listed);
  double pairs = 0;
  std::vector<Head> counted;  // heads that share a pattern are counted once
  for (std::size_t b = 0; b < report.layout.blocks.size(); ++b) {
    report.blocks.emplace_back();
    for (std::int64_t h = 0; h < report.heads; ++h) {
      const Pattern pattern = report.layout.head(static_cast<std::int64_t>(b), h);
      auto known = std::find_if(counted.begin(), counted.end(), [&](const Head& head) { return head.pattern == pattern; });
      if (known == counted.end()) {
        known = counted.insert(known, {pattern, count_pairs(pattern, report.n), max_keys(pattern, report.n)});
        report.distinct.push_back(pattern);
      }
      report.blocks.back().push_back(*known);
      pairs += static_cast<double>(known->pairs);
      report.most = std::max(report.most, known->most);
    }
  }
  const double n = static_cast<double>(report.n), all = static_cast<double>(report.blocks.size()) * static_cast<double>(report.heads);
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

std::string json_text(const Report& report) {
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
  return json.dump(2) + "\n";
}

std::string reach_text(const Report& report) {
  const Reach& reach = report.reach;
  const char* tried = reach.exact ? "" : " (tried on a few queries)";
  if (!reach.all) return fmt::format("not everything: position {} never arrives at {}", grouped(reach.key), grouped(reach.query));
  return fmt::format("every earlier position, in {} layer{}{}", grouped(reach.steps), reach.steps == 1 ? "" : "s", tried);
}

void print_line(const char* name, const std::string& text) { std::printf("  %-14s %s\n", name, text.c_str()); }

std::string pairs_text(std::int64_t pairs, std::int64_t n) {
  const double all = static_cast<double>(n) * (static_cast<double>(n) + 1) / 2;
  return fmt::format("{:>15}  {:6.2f} %", grouped(pairs), 100 * static_cast<double>(pairs) / all);
}

// One line a pattern: where several differ.
void print_heads(const Report& report) {
  for (std::size_t b = 0; b < report.blocks.size(); ++b)
    for (std::size_t h = 0; h < report.blocks[b].size(); ++h) {
      const Head& head = report.blocks[b][h];
      std::size_t last = h;
      while (last + 1 < report.blocks[b].size() && report.blocks[b][last + 1].pattern == head.pattern) ++last;
      const std::string heads = h == last ? fmt::format("head {}", h) : fmt::format("heads {}-{}", h, last);
      const std::string where = report.blocks.size() > 1 ? fmt::format("block {}, {}", b, heads) : heads;
      print_line(where.c_str(), fmt::format("{}  {}", pairs_text(head.pairs, report.n), to_string(head.pattern)));
      h = last;
    }
}

// Blocks of colour and faint dots, on a terminal.
std::string coloured(const std::string& drawing) {
  constexpr const char* kDot = "·";
  std::string text = "\x1b[36m";
  for (std::size_t at = 0; at < drawing.size();) {
    if (drawing.compare(at, 2, kDot) == 0) {
      std::size_t end = at;
      while (drawing.compare(end, 2, kDot) == 0) end += 2;
      text += "\x1b[90m" + drawing.substr(at, end - at) + "\x1b[36m";
      at = end;
    } else {
      text += drawing[at++];
    }
  }
  return text + "\x1b[0m";
}

void print_drawings(const Report& report) {
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  winsize size{};
  int columns = kColumns;
  if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 8)
    columns = std::min<int>(kColumns, size.ws_col - 4);
  const std::size_t drawn = std::min<std::size_t>(kDrawings, report.distinct.size());
  for (std::size_t d = 0; d < drawn; ++d) {
    const std::string drawing = draw_text(report.distinct[d], report.n, columns);
    std::printf("\n%s (query down, key across)\n%s", to_string(report.distinct[d]).c_str(),
                (terminal ? coloured(drawing) : drawing).c_str());
  }
  if (drawn < report.distinct.size()) std::printf("\n%zu more are not drawn\n", report.distinct.size() - drawn);
}

void print_report(const Report& report) {
  std::printf("%s\n", written(report.layout).c_str());
  print_line("length", fmt::format("{} positions, {} head{}", grouped(report.n), report.heads, report.heads == 1 ? "" : "s"));
  print_line("keys a query", fmt::format("{:.1f} on average, {} at most", report.mean, grouped(report.most)));
  print_line("pairs a head", fmt::format("{} of {} ({:.2f} % of dense)",
                                         grouped(static_cast<std::int64_t>(report.mean * static_cast<double>(report.n) + 0.5)),
                                         grouped(report.n * (report.n + 1) / 2), 100 * report.share));
  if (report.distinct.size() > 1) print_heads(report);
  print_line("reaches", reach_text(report));
  if (report.problems.empty()) print_line("problems", "none found");
  for (const std::string& problem : report.problems) print_line(&problem == &report.problems[0] ? "problems" : "", "- " + problem);
  print_drawings(report);
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() > end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Written aside and renamed: complete or not at all.
void write_text(const std::string& text, const std::string& path) {
  const std::string aside = fmt::format("{}.{}.part", path, getpid());
  std::ofstream file(aside, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (file && std::rename(aside.c_str(), path.c_str()) == 0) return;
  std::remove(aside.c_str());
  throw Error(ErrorKind::exhausted, fmt::format("--picture: \"{}\" could not be written; does its folder exist, and is there room?", path));
}

// Different patterns side by side.
void write_picture(const Report& report, const std::string& path) {
  const int count = static_cast<int>(std::min<std::size_t>(kDrawings, report.distinct.size()));
  if (ends_with(path, ".svg")) {
    const int width = count * (kPicturePixels + kPictureGap) - kPictureGap;
    std::string svg = fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n",
                                  width, kPicturePixels);
    for (int d = 0; d < count; ++d)
      svg += fmt::format("<g transform=\"translate({},0)\">\n{}</g>\n", d * (kPicturePixels + kPictureGap),
                         draw_svg(report.distinct[static_cast<std::size_t>(d)], report.n, kPicturePixels));
    write_text(svg + "</svg>\n", path);
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
                  strip.bytes.begin() + std::ptrdiff_t{3} * (std::ptrdiff_t{y} * strip.width + d * (image.width + kPictureGap)));
  }
  write_png(strip, path);
}

int run(const Options& options) {
  if (options.length < 1 || options.length > kLongest)
    refuse(fmt::format("--length: needs a whole number in [1, {}], got {}", kLongest, options.length));
  if (options.heads < 0 || options.heads > kMostHeads)
    refuse(fmt::format("--heads: needs a whole number in [1, {}], got {}", kMostHeads, options.heads));
  if (!options.picture.empty() && !ends_with(options.picture, ".png") && !ends_with(options.picture, ".svg"))
    refuse(fmt::format("--picture: needs a name that ends in .png or .svg, got \"{}\"", options.picture));
  const Report report = examine(options);
  if (!options.picture.empty()) {
    write_picture(report, options.picture);
    if (!options.quiet) std::fprintf(stderr, "wrote %s\n", options.picture.c_str());
  }
  if (options.json) {
    std::fputs(json_text(report).c_str(), stdout);
  } else {
    print_report(report);
  }
  return 0;
}

}  // namespace

Command pattern_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* app = program.add_subcommand("pattern", "Explains an attention pattern: what it reads, costs, reaches; draws it");
  app->add_option("PATTERN", options->attention,
                  "A pattern, or as in a configuration a JSON list over blocks, inner lists over heads.\n"
                  "dense, window(w), local(l), column(l), strided(l), row(l), summary(l,c[,o]),\n"
                  "fixed(l,c), previous_row(l), prefix(p), digits(l,m); a union is written a | b")
      ->required();
  app->add_option("--length", options->length, "Positions of the sequence, n")->required();
  app->add_option("--heads", options->heads, "Heads that share the layer (default: as many as a list names)");
  app->add_option("--picture", options->picture, "Writes a picture too: FILE.png or FILE.svg");
  app->add_flag("--json", options->json, "One JSON object on standard output");
  app->add_flag("--quiet", options->quiet, "No messages on standard error");
  app->footer(
      "Examples:\n"
      "  longstride pattern 'fixed(128,32)' --length 12288 --heads 4\n"
      "  longstride pattern 'strided(8)' --length 64 --picture strided.svg\n"
      "  longstride pattern '[\"window(128)\", \"column(128)\"]' --length 12288 --json");
  return {app, [options] { return run(*options); }};
}

}  // namespace longstride::program
