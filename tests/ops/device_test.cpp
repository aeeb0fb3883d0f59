// These tests read devices as words, and ask for cards that are not there.
#include <gtest/gtest.h>

#include "error_words.h"
#include "longstride/device.h"
#include "ops/backend.h"

namespace longstride {
namespace {

TEST(DeviceWords, AreReadAsTheyAreWritten) {
  for (const char* word : {"auto", "cpu", "cuda", "cuda:1", "cuda:17", "cuda:9999"}) {
    const std::optional<Device> read = read_device(word);
    ASSERT_TRUE(read.has_value()) << word;
    EXPECT_EQ(to_string(*read), word);
  }
  EXPECT_EQ(read_device("cuda:0"), Device(Device::cuda));
  EXPECT_EQ(read_device("cuda:2"), Device(Device::cuda, 2));
  EXPECT_NE(read_device("cuda:2"), Device(Device::cuda));
  for (const char* word : {"", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:+1", "cuda: 1", "cuda:1 ", "cuda:1a",
                           "cuda:10000", "cpu:0", "auto:1"})
    EXPECT_FALSE(read_device(word).has_value()) << word;
}

TEST(DeviceWords, ACardThatIsNotThereIsAnError) {
  const Device none(Device::cuda, 9999);
  const std::string why =
      cards().empty() ? why_no_cuda(9999) + "; needs cpu" : "needs a card that this process is shown";
  const ErrorKind kind = cards().empty() ? ErrorKind::unavailable : ErrorKind::invalid_argument;
  for (const std::string& words :
       {error_words(kind, [&] { make_backend(none); }), error_words(kind, [&] { check_device(none); })})
    EXPECT_EQ(words.find("device: " + why), 0u) << words;
  check_device(Device::cpu), check_device(Device::automatic);
}

}  // namespace
}  // namespace longstride
