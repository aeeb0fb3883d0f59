// Which card the twin is of, and how many there are.
#pragma once

#include <string>
#include <vector>

#include "cuda/attention/attention_kernels.h"

namespace longstride::cuda::host {

// Of programs that are compiled from now on; portable to begin with.
AttentionKernels& attention_kernels();

// By number, of those that a process is shown; two of them to begin with.
std::vector<std::string>& names_of_cards();

}  // namespace longstride::cuda::host
