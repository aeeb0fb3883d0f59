// Which card the twin is of.
#pragma once

#include "cuda/attention/attention_kernels.h"

namespace longstride::cuda::host {

// Of programs that are compiled from now on; portable to begin with.
AttentionKernels& attention_kernels();

}  // namespace longstride::cuda::host
