// Which card the twin is of, and how many there are.
#pragma once

#include "cuda/attention/attention_kernels.h"

namespace longstride::cuda::host {

// Of programs that are compiled from now on; portable to begin with.
AttentionKernels& attention_kernels();

// That a process is shown; 2 to begin with.
int& number_of_cards();

}  // namespace longstride::cuda::host
