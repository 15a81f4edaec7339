#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "cli/input_file.h"
#include "cli/row_source.h"

namespace tessera::cli {

enum class ElementType : unsigned char {
  kFloat16,
  kFloat32,
  kFloat64,
  kUint8,
  kInt8,
  kInt32,
  kInt64,
  kUint32,
  kUint64
};

std::size_t element_bytes(ElementType type);
/// Value of an IEEE 754 binary16.
float float_from_half(std::uint16_t bits);

/// Where the rows of a matrix lie in a file whose size has been checked against it.
struct MatrixLayout {
  std::uint64_t data_offset = 0;
  std::uint64_t row_count = 0;
  std::uint32_t dim = 1;
  ElementType type = ElementType::kFloat32;
  bool has_dim_before_row = false;  ///< fvecs, bvecs: a 32-bit dimension in front of every row.

  [[nodiscard]] std::uint64_t row_bytes() const {
    return dim * element_bytes(type) + (has_dim_before_row ? 4 : 0);
  }
};

/// Reads the header of a .npy file (versions 1 to 3). kInvalidArgument for what is not supported
/// (order, type, shape), kCorrupt when the header is damaged or the size does not fit it; both name
/// the file. `dim_count` is the number of dimensions that the shape must have: 1 or 2.
Result<MatrixLayout> read_npy_header(InputFile& file, int dim_count);

/// Points from the rows of a matrix, with the ids and payloads that the options name.
Result<std::unique_ptr<RowSource>> open_matrix(InputFile file, const MatrixLayout& layout,
                                               const RowOptions& options,
                                               std::uint64_t row_count_before);

}  // namespace tessera::cli
