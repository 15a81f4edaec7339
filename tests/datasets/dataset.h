#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace tessera::testing {

/// Row-major float32 vectors.
struct Matrix {
  std::vector<float> values;
  std::size_t row_count = 0;
  std::size_t dim = 0;

  [[nodiscard]] const float* row(std::size_t i) const { return values.data() + i * dim; }
  [[nodiscard]] float* row(std::size_t i) { return values.data() + i * dim; }
};

/// The folder of real data sets: TESSERA_DATA_DIR, or ../shared/data beside the source tree;
/// nullopt where there is none.
std::optional<std::filesystem::path> data_directory();

/// A two-dimensional little-endian float16 or float32 array in C order; at most `row_count_max`
/// rows are read.
Result<Matrix> read_npy(const std::filesystem::path& path,
                        std::size_t row_count_max = std::numeric_limits<std::size_t>::max());

/// Images in the IDX format (unsigned bytes, three dimensions), gzipped or not: one row an image,
/// one value a pixel.
Result<Matrix> read_idx_images(const std::filesystem::path& path,
                               std::size_t row_count_max = std::numeric_limits<std::size_t>::max());

struct ClusterShape {
  std::size_t row_count = 0;
  std::size_t dim = 0;
  std::size_t cluster_count = 100;
  float spread = 0.3F;       ///< Standard deviation around a centre whose values have deviation 1.
  bool is_unit = false;      ///< Scale every row to unit length.
  std::uint64_t seed = 1;    ///< Decides the centres.
  std::uint64_t sample = 0;  ///< Another number: other rows around the same centres.
};

/// Rows around random centres, equal for equal shapes on every machine.
Matrix clustered_rows(const ClusterShape& shape);

}  // namespace tessera::testing
