// These tests wait for the other ends of pipes: what comes late is read and written whole, and a flag ends each wait.
#include "io/waits.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "io/scratch.h"
#include "longstride/error.h"
#include "longstride/file.h"

namespace longstride {
namespace {

class Waits : public ::testing::Test {
 protected:
  Waits() {
    EXPECT_EQ(::mkfifo(pipe_.c_str(), 0600), 0);
    end_waits_on(&stop_);
  }
  ~Waits() override { end_waits_on(nullptr); }

  static void wait_ms(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

  // Sets the flag while `what` is under way. Its error's words.
  std::string stopped(const std::function<void()>& what) {
    std::thread signal([&] {
      wait_ms(200);
      stop_ = true;
    });
    const std::string words = error_words(ErrorKind::stopped, what);
    signal.join();
    return words;
  }

  Scratch scratch_;
  std::string pipe_ = scratch_ / "pipe", text_ = std::string(300'000, 'a');  // more than a pipe holds
  std::atomic<bool> stop_ = false;
};

TEST_F(Waits, WhatComesLateIsReadWhole) {
  std::thread writer([&] {
    wait_ms(250);
    write_file_atomically(pipe_, text_);
  });
  EXPECT_EQ(read_text(pipe_), text_);
  writer.join();
}

TEST_F(Waits, AWriterThatGivesNothingEndsAText) {
  std::thread writer([&] {
    wait_ms(150);
    const Descriptor opened = open_to_write(pipe_);
  });
  EXPECT_EQ(read_text(pipe_), "");
  writer.join();
}

TEST_F(Waits, AReaderWhoComesLateAndIsSlowGetsAll) {
  std::string got;
  std::thread reader([&] {
    wait_ms(250);
    const Descriptor file = open_to_read(pipe_);
    std::string block(50'000, '\0');
    stop_ = true;  // from now on nobody is waited for that takes nothing for two seconds
    while (const std::size_t count = read_some(file, block, pipe_)) {
      got += block.substr(0, count);
      wait_ms(50);
    }
  });
  write_file_atomically(pipe_, text_);
  reader.join();
  EXPECT_EQ(got, text_);
}

TEST_F(Waits, EndWhereTheFlagIsSet) {
  EXPECT_EQ(stopped([&] { read_text(pipe_); }), "stopped while it waited for what \"" + pipe_ + "\" gives");
  stop_ = false;
  const std::string nobody = "stopped while it waited for somebody to read \"" + pipe_ + "\"";
  EXPECT_EQ(stopped([&] { write_file_atomically(pipe_, text_); }), nobody);
  stop_ = false;
  const Descriptor reader(open_path(pipe_, O_RDONLY | O_NONBLOCK));  // and reads nothing
  EXPECT_EQ(stopped([&] { write_file_atomically(pipe_, text_); }), nobody);
}

TEST_F(Waits, StandardInputIsReadFromWhereItStandsAndSaidToBeClosed) {
  put(scratch_ / "text", "one two");
  const Descriptor before(::dup(STDIN_FILENO)), file(open_path(scratch_ / "text", O_RDONLY)),
      nothing(open_path("/", O_PATH));
  ::lseek(file.get(), 4, SEEK_SET);
  ::dup2(file.get(), STDIN_FILENO);
  EXPECT_EQ(read_text("/dev/stdin"), "two");
  ::dup2(nothing.get(), STDIN_FILENO);
  for (const std::string name : {"/dev/stdin", "/dev/fd/0"})
    EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { read_text(name); }),
              "cannot read \"" + name + "\": standard input is closed");
  ::close(STDIN_FILENO);
  error_words(ErrorKind::invalid_argument, [] { read_text("/dev/stdin"); });
  if (before.get() >= 0) ::dup2(before.get(), STDIN_FILENO);
}

}  // namespace
}  // namespace longstride
