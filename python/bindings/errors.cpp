// Errors of the library become exceptions of longstride.errors, by their kind and with their sentence.
#include "longstride/error.h"

#include <unistd.h>

#include <atomic>

#include "bindings.h"

namespace longstride::python {
namespace {

const char* exception_name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument:
      return "InvalidArgument";
    case ErrorKind::corrupt_data:
      return "CorruptData";
    case ErrorKind::unavailable:
      return "Unavailable";
    case ErrorKind::exhausted:
      return "Exhausted";
    case ErrorKind::diverged:
      return "Diverged";
    case ErrorKind::stopped:
    case ErrorKind::reader_gone:
      break;
  }
  return "Error";
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    const nb::object type = nb::module_::import_("longstride.errors").attr(exception_name(error.kind()));
    // A path in the sentence may be no UTF-8: its bytes become what Python's own paths make of them.
    const nb::object sentence = nb::steal(PyUnicode_DecodeFSDefault(error.what()));
    if (sentence.is_valid()) PyErr_SetObject(type.ptr(), sentence.ptr());
  }
}

std::atomic<pid_t> computing_process{0};

}  // namespace

void bind_errors(nb::module_&) { nb::register_exception_translator(translate); }

void refuse_after_fork() {
  pid_t none = 0;
  const pid_t here = getpid();
  if (computing_process.compare_exchange_strong(none, here) || none == here) return;
  throw Error(ErrorKind::unavailable,
              "longstride: a process that was forked after its parent had computed cannot compute, since threads are "
              "not forked; start it with multiprocessing's method \"spawn\" or \"forkserver\"");
}

}  // namespace longstride::python
