// These tests give the program names, folders and descriptors as users have them: brackets, bytes that are no UTF-8,
// relative paths, links, control characters, closed standard streams.
#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "apps/program.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

class Names : public Commands {
 protected:
  // The exit status of a command in the tests' folder; $P is the program.
  int shell(const std::string& command) const {
    ::setenv("P", LONGSTRIDE_PROGRAM, 1);
    const int status = std::system(("cd '" + root_.string() + "' && { " + command + "\n}").c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  // `"$P" train` with a small model; `more` as a shell reads it.
  std::string train_words(const std::string& more) const {
    std::string words = "\"$P\"";
    bool data = false;
    for (const std::string& word : training("train", {})) {
      if (word == "--data" || data) {
        data = word == "--data";
        continue;
      }
      words += " '" + word + "'";
    }
    return words + " " + more;
  }

  nlohmann::json data_paths(const std::string& run) const {
    return nlohmann::json::parse(read(run + "/config.json"))["data"]["paths"];
  }

  void text_file(const std::string& name, const std::string& letter) const {
    std::string text;
    for (int i = 0; i < 4000; ++i) text += letter;
    write(name, text);
  }
};

TEST_F(Names, ClosedDescriptorsAreNotTakenByFiles) {
  const auto is_log = [&](const std::string& run) {
    std::istringstream log(read(run + "/log.jsonl"));
    int lines = 0;
    for (std::string line; std::getline(log, line); ++lines)
      if (!nlohmann::json::accept(line)) return false;
    return lines > 2;
  };
  const std::string closings[] = {"2>&-", "<&- 2>&-", "<&- >&- 2>&-"};
  for (std::size_t at = 0; at < std::size(closings); ++at) {
    const std::string& closing = closings[at];
    const std::string run = "run" + std::to_string(at);
    const bool told = closing.find(" >&-") == std::string::npos;
    const std::string out = told ? " >out " : " ";
    EXPECT_EQ(shell(train_words("--data text --out " + run + " --steps 3" + out + closing)), told ? 0 : 1) << closing;
    EXPECT_TRUE(is_log(run)) << closing;
    EXPECT_EQ(Commands::run({"info", path(run)}).status, 0) << closing;
    for (const auto& file : fs::directory_iterator(path(run + "/tensorboard"))) {
      const std::string events = read(run + "/tensorboard/" + file.path().filename().string());
      EXPECT_EQ(events.find("planned"), std::string::npos) << closing;
    }
  }
  for (const char* command : {"evaluate run0 --data text", "sample run0 --tokens 4", "info run0", "plan",
                              "pattern dense --length 8", "attention run0 --prime text"}) {
    EXPECT_EQ(shell("\"$P\" " + std::string(command) + " --quiet >&- 2>err"), 1) << command;
    EXPECT_NE(read("err").find(": cannot write standard output: "), std::string::npos) << command << read("err");
    EXPECT_EQ(shell("\"$P\" " + std::string(command) + " --quiet <&- >&- 2>&-"), 1) << command;
  }
}

TEST_F(Names, InBracketsAndBracesAreTakenAsTheyAre) {
  for (const char* name : {"[1999]", "{}", "%%", "[a,b]", "1999"}) fs::create_directory(path(name));
  text_file("[1999]/a", "x");
  text_file("{}/a", "y");
  text_file("%%/a", "z");
  text_file("[a,b]/a", "w");
  text_file("1999/a", "wrong");
  ASSERT_EQ(shell(train_words("--data '[1999]' '{}' --data '%%' --data '[a,b]' --steps 1 --quiet --out '[run]' >out")),
            0);
  EXPECT_EQ(data_paths("[run]"), nlohmann::json({path("[1999]"), path("{}"), path("%%"), path("[a,b]")}));
  ASSERT_EQ(shell("\"$P\" evaluate '[run]' --data '[1999]' --json --quiet >result"), 0);
  EXPECT_NE(read("result").find("[1999] (1 file, 4,000 bytes)"), std::string::npos) << read("result");
  ASSERT_EQ(shell("\"$P\" sample '[run]' --prompt '[x]' --prompt '{}' --count 2 --tokens 1 --json --quiet >result"), 0);
  EXPECT_TRUE(nlohmann::json::parse(read("result"))["samples"][0]["text"].get<std::string>().starts_with("[x]"));
  EXPECT_TRUE(nlohmann::json::parse(read("result"))["samples"][1]["text"].get<std::string>().starts_with("{}"));
}

TEST_F(Names, NeedNotBeUtf8) {
  const std::string name = "caf\xe9", folder = "ordn\xe9r";
  fs::create_directory(path(folder));
  text_file(folder + "/" + name, "x");
  const std::string here = "cd '" + folder + "' && ";
  ASSERT_EQ(shell(here + train_words("--data '" + name + "' --steps 2 --out '" + name + "run' >out 2>../err")), 0)
      << read("err");
  EXPECT_EQ(read("err").find("caf\xe9"), std::string::npos);  // a terminal could not show it
  EXPECT_NE(read("err").find("caf\\xe9run"), std::string::npos) << read("err");
  EXPECT_NE(read(folder + "/out").find("$'caf\\xe9run'"), std::string::npos) << read(folder + "/out");
  EXPECT_EQ(shell("cd / && \"$P\" train --resume --out '" + path(folder + "/" + name + "run") + "' --quiet >/dev/null"),
            0);
  EXPECT_EQ(shell(here + train_words("--set 'data.paths=" + name + "' --steps 1 --quiet --out set >out")), 0);
  EXPECT_EQ(data_paths(folder + "/set"), data_paths(folder + "/" + name + "run"));
  EXPECT_EQ(shell(here + "\"$P\" evaluate " + name + "run --data " + name + " --json --quiet >out"), 0);
}

TEST_F(Names, MeanTheSameFromWhereverARunIsGoneOnWith) {
  for (const char* folder : {"one", "two"}) {
    fs::create_directory(path(folder));
    text_file(std::string(folder) + "/a", folder);
  }
  write("one/my.json", R"({"data": {"paths": ["a"], "cache": "decoded"}})");
  ASSERT_EQ(shell("cd one && " + train_words("--config my.json --steps 2 --quiet --out ../run >../out")), 0);
  EXPECT_EQ(data_paths("run"), nlohmann::json({path("one/a")}));
  EXPECT_EQ(nlohmann::json::parse(read("run/config.json"))["data"]["cache"], path("one/decoded"));
  ASSERT_EQ(
      shell("cd one && " + train_words("--set data.paths='[\"a\", \"./a\"]' --steps 2 --quiet --out ../set >../out")),
      0);
  EXPECT_EQ(data_paths("set"), nlohmann::json({path("one/a"), path("one/a")}));
  EXPECT_EQ(shell("cd two && \"$P\" train --resume --out ../run --quiet >../out"), 0);
}

TEST_F(Names, GoUpFromWhereALinkLeads) {
  fs::create_directories(path("real/deep"));
  fs::create_directory(path("here"));
  fs::create_directory_symlink("../real/deep", path("here/link"));
  text_file("real/x", "right");
  text_file("here/x", "no");
  ASSERT_EQ(shell(train_words("--data here/link/../x --steps 1 --out run >out 2>err")), 0) << read("err");
  EXPECT_NE(read("err").find("1 file, 20,000 bytes"), std::string::npos) << read("err");
}

TEST_F(Names, OfDataThatBecomeShorterAreInTheSentence) {
  const pid_t process = start(training("train", {"--out", path("run"), "--steps=10000000", "--threads=1", "--quiet"}));
  for (int tries = 0; tries < 600 && read("run/log.jsonl").size() < 1000; ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  write("text", "");
  const Finished done = finish(process);
  EXPECT_EQ(done.status, 1) << done.err;
  EXPECT_NE(done.err.find("\"" + path("text") + "\" became shorter while it was read"), std::string::npos) << done.err;
  EXPECT_GT(run({"info", path("run"), "--json"}).json()["step"], 0);  // what was learned until then is kept
}

TEST_F(Names, DoNotPaintTheTerminal) {
  const std::string painted =
                        "a\x1b[31m\n\x7f\xc2\x9b"
                        "b\xe2\x80\xaetxt\xe2\x81\xa6\xe2\x80\xa9",
                    shown = "a\\x1b[31m\\x0a\\x7f\\xc2\\x9bb\\xe2\\x80\\xaetxt\\xe2\\x81\\xa6\xe2\x80\xa9";
  const auto says = [&](const std::vector<std::string>& arguments, int status = 2) {
    const std::string sentence = refused(arguments, status);
    EXPECT_NE(sentence.find(shown), std::string::npos) << sentence;
    for (const char* raw : {"\x1b", "\x7f", "\xc2\x9b", "\xe2\x80\xae", "\xe2\x81\xa6"})
      EXPECT_EQ(sentence.find(raw), std::string::npos) << sentence;
  };
  says({"train", "--data", path(painted), "--out", path("run")});
  says({"info", path(painted)});
  says({"pattern", painted, "--length", "8"});
  says({painted});
  says({"plan", "--" + painted});
  says({"plan", "--preset", painted});
  says({"plan", "--set", painted + "=3"});
  says({"plan", "--config", path(painted)});
  text_file(painted, "x");
  const Finished done =
      run(training("train", {"--data", path(painted), "--steps", "1", "--out", path(painted + "run")}));
  EXPECT_EQ(done.status, 0);
  EXPECT_EQ((done.out + done.err).find('\x1b'), std::string::npos) << done.out << done.err;
  const Finished as_json = run({"info", path(painted + "run"), "--json"});
  EXPECT_EQ(as_json.json()["config"]["data"]["paths"][1], path(painted));
  EXPECT_EQ(as_json.out.find("\x7f"), std::string::npos);
  EXPECT_EQ(as_json.out.find("\xc2\x9b"), std::string::npos);
  const std::string words = run({"info", path(painted + "run")}).out;
  EXPECT_NE(words.find(shown), std::string::npos) << words;
  EXPECT_EQ(words.find('\x1b'), std::string::npos) << words;
}

TEST_F(Names, AResultThatNobodyReadsEndsTheProgramWithoutAWord) {
  for (const char* command : {"pattern dense --length 64", "plan --json", "--help", "--version"}) {
    EXPECT_EQ(shell("{ sleep 0.3; \"$P\" " + std::string(command) + " 2>err; echo $? >status; } | true; wait"), 0);
    for (int tries = 0; tries < 200 && read("status").empty(); ++tries)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(read("status"), "141\n") << command;
    EXPECT_EQ(read("err"), "") << command;
    fs::remove(path("status"));
  }
  EXPECT_EQ(shell("\"$P\" plan >/dev/full 2>err"), 1);
  EXPECT_EQ(read("err"), "longstride plan: cannot write standard output: No space left on device\n");
}

TEST_F(Names, OfWhatTakesBytesInPlaceAreForOneSample) {
  ASSERT_EQ(shell(train_words("--data text --out run --steps 1 --quiet >out")), 0);
  write("long", std::string(300'000, 'x'));  // more than a pipe holds
  EXPECT_EQ(shell("mkfifo pipe; { \"$P\" sample run --prime long --tokens 0 --out pipe 2>err; echo $? >status; } & "
                  "head -c 1 pipe >out; wait"),
            0);
  EXPECT_EQ(read("status") + read("err"), "141\n");
  EXPECT_EQ(shell("\"$P\" sample run --tokens 5 --count 2 --out pipe 2>err"), 2);
  EXPECT_EQ(read("err"),
            "longstride sample: --out: 2 samples are as many files; needs a name for them or a folder, got \"pipe\"\n");
}

TEST_F(Names, OfOutputsMayBeLongAndTheirFilesPrivate) {
  const std::string name = std::string(248, 'n') + ".svg";  // 252 bytes
  write(name, "old");
  fs::permissions(path(name), fs::perms::owner_read | fs::perms::owner_write);
  const Finished done = run({"pattern", "dense", "--length", "8", "--picture", path(name)});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_NE(read(name).find("</svg>"), std::string::npos);
  struct stat status = {};
  ASSERT_EQ(::stat(path(name).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  train(1);
  const std::string longer = std::string(250, 'n') + ".txt";  // numbered it has 258
  EXPECT_NE(refused({"sample", path("run"), "--count", "2", "--tokens", "4", "--out", path(longer)})
                .find("--out: names of files have at most 255 bytes"),
            std::string::npos);
}

TEST_F(Names, ThatMayNotBeLookedAtAreNotSaidToBeMissing) {
  train(1);
  fs::create_directory(path("closed"));
  fs::rename(path("run"), path("closed/run"));
  fs::copy(path("text"), path("closed/text"));
  fs::permissions(path("closed"), fs::perms::none);
  fs::permissions(root_, fs::perms::all);
  fs::remove(path("out"));
  fs::remove(path("err"));
  const std::vector<std::vector<std::string>> commands = {
      {"info", path("closed/run")},
      {"evaluate", path("closed/run"), "--data", path("text")},
      {"evaluate", path("closed"), "--data", path("text")},
      {"train", "--resume", "--out", path("closed/run")},
      training("train", {"--out", path("closed/run")}),
      training("train", {"--data", path("closed/text"), "--out", path("other")}),
      {"plan", "--config", path("closed/config.json")},
      {"pattern", "dense", "--length", "8", "--picture", path("closed/a.svg")}};
  for (const auto& command : commands) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(77);
      ::_exit(finish(start(command)).status);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 1) << command[0] << " " << read("err");
    EXPECT_NE(read("err").find("Permission denied"), std::string::npos) << command[0] << " " << read("err");
    EXPECT_EQ(read("err").find("filesystem"), std::string::npos) << read("err");
    fs::remove(path("out"));
    fs::remove(path("err"));
  }
  fs::permissions(path("closed"), fs::perms::all);
}

TEST_F(Names, OfAFolderThatIsGoneAreAnErrorInOneSentence) {
  fs::create_directory(path("gone"));
  EXPECT_EQ(shell("cd gone && rmdir ../gone && { " +
                  train_words("--data a --steps 1 --out run 2>'" + path("err") + "'") + "; }"),
            1);
  const std::string words = read("err");
  EXPECT_NE(words.find("cannot find \"run\": No such file or directory\n"), std::string::npos) << words;
  EXPECT_EQ(std::count(words.begin(), words.end(), '\n'), 1) << words;
}

TEST_F(Names, ASampleThatIsInterruptedSaysSo) {
  train(1);
  for (const std::string& where : {std::string(), path("a.txt")}) {
    std::vector<std::string> arguments = {"sample", path("run"), "--tokens", "100000000", "--threads", "1"};
    if (!where.empty()) arguments.insert(arguments.end(), {"--out", where});
    const pid_t process = start(arguments);
    for (int tries = 0; tries < 100 && read("err").empty() && read("out").empty(); ++tries)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    ::kill(process, SIGINT);
    const Finished done = finish(process);
    EXPECT_EQ(done.status, 130);
    const std::string left = where.empty() ? "what was made until then is printed" : "no file was written";
    EXPECT_NE(done.err.find("longstride sample: interrupted; " + left + "\n"), std::string::npos) << done.err;
    EXPECT_FALSE(exists("a.txt"));
  }
}

}  // namespace
}  // namespace longstride
