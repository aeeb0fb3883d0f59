// What single bytes cost, on lines and pages; texts written by turns; samples as people want them.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "apps/program.h"
#include "longstride/utf8.h"

namespace longstride {
namespace {

using nlohmann::json;

class Looking : public Commands {
 protected:
  void SetUp() override { train(3); }
  Finished sample(const std::vector<std::string>& more) const { return sample_of("30", more); }
  Finished sample_of(const std::string& tokens, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"sample", path("run"), "--prompt", "line ", "--tokens", tokens};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
  Finished chat(const std::string& typed, const std::vector<std::string>& more = {}) {
    write("typed", typed);
    input_ = path("typed");
    std::vector<std::string> arguments = {"chat", path("run"), "--tokens", "12"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
};

TEST_F(Looking, EveryByteIsALineAndTheyAddUpToTheLast) {
  const Finished done = run({"evaluate", path("run"), "--data", path("text"), "--per-byte", "--bytes", "100",
                             "--min-context", "9", "--expected", "2"});
  ASSERT_EQ(done.status, 0) << done.err;
  std::istringstream lines(done.out);
  std::vector<json> objects;
  for (std::string line; std::getline(lines, line);) objects.push_back(json::parse(line));
  ASSERT_EQ(objects.size(), 101u);
  double bits = 0;
  for (std::size_t at = 0; at < 100; ++at) {
    const json& one = objects[at];
    EXPECT_EQ(one["at"], at);
    EXPECT_EQ(one["byte"], read("text")[at]);
    EXPECT_EQ(one["text"], std::string(1, read("text")[at]));
    ASSERT_EQ(one["expected"].size(), 2u);
    EXPECT_GE(one["expected"][0]["probability"], one["expected"][1]["probability"]);
    bits += one["bits"].get<double>();
  }
  EXPECT_NEAR(bits / 100, objects[100]["bits_per_byte"].get<double>(), 1e-9);
  EXPECT_NE(done.err.find("bits per byte ± "), std::string::npos);
}

TEST_F(Looking, APageShowsEveryCharacterWholeAndNoneAsMarkup) {
  write("odd", "<b>&amp; \"K\xc3\xa4se\"\n\t\xff\x1b[31m\xe2\x80\xae end");
  const Finished done = run({"evaluate", path("run"), "--data", path("odd"), "--page", path("page.html")});
  ASSERT_EQ(done.status, 0) << done.err;
  const std::string page = read("page.html");
  const std::string body = page.substr(page.find("<pre>"));
  for (const char* part : {">&lt;</i>", ">&amp;</i>", ">&quot;</i>", ">\xc3\xa4</i>", "\xe2\x86\xb5</i>\n</i>", "\\xff",
                           "&#x241b;", "U+202E", "; expected "})
    EXPECT_NE(body.find(part), std::string::npos) << part;
  EXPECT_EQ(body.find("<b>"), std::string::npos);
  EXPECT_EQ(body.find('\x1b'), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos);
  const std::size_t begin = page.find(" bits over ") + std::string_view(" bits over ").size();
  const std::string protocol = page.substr(begin, page.find(".</p>", begin) - begin);
  EXPECT_NE(done.out.find("\n" + protocol + "; "), std::string::npos) << protocol << done.out;
  for (const char* part : {"from offset 0 on (sha256 ", " at step 3 (sha256 ", "minimum context"})
    EXPECT_NE(protocol.find(part), std::string::npos) << protocol;
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_NE(done.out.find("bits per byte"), std::string::npos);
  EXPECT_EQ(refused({"evaluate", path("run"), "--data", path("odd"), "--page", path("p"), "--bytes", "900000"}),
            "longstride evaluate: --page: shows at most 262,144 bytes, got --bytes 900000; --offset shows others\n");
  EXPECT_EQ(refused({"evaluate", path("run"), "--data", path("odd"), "--expected", "2"}),
            "longstride evaluate: --expected: is for --per-byte and --page; give one of them too\n");
}

TEST_F(Looking, TheTemperatureThatSuitsTheKindIsSaid) {
  const Finished usual = sample({});
  EXPECT_NE(usual.err.find("at temperature 0.8, which suits text; --temperature takes another"), std::string::npos);
  const Finished given = sample({"--temperature", "0.8"});
  EXPECT_EQ(given.out, usual.out);
  EXPECT_EQ(given.err.find("suits"), std::string::npos);
  EXPECT_EQ(sample({"--json", "--quiet"}).json()["temperature"], 0.8);
}

TEST_F(Looking, SamplesEndWithATextAndLeaveThePromptAway) {
  const std::string whole = sample({}).out;
  const std::string made = whole.substr(5);
  EXPECT_EQ(sample({"--no-echo"}).out, made);
  const std::string stop = made.substr(10, 2);
  const std::string until = made.substr(0, made.find(stop) + 2);
  EXPECT_EQ(sample({"--stop", stop}).out, "line " + until);
  const json told = sample({"--stop", stop, "--no-echo", "--json", "--temperature", "1"}).json()["samples"][0];
  EXPECT_EQ(told["hex"].get<std::string>().size(), 2 * told["log_probabilities"].size());
  EXPECT_LT(told["log_probabilities"][0], 0);
  EXPECT_EQ(refused({"sample", path("run"), "--scale", "4"}),
            "longstride sample: --scale: is for pictures, the model has learned from text\n");
}

// A model of three steps writes any bytes; the terminal gets characters, line ends and tabs.
TEST_F(Looking, ATerminalGetsNoCommandsAndNoBytesThatAreNoText) {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(terminal, 0);
  ASSERT_EQ(::grantpt(terminal) + ::unlockpt(terminal), 0);
  const std::string slave = ::ptsname(terminal);
  const int held = ::open(slave.c_str(), O_RDWR | O_NOCTTY);  // or the program's end would throw away what it wrote
  const std::vector<std::string> options = {"sample",   path("run"), "--prompt",      "K\xc3\xa4se\xe2\x80\xae ",
                                            "--tokens", "600",       "--temperature", "3"};
  const std::string whole = run(options).out;
  ASSERT_NE(whole.find('\x1b'), std::string::npos);  // some of 600 are
  EXPECT_EQ(run(options, slave).status, 0);
  char bytes[4096];
  const std::string shown(bytes, static_cast<std::size_t>(std::max<ssize_t>(0, ::read(terminal, bytes, sizeof bytes))));
  EXPECT_TRUE(shown.starts_with("K\xc3\xa4se... ")) << shown;
  EXPECT_GT(shown.size(), 500u);
  for (std::size_t at = 0; at < shown.size();) {
    const std::size_t length = utf8_length(std::string_view(shown).substr(at));
    ASSERT_GT(length, 0u) << at;
    const auto byte = static_cast<unsigned char>(shown[at]);
    EXPECT_TRUE(length > 1 || byte >= 0x20 || byte == '\n' || byte == '\t' || byte == '\r') << int{byte};
    at += length;
  }
  ::close(held);
  ::close(terminal);
}

TEST_F(Looking, WhatIsSaidStandsOnLinesOfItsOwnWhereBothStreamsAreOne) {
  const auto joined = [&](const std::string& more) {
    const std::string command = "'" LONGSTRIDE_PROGRAM "' sample '" + path("run") + "' --prompt 'line ' " + more;
    const Finished done = finish(start_words({"sh", "-c", command + " 2>&1 | cat"}));
    EXPECT_EQ(done.status, 0);
    return done.out;
  };
  const std::string text = sample_of("60", {}).out;  // the context is 40
  const std::string note = "longstride sample: at temperature 0.8, which suits text; --temperature takes another\n";
  const std::string moved = "longstride sample: ";
  const std::string all = joined("--tokens 60");
  ASSERT_TRUE(all.starts_with(note + "line ")) << all;
  const std::size_t second = all.find(moved, note.size());
  ASSERT_NE(second, std::string::npos) << all;
  EXPECT_EQ(all[second - 1], '\n');
  const std::size_t end = all.find('\n', second);
  std::string rest = all.substr(note.size(), second - note.size()) + all.substr(end + 1);
  if (rest.size() > text.size()) rest.erase(second - note.size() - 1, 1);  // the line end that the note needed
  EXPECT_EQ(rest, text);
}

TEST_F(Looking, WhatComputesIsSaidWithItsReasonWhereNobodyChose) {
  const Finished evaluated = run({"evaluate", path("run"), "--data", path("text")});
  EXPECT_NE(evaluated.err.find("longstride evaluate: in float32: as the run trained\n"), std::string::npos)
      << evaluated.err;
  const Finished sampled = sample({"--precision", "auto"});
  const bool bfloat16 = sampled.err.find("longstride sample: in bfloat16: products of bfloat16 run at ") == 0;
  const bool float32 = sampled.err.find("longstride sample: in float32: ") == 0;
  EXPECT_TRUE(bfloat16 || float32) << sampled.err;
  EXPECT_EQ(sample({}).err.find("in float32"), std::string::npos);
  EXPECT_EQ(run({"evaluate", path("run"), "--data", path("text"), "--precision", "float32"}).err.find(": in "),
            std::string::npos);
}

// A model of bytes scores any; that they are pictures by their name is said.
TEST_F(Looking, MediaAreNotScoredAsTextWithoutAWord) {
  write("photo.png", "\x89PNG\r\n\x1a\n and so on");
  const std::string words =
      "\"" + path("photo.png") +
      "\" is no text by its name, and the model has learned from text: bytes are scored as they lie\n";
  const Finished scored = run({"evaluate", path("run"), "--data", path("photo.png")});
  EXPECT_EQ(scored.status, 0) << scored.err;
  EXPECT_NE(scored.err.find(words), std::string::npos) << scored.err;
  EXPECT_EQ(refused({"attention", path("run"), "--prime", path("photo.png")}),
            "longstride attention: \"/photo.png\" is a picture, and the model has learned from text\n");
  EXPECT_EQ(run({"evaluate", path("run"), "--data", path("text")}).err.find("no text"), std::string::npos);
}

// What train refuses is scored with a word.
TEST_F(Looking, PackedTextsAreNotScoredWithoutAWord) {
  write("text.gz", "\x1f\x8b\x08 and so on");
  write("text.raw", "\x1f\x8b\x08 and so on");
  const std::string learned = ", and the model has learned from text: bytes are scored as they lie\n";
  for (const auto& [name, what] : {std::pair("text.gz", "packed"), {"text.raw", "packed, as its first bytes say"}}) {
    const Finished scored = run({"evaluate", path("run"), "--data", path(name)});
    EXPECT_EQ(scored.status, 0) << scored.err;
    EXPECT_NE(scored.err.find("\"" + path(name) + "\" is " + what + learned), std::string::npos) << scored.err;
  }
}

TEST_F(Looking, APictureIsNoBeginningOfAText) {
  write("photo.jpg", "\xff\xd8\xff\xe0 and more");
  EXPECT_EQ(refused({"sample", path("run"), "--prime", path("photo.jpg")}),
            "longstride sample: --prime: \"/photo.jpg\" is a picture, and the model has learned from text\n");
  write("sound", "RIFF....WAVEfmt ");
  EXPECT_NE(refused({"sample", path("run"), "--prime", path("sound")}).find("is a recording, and"), std::string::npos);
}

// What is typed and what is made are one text; what sample makes of it at once is the same.
TEST_F(Looking, ATextIsWrittenByTurns) {
  const Finished turns = chat("line \n\n");
  ASSERT_EQ(turns.status, 0) << turns.err;
  const std::string made = sample_of("24", {"--no-echo"}).out;
  EXPECT_EQ(turns.out, made.substr(0, 12) + "\n" + made.substr(12) + "\n");
}

TEST_F(Looking, ByTurnsEverythingCanBeChangedAndTakenBack) {
  const std::string greedy = sample_of("12", {"--no-echo", "--temperature", "0"}).out;
  EXPECT_EQ(chat("/temperature 0\nline \n", {"--quiet"}).out, greedy + "\n");
  const std::string other = sample_of("12", {"--no-echo", "--seed", "2"}).out;
  const Finished again = chat("line \n/again\n/forget\n/seed 2\nline ");  // the last line has no end
  const std::string first = sample_of("12", {"--no-echo"}).out;
  EXPECT_EQ(again.out, first + "\n" + other + "\n" + other + "\n");
  const Finished wrong = chat("/again\n/temperature hot\n/top-p 2\n/dance\n");
  EXPECT_EQ(wrong.status, 0);
  EXPECT_EQ(wrong.out, "");
  for (const char* said : {"/again: nothing was made", "/temperature: needs a number, got \"hot\"",
                           "/top-p: needs a number in (0, 1]", "/dance: no such command"})
    EXPECT_NE(wrong.err.find(said), std::string::npos) << said << wrong.err;
}

// As the line end is a part of it, where one was to follow.
TEST_F(Looking, ByTurnsALineThatWasToGoOnIsAnsweredWhereNothingFollows) {
  const std::string made = chat("line\\\n\n").out;
  EXPECT_EQ(made.size(), 13u) << made;
  EXPECT_EQ(chat("line\\\n").out, chat("line\\").out);
  EXPECT_EQ(chat("line\\").out.size(), 13u);
  const Finished known = chat("line\\\n/quit\\");  // no command within a line
  EXPECT_EQ(known.out.size(), 13u) << known.out;
}

TEST_F(Looking, WordsThatAreNearlyOnesAreSaidWithTheNearest) {
  const std::vector<std::string> evaluate = {"evaluate", path("run"), "--data", path("text")};
  const auto said = [&](const std::string& option, const std::string& word) {
    std::vector<std::string> words = evaluate;
    words.insert(words.end(), {option, word});
    const std::string sentence = refused(words);
    return sentence.substr(sentence.find(", got ") + 2);
  };
  EXPECT_EQ(said("--split", "tst"), "got \"tst\"; the nearest is test\n");
  EXPECT_EQ(said("--split", "nothing"), "got \"nothing\"\n");
  EXPECT_EQ(said("--precision", "bf16"), "got \"bf16\"; the nearest is bfloat16\n");
  EXPECT_EQ(said("--precision", "flaot32"), "got \"flaot32\"; the nearest is float32\n");
  EXPECT_EQ(said("--checkpoint", "lates"), "got \"lates\"; the nearest is latest\n");
  EXPECT_EQ(said("--device", "cpi"), "got \"cpi\"; the nearest is cpu\n");
  EXPECT_NE(chat("/tmperature 0.5\n").err.find("/tmperature: no such command; the nearest is /temperature; /help"),
            std::string::npos);
}

TEST_F(Looking, AttentionTakesAtextFromStandardInputToo) {
  const auto looks = [&](const std::string& prime) {
    json told = run({"attention", path("run"), "--prime", prime, "--json"}).json();
    EXPECT_EQ(told["input"], prime);
    told.erase("input");
    return told;
  };
  input_ = path("text");
  EXPECT_EQ(looks("-"), looks(path("text")));
  input_ = "/dev/null";
  EXPECT_EQ(refused({"attention", path("run"), "--prime", "-"}),
            "longstride attention: --prime: standard input is empty\n");
}

// Copies of a run may lack it.
TEST_F(Looking, TheBestCheckpointIsNotAnotherOneWithoutAWord) {
  ASSERT_EQ(run({"train", "--resume", "--out", path("run"), "--steps", "4", "--quiet"}).status, 0);
  const std::string best = std::filesystem::read_symlink(path("run/best")).filename();
  ASSERT_EQ(best, "000000004");  // the newer it is, the better
  const auto missing = [&] { return run({"info", path("run"), "--json"}).json()["missing_best"]; };
  EXPECT_TRUE(missing().is_null());
  EXPECT_EQ(sample({"--checkpoint", "best"}).status, 0);
  std::filesystem::rename(path("run/checkpoints/" + best), path("elsewhere"));
  const std::string gone = "the best checkpoint of run \"/run\", that of step 4, is missing",
                    other = path("run/checkpoints/000000003/model.safetensors");
  const std::vector<std::vector<std::string>> commands = {{"sample", path("run"), "--tokens", "5"},
                                                          {"evaluate", path("run"), "--data", path("text")},
                                                          {"attention", path("run"), "--prime", path("text")},
                                                          {"chat", path("run")},
                                                          {"info", path("run")}};
  for (std::vector<std::string> words : commands) {
    const Finished done = run(words);
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_NE(done.err.find(", that of step 4, is missing; \"" + other + "\" takes its place\n"), std::string::npos)
        << done.err;
    words.insert(words.end(), {"--checkpoint", "best"});
    EXPECT_EQ(refused(words, 1), "longstride " + words[0] + ": --checkpoint: " + gone + "; it has 3\n");
  }
  EXPECT_EQ(missing(), 4);
  EXPECT_NE(run({"info", path("run")}).out.find("\n  best        step 4, whose checkpoint is missing\n"),
            std::string::npos);
  EXPECT_EQ(sample({"--checkpoint", "latest"}).err.find("is missing"), std::string::npos);
}

TEST_F(Looking, ByTurnsATextMayOutgrowTheContext) {
  const Finished turns = chat("line \n\n\n\n\n");  // 65 tokens and a context of 40
  ASSERT_EQ(turns.status, 0) << turns.err;
  EXPECT_NE(turns.err.find("has outgrown the context"), std::string::npos) << turns.err;
  const std::string made = sample_of("60", {"--no-echo"}).out;
  std::string joined;
  for (std::size_t at = 0; at < 60; at += 12) joined += made.substr(at, 12) + "\n";
  EXPECT_EQ(turns.out, joined);
}

}  // namespace
}  // namespace longstride
