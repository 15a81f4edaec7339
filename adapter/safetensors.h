#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tessera::adapter {

/// One tensor of a file. Every element is a little-endian float32.
struct Tensor {
  std::vector<std::size_t> shape;
  std::string_view bytes;  ///< Into the file; not aligned.
};

/// A safetensors file: 8 bytes little-endian length of the header, a JSON header, the tensors.
struct TensorFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

inline constexpr std::size_t kHeaderBytesMax = 1U << 20;

/// Reads a file that stays where it is while the result lives. The header's length is checked
/// against the file, and every offset against the tensors' bytes, before it is used. The tensors
/// cover the bytes behind the header without gap or overlap, and all are F32. kInvalidArgument says
/// what is wrong and names the tensor. Cost: with the size of the header.
Result<TensorFile> read_safetensors(std::string_view file);

/// A name from a file, short enough for a message.
std::string shown_name(std::string_view name);
/// "[3, 64]".
std::string shown_shape(const std::vector<std::size_t>& shape);

}  // namespace tessera::adapter
