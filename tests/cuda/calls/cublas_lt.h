// What tests say of the cuBLASLt that cublas_lt.cpp stands for.
#pragma once

namespace longstride::tests {

// Whether there are algorithms that add a bias. True to begin with.
bool& knows_biases();

}  // namespace longstride::tests
