// What the documents show works: every command of theirs runs, in order, on data as they name them, with runs of texts,
// pictures and sound beside them. Only lengths are cut: minutes, steps, tokens and numbers of samples.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <regex>

#include "apps/program.h"
#include "longstride/image.h"
#include "longstride/sound.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

// The commands of a document: indented lines that call the program, joined where they go on in the next; `RUN` is one.
std::vector<std::string> commands_of(const fs::path& document) {
  std::vector<std::string> commands;
  std::ifstream lines(document);
  for (std::string line, more; std::getline(lines, line);) {
    while (line.ends_with('\\') && std::getline(lines, more)) line = line.substr(0, line.size() - 1) + " " + more;
    static const std::regex called(R"(^    (?:build/release/)?(longstride [a-z]+ .*))");
    std::smatch found;
    if (!std::regex_match(line, found, called)) continue;
    const std::string command = found[1];
    const bool usage = command.find("[--") != std::string::npos || command.find("...") != std::string::npos;
    if (!usage) commands.push_back(std::regex_replace(command, std::regex(R"(\bRUN\b)"), "runs/first"));
  }
  return commands;
}

// The same command of a moment's length.
std::string cut(std::string command) {
  const bool resumes = command.find("--resume") != std::string::npos;
  command = std::regex_replace(command, std::regex("--minutes [0-9]+"), resumes ? "--minutes 0.2" : "--minutes 0.005");
  command = std::regex_replace(command, std::regex("--steps [0-9]+"), "--steps 2");
  command = std::regex_replace(command, std::regex("--tokens [0-9]+s"), "--tokens 0.01s");
  command = std::regex_replace(command, std::regex("--tokens [0-9]+(?![0-9.s])"), "--tokens 20");
  command = std::regex_replace(command, std::regex("--count [0-9]+"), "--count 2");
  const bool ends = command.find("--minutes") != std::string::npos || command.find("--steps") != std::string::npos;
  if (!command.starts_with("longstride train") || resumes) return command;
  return command + (ends ? "" : " --steps 1") + " --set training.sample_minutes=0";
}

Image some_picture(int size, int number) {
  Image picture{size, size, 3, {}};
  for (int at = 0; at < size * size * 3; ++at) picture.bytes.push_back(static_cast<std::uint8_t>(at * (number + 3)));
  return picture;
}

std::string npy(int count, int size) {
  std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': (" + std::to_string(count) + ", " +
                       std::to_string(size) + ", " + std::to_string(size) + ", 3), }";
  header.resize(117, ' ');
  std::string array = std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + "\n";
  for (int number = 0; number < count; ++number) {
    const Image picture = some_picture(size, number);
    array.append(picture.bytes.begin(), picture.bytes.end());
  }
  return array;
}

class Documents : public Commands {
 protected:
  void SetUp() override {
    for (const char* folder : {"my/texts", "my/photographs", "my/recordings", "runs"})
      fs::create_directories(path(folder));
    std::string text;
    for (int line = 0; text.size() < 40000; ++line) text += "line " + std::to_string(line * line % 97) + " of it.\n";
    for (const char* name : {"book.txt", "other.txt", "my/texts/a.txt", "README.md"}) write(name, text);
    for (int number = 0; number < 40; ++number)
      write_png(some_picture(32, number), path("my/photographs/" + std::to_string(number) + ".png"));
    write_png(some_picture(40, 3), path("photo.jpg"));  // what a file is its content says
    write("discs.npy", npy(60, 24));
    write("one.npy", npy(1, 24));
    std::vector<std::int16_t> samples;
    for (int at = 0; at < 80000; ++at) samples.push_back(static_cast<std::int16_t>(8000 * std::sin(at * 0.11)));
    for (const char* name : {"my/recordings/a.wav", "song.flac"}) WavWriter(path(name), 12000).append(samples);
    for (const char* run : {"first --data book.txt", "pictures --data my/photographs", "music --data my/recordings"})
      ASSERT_EQ(call(cut(std::string("longstride train --out runs/") + run)), "");
  }

  // What it said where it failed, with the command.
  std::string call(const std::string& command) const {
    const std::string folder = fs::path(LONGSTRIDE_PROGRAM).parent_path().string();
    const std::string line =
        "cd '" + root_.string() + "' && PATH='" + folder + "':$PATH && " + command + " >out 2>err </dev/null";
    return std::system(line.c_str()) == 0 ? "" : command + "\n" + read("err");
  }
};

TEST_F(Documents, ShowCommandsThatWork) {
  const fs::path root = LONGSTRIDE_SOURCE_DIR;
  std::vector<fs::path> documents;
  for (const auto& entry : fs::directory_iterator(root / "docs"))
    if (entry.path().extension() == ".md") documents.push_back(entry.path());
  std::sort(documents.begin(), documents.end());
  documents.insert(documents.begin(), root / "README.md");
  int count = 0;
  for (const fs::path& document : documents) {
    std::string trained;
    for (const std::string& command : commands_of(document)) {
      if (command.starts_with("longstride doctor")) continue;  // its own tests run it
      ++count;
      std::smatch out;
      const bool starts = std::regex_search(command, out, std::regex("train .*--out ([^ ]+)"));
      if (starts && command.find("--resume") == std::string::npos) fs::remove_all(path(out[1]));
      EXPECT_EQ(call(cut(command)), "") << document;
    }
  }
  EXPECT_GE(count, 20);
}

}  // namespace
}  // namespace longstride
