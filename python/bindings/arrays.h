// NumPy arrays in and out. What comes in is of one type, on the CPU and without gaps: the Python part sees to that.
#pragma once

#include <nanobind/ndarray.h>

#include <cstddef>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "bindings.h"
#include "longstride/image.h"

namespace longstride::python {

template <class T>
using ArrayIn = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using ArrayOut = nb::ndarray<nb::numpy, T>;

template <class T>
std::span<const T> span_of(const ArrayIn<T>& array) {
  return {array.data(), array.size()};
}

// The array takes the vector's memory. Its shape must have as many elements.
template <class T>
ArrayOut<T> array_of(std::vector<T> values, std::initializer_list<std::size_t> shape) {
  auto* held = new std::vector<T>(std::move(values));
  const nb::capsule owner(held, [](void* vector) noexcept { delete static_cast<std::vector<T>*>(vector); });
  return ArrayOut<T>(held->data(), shape, owner);
}

template <class T>
ArrayOut<T> array_of(std::vector<T> values) {
  const std::size_t size = values.size();
  return array_of(std::move(values), {size});
}

// (height, width, channels)
inline ArrayOut<std::uint8_t> array_of(Image image) {
  const auto size = [](int number) { return static_cast<std::size_t>(number); };
  return array_of(std::move(image.bytes), {size(image.height), size(image.width), size(image.channels)});
}

}  // namespace longstride::python
