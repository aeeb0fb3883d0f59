// Sequences from a decoder: prompts, the window that moves on, and what a caller hears of it.
#pragma once

#include <cstdint>
#include <vector>

#include "longstride/sample.h"
#include "model/decoder.h"

namespace longstride {

// Throws invalid_argument naming the option that is out of range or does not fit the model.
void check(const SampleOptions& options, const ModelConfig& model);

// Positions that a decoder needs for these options: at most the context, fewer where prompt and new tokens are.
std::int64_t decoder_length(const SampleOptions& options, const ModelConfig& model);

// Makes options.tokens new tokens for each of the decoder's sequences, numbered from first_sequence on in randomness
// and in `made`; each begins with options.prompt. run, checkpoint and count are not looked at.
//
// Beyond the decoder's length n the window moves on: it forgets its first n/2 tokens (at least one), reads again what
// it keeps as if the sequence began there, and says so once through `noted`. With options.stop set it ends early.
// Returns (decoder's sequences), prompt included. Errors: as check; diverged where logits are not finite.
std::vector<std::vector<std::uint8_t>> sample_tokens(Decoder& decoder, const Weights& weights,
                                                     const SampleOptions& options, std::int64_t first_sequence = 0);

}  // namespace longstride
