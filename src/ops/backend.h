// All that a device must do: memory, and programs. The model, the trainer and the engine know no other way to compute.
// Memory of a backend may be out of the host's reach: what the host reads or writes goes through upload and download.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "longstride/config.h"
#include "ops/program.h"
#include "parallel/carrier.h"

namespace longstride {

class World;  // parallel/world.h

// A program that a device has prepared. Compiled once, bound once, run often: run does nothing a second time that the
// program alone decides.
class Executable {
 public:
  virtual ~Executable() = default;

  // Of the program, before bind: its arena; and the backend's scratch memory, which all executables of a backend share.
  virtual std::int64_t arena_bytes() const = 0;
  virtual std::int64_t workspace_bytes() const = 0;

  // arena: memory of the backend, arena_bytes() at least, which other executables may use between runs of this one.
  // Reserves the scratch memory. Errors: invalid_argument where an operand has no address, exhausted.
  virtual void bind(void* arena) = 0;
  // The program that runs: views of it are bound by it, for upload and download.
  virtual const Program& program() const = 0;

  // at_mark is called where the program has a Mark, on this thread; what it throws ends the run. What it asks of the
  // backend is done between what comes before the mark and what comes behind it.
  using AtMark = std::function<void(const Mark&)>;
  virtual void run(const StepInputs& inputs, const AtMark& at_mark) = 0;
  void run(const StepInputs& inputs = {}) { run(inputs, {}); }
};

// What a device is and can do.
struct Facts {
  std::string device;  // "cpu"
  std::string name;    // of the processor
  std::int64_t memory_bytes = 0;
  std::int64_t memory_available_bytes = 0;  // now
  bool bfloat16 = false;                    // products of bfloat16 run natively
};

class Backend {
 public:
  virtual ~Backend() = default;

  // Memory of the device, aligned to 64 bytes, contents undefined and untouched. Error exhausted: says how much.
  virtual void* allocate(std::int64_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  virtual void upload(void* to, const void* from_host, std::int64_t bytes) = 0;
  virtual void download(void* to_host, const void* from, std::int64_t bytes) = 0;
  // Where the host can read these bytes, after wait(): in place where memory is the host's, else in `staging`, filled.
  virtual const void* readable(const void* memory, std::int64_t bytes, std::vector<std::byte>& staging) = 0;
  virtual void copy(void* to, const void* from, std::int64_t bytes) = 0;
  virtual void zero(void* memory, std::int64_t bytes) = 0;
  virtual void wait() = 0;  // until everything asked for is done
  // The host reads and writes this memory as its own, and a call has done its work when it returns.
  virtual bool memory_is_hosts() const = 0;

  // Of memory that is not the host's: brings it to that of the other processes of `world` without the host's between,
  // where why_no_carrier() is empty, else a sentence without its end. All of `world` call it. Error unavailable.
  virtual std::string why_no_carrier() const { return "this device has no carrier of its own"; }
  virtual std::unique_ptr<Carrier> make_carrier(World& world);

  // Checks the program's operations and prepares them; allocates no memory of the device before bind. Addresses are
  // not looked at: to know what a program needs is to compile it. Error invalid_argument: which operation, and why.
  virtual std::unique_ptr<Executable> compile(Program program) = 0;

  virtual Facts facts() const = 0;
  // Measured when first asked for, about 0.2 s, and remembered: the best product of matrices of this type on all
  // threads, multiply-adds (not flops) a second.
  virtual double product_rate(DType type) const = 0;
  // Rate of bfloat16's products over float32's, measured in turn in about 0.1 s and remembered; 0: none run natively.
  virtual double bfloat16_over_float32() const = 0;
};

// Compiles and binds operations on operands that name memory, without an arena.
std::unique_ptr<Executable> compile_bound(Backend& backend, std::vector<Operation> operations);
// The same of one operation, run at once: for what is done once, and for tests.
void run_once(Backend& backend, Operation operation, const StepInputs& inputs = {});

// Device::automatic: the first card where this build and this machine can use it, else the processor. Errors:
// unavailable where there is no such device; invalid_argument where there are cards, and none of that number.
std::unique_ptr<Backend> make_backend(Device device);
void check_device(Device device);  // the same errors, without making anything

// One a device; where a build lacks the device, the linker finds a stub that throws Error(unavailable).
std::unique_ptr<Backend> make_cpu_backend();
std::unique_ptr<Backend> make_cuda_backend(int card = 0);

// Why this build or this machine cannot use that card, a sentence without its end; empty where it can be used.
std::string why_no_cuda(int card = 0);

// The device of this process among those of `world`, all of which call it: each takes the first of the cards that it is
// shown, from the one that was asked for on, that it can use and that no process before it on its machine has taken.
// Device::automatic: cards where all find one, else processors. Alone: what was asked for. Errors: as check_device;
// invalid_argument, in all of them, where one finds no card, finds one of another kind or was asked for another device.
Device device_among(World& world, Device asked);

}  // namespace longstride
