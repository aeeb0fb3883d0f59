// Token, position and hash embeddings (ops.h), and their gradient.
#pragma once

#include "ops/ops.h"

namespace longstride::cpu {

void embed_forward(const Embed& op);
void embed_backward(const EmbedBackward& op);

}  // namespace longstride::cpu
