// These tests hold what oneDNN is told of threads against what the host program is left with.
#include <gtest/gtest.h>
#include <omp.h>

#include <stdexcept>
#include <thread>
#include <vector>

#include "cpu/product.h"

namespace longstride::cpu {
namespace {

int of_another_thread() {
  int number = 0;
  std::thread([&] { number = omp_get_max_threads(); }).join();
  return number;
}

TEST(ThreadsOfOneDnn, AreOfOneThreadAndOneTime) {
  const int before = omp_get_max_threads(), elsewhere = of_another_thread();
  {
    const ThreadsOfOneDnn many(before + 2);
    EXPECT_EQ(omp_get_max_threads(), before + 2);
    const OneThread one;
    EXPECT_EQ(omp_get_max_threads(), 1);
    EXPECT_EQ(of_another_thread(), elsewhere);  // OpenMP keeps a number for each thread
  }
  EXPECT_EQ(omp_get_max_threads(), before);
}

TEST(ThreadsOfOneDnn, AreGivenBackWhateverIsThrown) {
  const int before = omp_get_max_threads();
  try {
    const ThreadsOfOneDnn many(before + 2);
    throw std::runtime_error("anything");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(omp_get_max_threads(), before);
}

TEST(ThreadsOfOneDnn, AreWhatTheyWereAfterAProductWasPacked) {
  const int before = omp_get_max_threads();
  const std::vector<float> b(64 * 64, 1.0f);
  Products products;
  Product& product = products.find({.m = 64, .n = 64, .k = 64, .a_row = 64, .b_row = 64, .c_row = 64, .pack = true});
  std::vector<char> packed(static_cast<std::size_t>(product.packed_bytes()));
  product.pack(b.data(), packed.data());
  EXPECT_EQ(omp_get_max_threads(), before);
}

}  // namespace
}  // namespace longstride::cpu
