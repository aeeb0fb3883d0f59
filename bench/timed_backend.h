// A backend that hands everything on to another and adds up how long each operation took.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "harness.h"
#include "ops/backend.h"

namespace longstride::bench {

class TimedBackend : public Backend {
 public:
  explicit TimedBackend(Backend& backend) : backend_(backend) {}

  void forget() { seconds_.clear(); }
  const std::map<std::string, double>& seconds() const { return seconds_; }  // by operation

  void* allocate(std::int64_t bytes) override { return backend_.allocate(bytes); }
  void release(void* memory) noexcept override { backend_.release(memory); }
  void upload(void* to, const void* from, std::int64_t bytes) override { backend_.upload(to, from, bytes); }
  void download(void* to, const void* from, std::int64_t bytes) override { backend_.download(to, from, bytes); }
  void copy(void* to, const void* from, std::int64_t bytes) override { backend_.copy(to, from, bytes); }
  void zero(void* memory, std::int64_t bytes) override {
    time("zero", [&] { backend_.zero(memory, bytes); });
  }
  void wait() override { backend_.wait(); }
  bool host_memory() const override { return backend_.host_memory(); }

  std::int64_t workspace_bytes(const Linear& op) const override { return backend_.workspace_bytes(op); }
  std::int64_t workspace_bytes(const LinearBackwardData& op) const override { return backend_.workspace_bytes(op); }
  std::int64_t workspace_bytes(const LinearBackwardWeights& op) const override { return backend_.workspace_bytes(op); }
  std::int64_t workspace_bytes(const ResidualNormBackward& op) const override { return backend_.workspace_bytes(op); }
  std::int64_t workspace_bytes(const Attention& op) const override { return backend_.workspace_bytes(op); }
  std::int64_t workspace_bytes(const AttentionBackward& op) const override { return backend_.workspace_bytes(op); }
  std::int64_t workspace_bytes(const VocabularyLoss& op) const override { return backend_.workspace_bytes(op); }
  void reserve_workspace(std::int64_t bytes) override { backend_.reserve_workspace(bytes); }

  void embed(const Embed& op) override {
    time("embed", [&] { backend_.embed(op); });
  }
  void embed_backward(const EmbedBackward& op) override {
    time("embed, backward", [&] { backend_.embed_backward(op); });
  }
  void residual_norm(const ResidualNorm& op) override {
    time("residual and norm", [&] { backend_.residual_norm(op); });
  }
  void residual_norm_backward(const ResidualNormBackward& op) override {
    time("residual and norm, backward", [&] { backend_.residual_norm_backward(op); });
  }
  void linear(const Linear& op) override {
    time("linear", [&] { backend_.linear(op); });
  }
  void linear_backward_data(const LinearBackwardData& op) override {
    time("linear, backward to data", [&] { backend_.linear_backward_data(op); });
  }
  void linear_backward_weights(const LinearBackwardWeights& op) override {
    time("linear, backward to weights", [&] { backend_.linear_backward_weights(op); });
  }
  void attention(const Attention& op) override {
    time("attention", [&] { backend_.attention(op); });
  }
  void attention_backward(const AttentionBackward& op) override {
    time("attention, backward", [&] { backend_.attention_backward(op); });
  }
  void vocabulary_loss(const VocabularyLoss& op) override {
    time("loss", [&] { backend_.vocabulary_loss(op); });
  }
  void adamw(const AdamW& op) override {
    time("adamw", [&] { backend_.adamw(op); });
  }
  void decode_attention(const DecodeAttention& op) override {
    time("decode attention", [&] { backend_.decode_attention(op); });
  }
  double sum_squares(const float* x, std::int64_t count) override {
    double sum = 0;
    time("gradient norm", [&] { sum = backend_.sum_squares(x, count); });
    return sum;
  }
  void to_bfloat16(const float* x, std::uint16_t* y, std::int64_t count) override {
    time("to bfloat16", [&] { backend_.to_bfloat16(x, y, count); });
  }

 private:
  template <class Work>
  void time(const char* operation, Work work) {
    const double start = bench::seconds(CLOCK_MONOTONIC);
    work();
    backend_.wait();
    seconds_[operation] += bench::seconds(CLOCK_MONOTONIC) - start;
  }

  Backend& backend_;
  std::map<std::string, double> seconds_;
};

}  // namespace longstride::bench
