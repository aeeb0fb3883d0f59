// longstride chat RUN: a person writes, the model goes on, by turns. It continues texts; it does not answer.
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "choice.h"
#include "command.h"
#include "conversation.h"
#include "lines.h"
#include "longstride/error.h"
#include "options.h"
#include "output.h"
#include "signals.h"
#include "words.h"

namespace longstride::program {
namespace {

constexpr const char* kHelp =
    "  a line of text     the model goes on from it; an empty one: from where it is\n"
    "  a line that ends in \\   is not all yet: the line end is a part of it\n"
    "  /temperature T, /top-k K, /top-p P, /min-p P, /seed S, /tokens N, /stop TEXT   as the options of sample\n"
    "  /again             takes back what was made last and makes it anew with the next seed\n"
    "  /forget            begins with nothing\n"
    "  /help, /quit       and Ctrl-C stops what is being made; a text that begins with / is typed with //\n";

const std::vector<std::string> kCommands = {"/temperature", "/top-k", "/top-p", "/min-p",  "/seed", "/tokens",
                                            "/stop",        "/again", "/help",  "/forget", "/quit"};

struct ChatArguments {
  RunOptions run;
  SampleOptions what;
  ChoiceOptions choice;
  std::string precision = "float32", device = "auto";
  std::int64_t threads = 0;
  bool quiet = false;
};

template <typename Number>
void read_number(const std::string& command, const std::string& word, Number& value) {
  Number number{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc() || end != word.data() + word.size() || word.empty())
    throw_invalid(fmt::format("{}: needs a number, got \"{}\"", command, word));
  value = number;
}

class Chat {
 public:
  Chat(Model& model, const SampleOptions& options, const std::atomic<bool>& stop, bool quiet)
      : conversation_(model),
        options_(options),
        stop_(stop),
        quiet_(quiet),
        terminal_(::isatty(STDOUT_FILENO) == 1),
        asks_(!quiet && ::isatty(STDIN_FILENO) == 1),
        vocabulary_(model.config().model.vocabulary) {}

  // The exit status.
  int run() {
    if (asks_) say("a text to go on from, or /help\n");
    while (!left_) {
      if (asks_) say("> ");
      const std::optional<std::string> line = reader_.next(stop_);
      left_ = !line;
      if (left_ && asks_) say("\n");
      if (left_ && (stop_.load() || typed_.empty())) break;
      try {
        if (line)
          take(*line);
        else
          answer();  // to a line that was to go on
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::invalid_argument) throw;
        tell(error.what());
      }
    }
    return stop_.load() ? kInterrupted : 0;
  }

 private:
  void tell(const std::string& sentence) {
    if (!quiet_) say(escaped_lines(sentence) + (sentence.ends_with('\n') ? "" : "\n"));
  }

  void take(const std::string& line) {
    const bool command = line.starts_with('/') && !line.starts_with("//");
    if (command && typed_.empty()) return obey(line);
    typed_ += line.starts_with("//") && typed_.empty() ? line.substr(1) : line;
    if (typed_.ends_with('\\')) {
      typed_.back() = '\n';
      return;
    }
    answer();
  }

  void answer() {
    for (const char byte : typed_) require_known(static_cast<unsigned char>(byte));
    conversation_.add(typed_);
    typed_.clear();
    go_on();
  }

  void require_known(unsigned char byte) {
    if (byte < vocabulary_) return;
    typed_.clear();
    throw_invalid(fmt::format("byte {} is outside the model's vocabulary of {}", byte, vocabulary_));
  }

  void go_on() {
    const bool moved = conversation_.moved_on();
    conversation_.go_on(
        options_, [this](std::uint8_t token) { show(token); }, stop_);
    if (terminal_) print(printable_.rest());
    print("\n");
    if (!moved && conversation_.moved_on())
      tell("(the text has outgrown the context: its first half is forgotten whenever it is full)");
    if (take_interruption() && asks_) say("\n");
  }

  void show(std::uint8_t token) {
    const std::string_view byte(reinterpret_cast<const char*>(&token), 1);
    print(terminal_ ? printable_.add(byte) : std::string(byte));
  }

  void obey(const std::string& line) {
    const std::size_t space = line.find(' ');
    const std::string command = line.substr(0, space), word = space == std::string::npos ? "" : line.substr(space + 1);
    if (command == "/quit") {
      left_ = true;
    } else if (command == "/help") {
      tell(kHelp);
    } else if (command == "/forget") {
      conversation_.forget();
    } else if (command == "/again") {
      again();
    } else if (command == "/stop") {
      add_stop(word);
    } else {
      set(command, word);
    }
  }

  void again() {
    if (!conversation_.take_back()) throw_invalid("/again: nothing was made that could be made anew");
    ++options_.seed;
    go_on();
  }

  void add_stop(const std::string& word) {
    if (word.empty()) {
      options_.stops.clear();
    } else {
      options_.stops.push_back(bytes_of(word));
    }
    tell(word.empty() ? "no text ends a turn any more" : fmt::format("a turn ends with \"{}\" too", word));
  }

  void set(const std::string& command, const std::string& word) {
    SampleOptions changed = options_;
    bool known = false;
    const auto take = [&](const char* name, auto& value) {
      if (command != name) return;
      read_number(command, word, value);
      known = true;
    };
    take("/temperature", changed.temperature), take("/top-k", changed.top_k), take("/top-p", changed.top_p);
    take("/min-p", changed.min_p), take("/seed", changed.seed), take("/tokens", changed.tokens);
    if (!known)
      throw_invalid(fmt::format("{}: no such command{}; /help lists them", command, nearest_words(command, kCommands)));
    try {
      require_possible(changed);
    } catch (const Error& error) {  // which names the option, --temperature
      const std::string sentence = error.what();
      throw_invalid(sentence.starts_with("--") ? "/" + sentence.substr(2) : sentence);
    }
    options_ = changed;
    tell(fmt::format("{} is {} now", command.substr(1), word));
  }

 public:
  // Throws invalid_argument, naming the option, where one is out of range.
  static void require_possible(const SampleOptions& options) {
    if (options.tokens < 1)
      throw_invalid(fmt::format("--tokens: needs a whole number of at least 1, got {}", options.tokens));
    const float even[2] = {0, 0};
    choose_token(even, options, 0);
  }

 private:
  Conversation conversation_;
  SampleOptions options_;
  const std::atomic<bool>& stop_;
  bool quiet_, terminal_, asks_;
  bool left_ = false;
  LineReader reader_;
  std::string typed_;  // lines that were said to go on
  PrintableText printable_;
  std::int64_t vocabulary_;
};

// What was chosen where nothing was asked for.
std::string precision_words(const Model& model) {
  const char* chosen = model.precision() == Precision::bfloat16 ? "bfloat16" : "float32";
  const bool as_trained = model.config().training.precision != Precision::automatic;
  return fmt::format("in {}: {}", chosen, as_trained ? "as the run trained" : "its products are the faster ones here");
}

int run(ChatArguments& arguments) {
  apply_threads(arguments.threads);
  const Precision precision = parse_precision(arguments.precision);
  const Device device = parse_device(arguments.device);
  const std::atomic<bool>* stop = stop_on_signals("");
  const auto note = [&](const std::string& sentence) {
    if (!arguments.quiet) say(message("chat", sentence) + "\n");
  };
  Model model({arguments.run.run, chosen_checkpoint(arguments.run, note), device, precision});
  const DataConfig& data = model.config().data;
  if (!is_text(data))
    throw_invalid(fmt::format("chat is for texts, and the model has learned from {}; `longstride sample` makes them",
                              kind_words(data)));
  const std::string choice = settle_choice(arguments.choice, data, arguments.what);
  Chat::require_possible(arguments.what);
  if (precision == Precision::automatic) note(precision_words(model));
  if (!choice.empty()) note(choice);
  return Chat(model, arguments.what, *stop, arguments.quiet).run();
}

}  // namespace

Command chat_command(CommandLine program) {
  CommandLine app = program.add_command("chat", "Write a text with a model by turns: it goes on from what is typed");
  auto arguments = std::make_shared<ChatArguments>();
  add_run_options(app, arguments->run);
  app.add_option("--tokens", arguments->what.tokens, "Of a turn, at most").type_name("N").capture_default_str();
  add_choice_options(app, arguments->choice, arguments->what, "0.8");
  app.add_option("--precision", arguments->precision, "As of sample").type_name(kPrecisions).capture_default_str();
  add_threads_option(app, arguments->threads);
  add_device_option(app, arguments->device);
  app.add_flag("--quiet", arguments->quiet, "Nothing on standard error");
  app.add_example("longstride chat runs/first --tokens 200\n  echo 'Once upon a time' | longstride chat runs/first");
  return {app, [arguments] { return run(*arguments); }};
}

}  // namespace longstride::program
