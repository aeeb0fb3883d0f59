// Sequences from an engine: prompts, the window that moves on, and what a caller hears of it.
#pragma once

#include <cstdint>
#include <vector>

#include "longstride/sample.h"
#include "model/engine.h"
#include "sample/share.h"

namespace longstride {

// Throws invalid_argument naming the option that is out of range or does not fit the model.
void check(const SampleOptions& options, const ModelConfig& model);

// Positions that an engine needs for these options: at most the context, fewer where prompts and new tokens are.
std::int64_t engine_length(const SampleOptions& options, const ModelConfig& model);

// Makes options.count sequences, as many at a time as the engine has room for: where one is done the next joins. Each
// gets options.tokens new tokens after its prompt; prompts that are the same are read once. What a sequence becomes
// depends on its number, its prompt and the seed alone. run, checkpoint, precision and world are not looked at.
//
// Beyond the engine's length n the window moves on: it forgets its first n/2 tokens (at least one), reads again what
// it keeps as if the sequence began there, and says so once through `noted`. With options.stop set it ends early.
// Returns the sequences that were begun, prompts included. Errors: as check; diverged where logits are not finite.
Sequences sample_tokens(Engine& engine, const SampleOptions& options);
// The same of those that are this process's, made beside others.
Sequences sample_tokens(Engine& engine, const SampleOptions& options, Sharing& sharing);

}  // namespace longstride
