#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/metric.h"

namespace tessera::index {

/// Distances between float32 vectors, one routine for every path (exact scan, graph walk,
/// re-ranking), so that equal vectors give equal bits wherever they are compared.
///
/// A *distance* is smaller for nearer rows whatever the metric: squared L2 for Euclid, the negative
/// inner product for Cosine and Dot, the L1 norm for Manhattan. `score_of` turns it into what a
/// client sees. Rows of a matrix are stored one after the other: row i begins at rows + i * dim.
/// Finite input never gives NaN: where infinities cancel the distance is +infinity.
/// The instruction set is chosen once at start, the best the CPU has; `TESSERA_CPU` =
/// baseline | avx2 | avx512 lowers it. Thread rule: pure functions.

float distance(Metric metric, const float* a, const float* b, std::size_t dim);

/// out[i] = distance(metric, query, row i) for `row_count` consecutive rows.
void distances(Metric metric, const float* query, const float* rows, std::size_t row_count,
               std::size_t dim, float* out);

/// out[i] = distance(metric, query, row row_ids[i]).
void distances_at(Metric metric, const float* query, const float* rows,
                  std::span<const std::uint32_t> row_ids, std::size_t dim, float* out);

/// Rows of `dim` values of which only the first `prefix_dim` are compared, 1 <= prefix_dim <= dim.
struct PrefixRows {
  const float* data = nullptr;
  std::size_t dim = 0;
  std::size_t prefix_dim = 0;
};

/// The distances of a query of rows.prefix_dim values to as many values of `row_count` consecutive
/// rows. Cosine: the caller has normalised the query's prefix; the negative inner product is
/// divided by the norm of the row's prefix, and is 0 where that is 0. Other metrics: as distance.
void prefix_distances(Metric metric, const float* query, PrefixRows rows, std::size_t row_count,
                      float* out);

/// The same for the rows of `row_ids`, with the same bits.
void prefix_distances_at(Metric metric, const float* query, PrefixRows rows,
                         std::span<const std::uint32_t> row_ids, float* out);

/// The distance of `query_shifted` to a row of 8-bit codes, where value d of the row is
/// scale[d] * code[d]. Euclid and Manhattan: the caller has subtracted the codes' offset from the
/// query. Cosine and Dot: minus the inner product with the scaled codes; the caller subtracts the
/// inner product with the offset.
float distance_sq8(Metric metric, const float* query_shifted, const float* scale,
                   const std::uint8_t* code, std::size_t dim);
/// out[i] = distance_sq8 of row i, whose codes begin at codes + i * dim.
void distances_sq8(Metric metric, const float* query_shifted, const float* scale,
                   const std::uint8_t* codes, std::size_t row_count, std::size_t dim, float* out);

/// Cosine, Dot: -distance. Euclid: sqrt(distance). Manhattan: distance.
float score_of(Metric metric, float distance);
/// The distance whose score_of is `score`, for thresholds.
float distance_of(Metric metric, float score);

/// Scales `vector` to unit length; false and unchanged when its norm is zero.
bool normalise(std::span<float> vector);

/// Inner product with the same bits as distance(kDot).
float inner_product(const float* a, const float* b, std::size_t dim);

/// The instruction set in use: "avx512", "avx2", "neon", "baseline".
const char* cpu_level();

}  // namespace tessera::index
