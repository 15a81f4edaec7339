#pragma once

#include <cstddef>
#include <vector>

#include "base/bytes.h"
#include "index/byte_reader.h"

namespace tessera::index {

/// An orthonormal map, which keeps distances (L2) and inner products, or none.
/// Thread rule: immutable.
class Rotation {
 public:
  /// Every vector stays as it is.
  Rotation() = default;

  /// Turns the principal axes of `sample` (rows of `dim` floats) into the axes, dealt out so that
  /// the product of the variances in each of `segment_count` equal segments is about the same: what
  /// product quantisation loses least by (the parametric form of Ge, He, Ke and Sun, "Optimized
  /// product quantization", 2013). No rotation where the sample is too small, or its values too
  /// large, to tell the axes.
  static Rotation of_principal_axes(const std::vector<float>& sample, std::size_t dim,
                                    std::size_t segment_count);

  /// Whether `row_count` rows are so many that the axes, dim x dim floats, are a small part of what
  /// is kept of them.
  static bool is_affordable(std::size_t row_count, std::size_t dim);

  [[nodiscard]] bool is_none() const { return axes_.empty(); }
  /// `vectors`: `count` x dim; `out` alike, elsewhere. Requires a rotation.
  void apply(const float* vectors, std::size_t count, float* out) const;

  /// Writes the axes, dim x dim floats; nothing for none.
  Status save(ByteSink& sink) const;
  /// What save() of a rotation wrote. kCorrupt that names `rotation` when its axes are not
  /// orthogonal and of length 1, by a rough look.
  static Result<Rotation> load(std::size_t dim, ByteReader& reader);

  [[nodiscard]] std::size_t memory_bytes() const { return axes_.capacity() * sizeof(float); }

 private:
  Rotation(std::vector<float> axes, std::size_t dim) : axes_(std::move(axes)), dim_(dim) {}

  std::vector<float> axes_;  ///< Row i is what becomes value i.
  std::size_t dim_ = 0;
};

}  // namespace tessera::index
