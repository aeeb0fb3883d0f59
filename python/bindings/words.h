// Choices that Python names by words.
#pragma once

#include <string>

#include "longstride/config.h"

namespace longstride::python {

Precision precision_of(const std::string& word);  // auto | float32 | bfloat16
Device device_of(const std::string& word);        // auto | cpu | cuda | cuda:K
const char* word_of(Precision precision);

}  // namespace longstride::python
