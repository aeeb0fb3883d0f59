// Dense products: linear and its two backward twins (ops.h), and the loss over the vocabulary, which is made of them.
#pragma once

#include <cstdint>

#include "cpu/product.h"
#include "cpu/workspace.h"
#include "ops/ops.h"

namespace longstride {

void linear_forward(const Linear& op, Products& products, Workspace& workspace);
void linear_backward_data(const LinearBackwardData& op, Products& products, Workspace& workspace);
void linear_backward_weights(const LinearBackwardWeights& op, Products& products, Workspace& workspace);
void vocabulary_loss(const VocabularyLoss& op, Products& products, Workspace& workspace);

std::int64_t linear_workspace_bytes(const Linear& op, Products& products);
std::int64_t linear_backward_data_workspace_bytes(const LinearBackwardData& op, Products& products);
std::int64_t linear_backward_weights_workspace_bytes(const LinearBackwardWeights& op, Products& products);
std::int64_t vocabulary_loss_workspace_bytes(const VocabularyLoss& op, Products& products);

}  // namespace longstride
