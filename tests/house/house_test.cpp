// The architecture as a test: which room may include which, what only certain rooms may know, how large files may be.
// Rule: everything is read from the source tree itself; a check that finds nothing to read fails.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const fs::path kRoot = LONGSTRIDE_SOURCE_DIR;

// The rooms, bottom to top, and the rooms each may include besides itself. The public headers are open to all.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"pattern", {}},
    {"ops", {"pattern", "parallel"}},
    {"cpu", {"ops", "pattern", "io"}},         // implements ops/backend.h; no room includes it
    {"cuda", {"ops", "pattern", "parallel"}},  // likewise; brings its memory to other processes
    {"attention", {"ops", "pattern"}},
    {"io", {}},
    {"parallel", {"io"}},
    {"data", {"io", "ops"}},
    {"model", {"pattern", "ops", "io"}},
    {"evaluate", {"model", "data", "parallel", "ops", "io", "pattern"}},
    {"sample", {"model", "data", "parallel", "ops", "io", "pattern"}},
    {"train", {"sample", "evaluate", "model", "data", "parallel", "ops", "io", "pattern"}},
    {"doctor", {"train", "model", "ops", "io", "pattern"}},
};

// Headers from outside that only some rooms may know, by how their names begin. "apps": the program; "python": the
// bindings.
const std::vector<std::pair<std::string, std::set<std::string>>> kOnlyIn = {
    {"oneapi/", {"cpu"}},
    {"dnnl", {"cpu"}},
    {"immintrin.h", {"cpu", "io"}},
    {"omp.h", {"cpu"}},
    {"cuda_", {"cuda"}},
    {"cublas", {"cuda"}},
    {"nccl", {"cuda"}},
    {"dlfcn.h", {"cuda"}},
    {"png", {"io"}},
    {"jpeglib", {"io"}},
    {"sndfile", {"io"}},
    {"soxr", {"io"}},
    {"CLI/", {"apps"}},
    {"iostream", {"apps"}},
    {"csignal", {"apps", "python"}},  // stopping is the program's affair; the library is given a flag
    {"chrono",                        // the model knows no clock
     {"doctor", "train", "evaluate", "sample", "parallel", "cpu", "cuda", "io", "apps", "python"}},
};

constexpr int kMostLines = 400;
constexpr int kMostLinesOfAPublicHeader = 200;

struct Include {
  fs::path file;  // relative to the root
  int line;
  bool quoted;
  std::string target;
  std::string where() const { return file.string() + ":" + std::to_string(line); }
};

std::string read(const fs::path& file) {
  std::ifstream stream(kRoot / file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// Files below `folder` with one of the endings, relative to the root, sorted. At least one, or the test fails.
std::vector<fs::path> files(const std::string& folder, const std::set<std::string>& endings) {
  std::vector<fs::path> found;
  if (fs::is_directory(kRoot / folder)) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      if (entry.is_regular_file() && endings.contains(entry.path().extension().string())) {
        found.push_back(fs::relative(entry.path(), kRoot));
      }
    }
  }
  std::sort(found.begin(), found.end());
  EXPECT_FALSE(found.empty()) << "no source files below " << kRoot / folder;
  return found;
}

std::vector<fs::path> sources(const std::string& folder) { return files(folder, {".h", ".cpp", ".cu", ".inl"}); }

std::vector<Include> includes(const fs::path& file) {
  static const std::regex directive(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  std::vector<Include> found;
  std::istringstream text(read(file));
  std::string line;
  for (int number = 1; std::getline(text, line); ++number) {
    std::smatch match;
    if (std::regex_search(line, match, directive)) found.push_back({file, number, match[1] == "\"", match[2]});
  }
  return found;
}

std::string first_folder(const std::string& target) { return target.substr(0, target.find('/')); }

// src/ROOM/... -> ROOM, apps/... -> apps, python/... -> python, include/... -> include.
std::string room_of(const fs::path& file) {
  auto part = file.begin();
  const std::string top = part->string();
  return top == "src" ? (++part)->string() : top;
}

int count_lines(const std::string& text) { return static_cast<int>(std::count(text.begin(), text.end(), '\n')); }

void expect_only_in(const Include& include) {
  for (const auto& [beginning, rooms] : kOnlyIn) {
    if (include.target.starts_with(beginning)) {
      EXPECT_TRUE(rooms.contains(room_of(include.file))) << include.where() << " includes " << include.target;
    }
  }
}

TEST(House, EveryFolderOfSrcIsARoomOfTheTable) {
  std::set<std::string> rooms;
  for (const fs::path& file : sources("src")) rooms.insert(room_of(file));
  for (const std::string& room : rooms) EXPECT_TRUE(kMayInclude.contains(room)) << "src/" << room;
  for (const auto& [room, below] : kMayInclude) EXPECT_TRUE(rooms.contains(room)) << "src/" << room << " holds nothing";
}

TEST(House, TheTableHasNoCircle) {
  std::set<std::string> settled;
  for (std::size_t pass = 0; pass < kMayInclude.size(); ++pass) {
    for (const auto& [room, below] : kMayInclude) {
      if (std::includes(settled.begin(), settled.end(), below.begin(), below.end())) settled.insert(room);
    }
  }
  EXPECT_EQ(settled.size(), kMayInclude.size());
}

TEST(House, RoomsIncludeOnlyRoomsBelowThem) {
  int seen = 0;
  for (const fs::path& file : sources("src")) {
    const std::string room = room_of(file);
    ASSERT_TRUE(kMayInclude.contains(room)) << file;
    for (const Include& include : includes(file)) {
      expect_only_in(include);
      const std::string target = first_folder(include.target);
      EXPECT_NE(target, "..") << include.where() << ": name headers from the root of src/";
      if (!include.quoted) {
        EXPECT_FALSE(kMayInclude.contains(target)) << include.where() << ": our own headers are quoted";
        continue;
      }
      ++seen;
      if (target == "longstride") {
        EXPECT_TRUE(fs::exists(kRoot / "include" / include.target)) << include.where();
        continue;
      }
      EXPECT_TRUE(fs::exists(kRoot / "src" / include.target)) << include.where() << " includes " << include.target;
      EXPECT_TRUE(target == room || kMayInclude.at(room).contains(target))
          << include.where() << ": " << room << " may not include " << target;
    }
  }
  EXPECT_GT(seen, 0);
}

TEST(House, PublicHeadersIncludeOnlyPublicHeaders) {
  for (const fs::path& file : sources("include")) {
    for (const Include& include : includes(file)) {
      expect_only_in(include);
      if (!include.quoted) continue;
      EXPECT_EQ(first_folder(include.target), "longstride") << include.where();
      EXPECT_TRUE(fs::exists(kRoot / "include" / include.target)) << include.where();
    }
  }
}

TEST(House, ProgramsSeePublicHeadersAndTheirOwnOnly) {
  for (const char* folder : {"apps", "python"}) {
    for (const fs::path& file : sources(folder)) {
      for (const Include& include : includes(file)) {
        expect_only_in(include);
        if (!include.quoted) continue;
        const bool own = fs::exists((kRoot / file).parent_path() / include.target) ||
                         fs::exists(kRoot / "apps/longstride" / include.target);  // apps/manual asks the commands
        const bool open = fs::exists(kRoot / "include" / include.target);
        EXPECT_TRUE(own || open) << include.where() << " includes " << include.target;
      }
    }
  }
}

TEST(House, TheLibraryNeverPrintsExitsOrReadsTheEnvironment) {
  static const std::regex forbidden(R"(\b(std::cout|std::cerr|printf|fprintf|puts|exit|abort|getenv)\s*(\(|<<))");
  for (const fs::path& file : sources("src")) {
    std::istringstream text(read(file));
    std::string line;
    for (int number = 1; std::getline(text, line); ++number) {
      if (line.find("getenv(\"LONGSTRIDE_ISA\")") != std::string::npos) continue;
      EXPECT_FALSE(std::regex_search(line, forbidden)) << file.string() << ":" << number << ": " << line;
    }
  }
}

// Nothing but src/io opens a file to write it: what is written is whole or absent, and its errors are in one form.
TEST(House, OnlyTheRoomOfFilesWritesFiles) {
  static const std::regex writing(
      R"(std::(ofstream|fstream)\b|\b(fopen|freopen|mkstemp|creat)\s*\(|O_(CREAT|WRONLY|RDWR))");
  for (const char* folder : {"src", "apps", "bench", "examples", "include", "python"}) {
    for (const fs::path& file : sources(folder)) {
      EXPECT_TRUE(room_of(file) == "io" || !std::regex_search(read(file), writing)) << file;
    }
  }
}

TEST(House, FilesAreShort) {
  for (const char* folder : {"src", "apps", "tests", "include", "python"}) {
    for (const fs::path& file : files(folder, {".h", ".cpp", ".cu", ".inl", ".py"})) {
      EXPECT_LT(count_lines(read(file)), kMostLines) << file;
    }
  }
  for (const fs::path& file : sources("include")) EXPECT_LE(count_lines(read(file)), kMostLinesOfAPublicHeader) << file;
}

TEST(House, NamesSayWhatAFileIsFor) {
  for (const char* folder : {"src", "apps", "tests", "include", "python"}) {
    for (const fs::path& file : files(folder, {".h", ".cpp", ".cu", ".inl", ".py"})) {
      for (const char* word : {"util", "helper", "manager", "misc", "common"}) {
        EXPECT_EQ(file.filename().string().find(word), std::string::npos) << file;
      }
    }
  }
}

TEST(House, FilesOpenWithWhatTheyAreFor) {
  for (const char* folder : {"src", "apps", "bench", "examples", "tests", "include", "python"}) {
    for (const fs::path& file : sources(folder)) EXPECT_TRUE(read(file).starts_with("//")) << file;
  }
  for (const fs::path& file : sources("include")) {
    EXPECT_NE(read(file).find("\n#pragma once\n"), std::string::npos) << file;
  }
}

// All of the library is compiled hidden (cmake/rooms.cmake): a header without these would link nowhere but in the tree.
TEST(House, NamesOfPublicHeadersLeaveTheSharedLibrary) {
  for (const fs::path& file : sources("include")) {
    const std::string text = read(file);
    EXPECT_NE(text.find("\n#pragma GCC visibility push(default)"), std::string::npos) << file;
    EXPECT_TRUE(text.ends_with("\n#pragma GCC visibility pop\n")) << file;
  }
}

TEST(House, NothingIsLeftForLater) {
  for (const char* folder : {"src", "apps", "include", "python"}) {
    for (const fs::path& file : sources(folder)) {
      const std::string text = read(file);
      for (const char* mark : {"TODO", "FIXME"}) EXPECT_EQ(text.find(mark), std::string::npos) << file;
    }
  }
}

// Paths in the documentation, relative to the root, to src/ or to docs/.
TEST(House, DocumentsNameOnlyFilesThatAreThere) {
  static const std::regex path(R"((^|[`( ])([a-z_]+(/[a-z_0-9]+)*/[a-z_0-9]+\.(h|cpp|py|md|cmake|png)))");
  std::vector<fs::path> documents = files("docs", {".md"});
  for (const char* name : {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}) documents.push_back(name);
  int seen = 0;
  for (const fs::path& document : documents) {
    const std::string text = read(document);
    EXPECT_FALSE(text.empty()) << document;
    for (auto match = std::sregex_iterator(text.begin(), text.end(), path); match != std::sregex_iterator(); ++match) {
      const std::string named = (*match)[2];
      const bool there =
          fs::exists(kRoot / named) || fs::exists(kRoot / "src" / named) || fs::exists(kRoot / "docs" / named);
      EXPECT_TRUE(there) << document << " names " << named;
      ++seen;
    }
  }
  EXPECT_GT(seen, 0);
}

// What a comment refers a reader to is in the tree: a .md file by its path from the root, or by its bare name in docs/
// or at the root.
TEST(House, CommentsCiteOnlyDocumentsThatAreThere) {
  static const std::regex document(R"([A-Za-z_0-9/-]+\.md\b)");
  int seen = 0;
  for (const char* folder : {"src", "apps", "bench", "tests", "include", "cmake", "python"}) {
    for (const fs::path& file : files(folder, {".h", ".cpp", ".cu", ".inl", ".py", ".cmake", ".sh"})) {
      if (file.filename() == "house_test.cpp") continue;  // it names endings
      const std::string text = read(file);
      for (auto match = std::sregex_iterator(text.begin(), text.end(), document); match != std::sregex_iterator();
           ++match) {
        const std::string named = match->str();
        EXPECT_TRUE(fs::exists(kRoot / named) || fs::exists(kRoot / "docs" / named)) << file << " cites " << named;
        ++seen;
      }
    }
  }
  EXPECT_GT(seen, 0);
}

// One binary for every machine, and the same bits everywhere: no instruction set for whole files, no fast maths.
TEST(House, BuildFilesSetNoForbiddenFlags) {
  std::vector<fs::path> build_files = files("cmake", {".cmake"});
  build_files.push_back("CMakeLists.txt");
  build_files.push_back("CMakePresets.json");
  for (const fs::path& file : build_files) {
    const std::string text = read(file);
    ASSERT_FALSE(text.empty()) << file;
    for (const char* flag : {"-ffast-math", "-Ofast", "-funsafe", "-march", "-mavx", "-mfma", "-mtune"}) {
      EXPECT_EQ(text.find(flag), std::string::npos) << file << " sets " << flag;
    }
  }
  EXPECT_NE(read("cmake/rooms.cmake").find("-ffp-contract=off"), std::string::npos);
}

TEST(House, TestsMirrorTheTree) {
  const std::set<std::string> wholes = {"house", "reference", "apps", "fuzz", "faults", "python"};  // of no single room
  for (const fs::path& file : files("tests", {".h", ".cpp", ".inl", ".py"})) {
    const fs::path folder = *std::next(file.begin());
    if (folder == file.filename()) continue;  // shared by all tests
    EXPECT_TRUE(kMayInclude.contains(folder.string()) || wholes.contains(folder.string()))
        << file << ": tests/" << folder.string() << " is no room";
  }
}

}  // namespace
