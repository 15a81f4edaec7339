#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "index/ann_index.h"
#include "index/centroid_assigner.h"
#include "index/rotation.h"

namespace tessera::index {

/// What product quantisation (Jégou, Douze and Schmid, 2011) has learned: vectors are rotated,
/// where there is a rotation, and each segment of their values is replaced by the nearest of its
/// words. Plain data.
struct ProductWords {
  static constexpr std::size_t kCount = 256;  ///< Words a segment: one byte says which.

  std::size_t segment_count = 0;
  std::size_t segment_dim = 0;
  std::vector<float> words;  ///< segment_count x kCount x segment_dim.
  Rotation rotation;

  [[nodiscard]] std::size_t dim() const { return segment_count * segment_dim; }
  [[nodiscard]] const float* word(std::size_t segment, std::size_t index) const {
    return words.data() + (segment * kCount + index) * segment_dim;
  }
  /// The words that a code names, one after the other: the rotated vector as the code has it.
  void decode(const std::uint8_t* code, float* out) const;
};

/// Rows that suffice for training; more add nothing.
inline constexpr std::size_t kProductTrainingRows = 40 * ProductWords::kCount;

struct ProductTraining {
  std::size_t segment_count = 1;  ///< Divides the dimension.
  std::uint64_t seed = 42;
  /// The words are compared by L2 or by inner products, so vectors may be rotated: that is done
  /// where it lowers the mean squared error on the sample by a tenth.
  bool may_rotate = false;
};

/// k-means in every segment, by FAISS; its own ProductQuantizer cannot be stopped and compares with
/// scalar code. `sample`: rows of `dim` finite floats, at least one. `progress` is told the share
/// done, 0 to 1. kCancelled.
Result<ProductWords> train_product_words(const std::vector<float>& sample, std::size_t dim,
                                         const ProductTraining& training,
                                         const BuildControl& control,
                                         const std::function<void(double)>& progress = {});

/// Finds codes. Thread rule: immutable.
class ProductEncoder {
 public:
  /// Borrows the words.
  explicit ProductEncoder(const ProductWords& words);

  /// `vectors`: row_count x dim, as they come, of which the rotated take the place; `codes`:
  /// row_count x segment_count.
  Status encode(std::vector<float>& vectors, std::uint8_t* codes) const;

 private:
  const ProductWords& words_;
  std::vector<CentroidAssigner> assigners_;  ///< By segment.
};

}  // namespace tessera::index
