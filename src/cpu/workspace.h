// Scratch memory of a backend: one reserved block, handed out from its start and taken back in the order of scopes.
// Rule: whoever takes opens a Workspace::Scope first; what was taken is valid until that scope ends. Only the thread
// that calls the backend takes; memory for the threads of a loop is taken before the loop, threads() times what one
// needs.
#pragma once

#include <cstdint>
#include <vector>

namespace longstride::cpu {

inline constexpr std::int64_t kWorkspaceAlignment = 64;  // a cache line, and the widest vector

class Workspace {
 public:
  Workspace() = default;
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // What `bytes` taken at once occupy: add these up for a workspace_bytes().
  static std::int64_t rounded(std::int64_t bytes) {
    return (bytes + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
  }

  // Makes the block at least this large. Not inside a scope.
  void reserve(std::int64_t bytes);

  // Contents undefined. Where the block is too small the memory comes from the system, and the block is made large
  // enough when the outermost scope ends: the second time nothing is allocated. Error exhausted.
  void* take(std::int64_t bytes);
  float* floats(std::int64_t count) { return static_cast<float*>(take(count * 4)); }

  std::int64_t reserved_bytes() const { return reserved_; }

  class Scope {
   public:
    explicit Scope(Workspace& workspace) : workspace_(workspace), used_(workspace.used_) { ++workspace_.scopes_; }
    ~Scope() { workspace_.leave(used_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Workspace& workspace_;
    std::int64_t used_;
  };

 private:
  void leave(std::int64_t used) noexcept;
  char* block_ = nullptr;
  std::int64_t reserved_ = 0;
  std::int64_t used_ = 0;
  std::int64_t most_ = 0;  // largest used_ so far, extra blocks counted
  int scopes_ = 0;
  std::vector<char*> extra_;  // what the block could not hold, until the outermost scope ends
};

// Memory aligned to 64 bytes, to 2 MiB where it is that large (huge pages). Error exhausted names `who` and the bytes.
void* allocate_aligned(const char* who, std::int64_t bytes);
void release_aligned(void* memory) noexcept;

}  // namespace longstride::cpu
