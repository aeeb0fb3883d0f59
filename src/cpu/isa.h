// Instruction sets: what this machine runs, which one is used. Chosen once, at the first question; LONGSTRIDE_ISA
// forces one (Error invalid_argument for a name that is none, unavailable for one that this machine lacks).
#pragma once

#include <vector>

namespace longstride::cpu {

enum class Isa { scalar, avx2, avx512, avx512_bf16 };  // each runs whatever the ones before it run

Isa isa();                       // the one in use
std::vector<Isa> usable_isas();  // ascending
const char* to_string(Isa isa);
void force_isa(Isa isa);  // for tests and `doctor`; not while an operation runs

}  // namespace longstride::cpu
