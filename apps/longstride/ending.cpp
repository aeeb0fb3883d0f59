// This turns what a command throws into words and an exit status.
#include "ending.h"

#include <exception>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <system_error>

#include "longstride/error.h"
#include "output.h"
#include "signals.h"

namespace longstride::program {

namespace {

constexpr const char* kNoMemory = "there is not enough memory for this; `longstride plan` says how much it needs";

int status_of(ErrorKind kind) {
  if (kind == ErrorKind::stopped) return kInterrupted;
  return kind == ErrorKind::invalid_argument ? 2 : 1;
}

}  // namespace

Ending ending_of_what_was_thrown() {
  try {
    throw;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::reader_gone) return {"", kReaderGone};
    return {error.what(), status_of(error.kind())};
  } catch (const std::bad_alloc&) {
    return {kNoMemory, 1};
  } catch (const std::length_error&) {  // more than any memory has
    return {kNoMemory, 1};
  } catch (const std::filesystem::filesystem_error& error) {
    const std::string path = error.path1().string();
    return {(path.empty() ? "the file system refuses" : "cannot use \"" + path + "\"") + ": " + error.code().message(),
            1};
  } catch (const std::system_error& error) {  // of a thread that is not given
    return {"the system gives no more threads or memory: " + error.code().message(), 1};
  } catch (const std::exception& error) {
    return {std::string("a fault of the program itself, please report it: ") + error.what(), 1};
  }
}

}  // namespace longstride::program
