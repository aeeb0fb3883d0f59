// What calls of CUDA return, as an error with its sentence. Whole numbers, so that no header of CUDA comes with it.
#pragma once

namespace longstride::cuda {

// Throws Error(exhausted) where memory was missing, Error(unavailable) where another thing was. what: what was called for.
void require(int status, const char* what);

}  // namespace longstride::cuda
