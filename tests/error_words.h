// The words of an error, for tests of what is refused.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "longstride/error.h"

namespace longstride {

// The sentence of the Error that `action` throws, "no error" where it throws none; a failure of the test where it is of
// another kind.
template <class Action>
std::string words_of_error(ErrorKind kind, Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "no error";
}

// The same where there must be one.
template <class Action>
std::string error_words(ErrorKind kind, Action&& action) {
  const std::string words = words_of_error(kind, action);
  EXPECT_NE(words, "no error");
  return words;
}

template <class Action>
void expect_refused(Action&& action, const std::string& sentence) {
  EXPECT_EQ(words_of_error(ErrorKind::invalid_argument, action), sentence);
}

}  // namespace longstride
