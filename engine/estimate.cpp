#include "engine/estimate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>

#include "engine/segment.h"
#include "index/kernels.h"
#include "index/rotation.h"
#include "index/row_codes.h"

namespace tessera::engine {
namespace {

using index::CodeType;

// Slot and version in the segment file, location and dead bit in memory.
constexpr double kRowIdBytes = 4 + 8, kRowLocationBytes = 16.125;
/// Keys, lengths and checksums of the three records that the store keeps of a point and a vector.
constexpr double kStoreRecordBytes = 64;
constexpr double kLinkBytes = 4;
/// Links of a node of the lowest level, and more of them for each of m: the rest of the 2 m that
/// it may have are pruned.
constexpr double kLinksOfNode = 11, kLinksOfM = 0.25;
/// Insertion of one row takes as long as so many distances to rows at random, for each of
/// ef_construct * log2(rows). About half as many are computed.
constexpr double kDistancesOfInsertion = 1.6;
constexpr double kCentroidsOfSegment = 256;
// As index/ivf_build.cpp trains.
constexpr double kRowsPerListMin = 39, kTrainingRowsPerList = 64, kTrainingIterations = 10;
/// Of many rows with many centroids at once, a distance costs so much of one alone.
constexpr double kBlockedDistanceShare = 0.25;

bool has_scan_codes(const EstimateInput& input) {
  return RowLayout{input.dim, input.metric, input.value_type}.has_codes();
}

double code_bytes_a_row(const EstimateInput& input) {
  switch (input.spec.type) {
    case IndexType::kHnsw:
      // Codes of a byte a value save nothing over rows of bytes, unless they are asked for.
      if (input.spec.codes == CodeType::kAuto && input.value_type == ValueType::kUint8) return 0;
      return static_cast<double>(index::row_code_bytes(input.spec, input.dim));
    case IndexType::kIvfSq8:
      return input.dim;
    case IndexType::kIvfPq: {
      // Beside the code, what the query's distance to the row's list does not say.
      index::IndexSpec product = input.spec;
      product.codes = CodeType::kPq;
      return static_cast<double>(index::row_code_bytes(product, input.dim)) + sizeof(float);
    }
    case IndexType::kFlat:
      return has_scan_codes(input) ? static_cast<double>(index::BoundCodes::row_bytes(input.dim))
                                   : 0;
    case IndexType::kIvfFlat:
      return 0;
  }
  return 0;
}

bool is_product_code(const index::IndexSpec& spec) {
  return spec.type == IndexType::kIvfPq ||
         (spec.type == IndexType::kHnsw && spec.codes == CodeType::kPq);
}

double list_count(const EstimateInput& input) {
  const auto rows = static_cast<double>(input.point_count);
  const double wanted =
      input.spec.list_count > 0 ? input.spec.list_count : std::round(4 * std::sqrt(rows));
  return std::max(1.0, std::min(wanted, std::floor(rows / kRowsPerListMin)));
}

double graph_bytes(const EstimateInput& input) {
  const auto rows = static_cast<double>(input.point_count);
  const double m = input.spec.m;
  if (input.spec.type == IndexType::kFlat || rows == 0) return 0;
  if (input.spec.type != IndexType::kHnsw) {
    return list_count(input) * (input.dim + 1) * sizeof(float) + rows * sizeof(std::uint32_t);
  }
  // A row and an offset a node; one node in m is on the next level, with m links at most.
  const double links = std::min(2 * m, kLinksOfNode + kLinksOfM * m);
  const double lowest = links * kLinkBytes + 2 * sizeof(std::uint32_t);
  const double upper = (m * kLinkBytes + 2 * sizeof(std::uint32_t)) / std::max(1.0, m - 1);
  return rows * (lowest + upper);
}

double code_bytes(const EstimateInput& input) {
  const auto rows = static_cast<double>(input.point_count);
  const double codes = rows * code_bytes_a_row(input);
  if (codes == 0 || input.spec.type == IndexType::kFlat) return codes;
  double tables = 2.0 * input.dim * sizeof(float);
  if (is_product_code(input.spec)) {
    // Inverted lists keep the centroids in the order of their values too.
    const double copies = input.spec.type == IndexType::kIvfPq ? 2 : 1;
    tables = copies * kCentroidsOfSegment * input.dim * sizeof(float);
    // At most: rows are rotated only where that helps.
    if (index::Rotation::is_affordable(input.point_count, input.dim)) {
      tables += static_cast<double>(input.dim) * input.dim * sizeof(float);
    }
  }
  return codes + tables;
}

/// In distances of two whole vectors.
double build_distances(const EstimateInput& input) {
  const auto rows = static_cast<double>(input.point_count);
  const double product_training =
      is_product_code(input.spec) ? rows * kCentroidsOfSegment * kBlockedDistanceShare : 0;
  if (input.spec.type == IndexType::kFlat) return product_training;
  if (input.spec.type == IndexType::kHnsw) {
    return rows * kDistancesOfInsertion * input.spec.ef_construct * std::log2(std::max(2.0, rows)) +
           product_training;
  }
  const double lists = list_count(input);
  const double trained = std::min(rows, lists * kTrainingRowsPerList);
  return (trained * kTrainingIterations + rows) * lists * kBlockedDistanceShare + product_training;
}

std::uint64_t rounded(double bytes) {
  return static_cast<std::uint64_t>(std::llround(bytes));
}

}  // namespace

VectorEstimate estimate_vector(const EstimateInput& input) {
  const auto rows = static_cast<double>(input.point_count);
  const double vectors = rows * input.dim * static_cast<double>(value_bytes(input.value_type));
  const double factors =
      index::has_factors(input.metric, input.value_type) ? rows * sizeof(float) : 0;
  const double codes = code_bytes(input);
  const double graph = graph_bytes(input);
  const double ids = rows * (kRowIdBytes + kRowLocationBytes) + factors;
  VectorEstimate estimate;
  estimate.index_type = index::index_type_name(input.spec.type);
  estimate.vector_bytes = rounded(vectors);
  estimate.code_bytes = rounded(codes);
  estimate.graph_bytes = rounded(graph);
  estimate.id_bytes = rounded(ids);
  estimate.ram_bytes = rounded((input.is_on_disk ? 0 : vectors) + codes + graph + ids);
  estimate.disk_bytes =
      rounded(2 * vectors + rows * (kRowIdBytes + kStoreRecordBytes) + codes + graph);
  // The rows are copied together, and the graph that is being built has room for all its links.
  estimate.build_ram_bytes = rounded(vectors + codes + 2 * graph);
  estimate.build_seconds =
      build_distances(input) * input.distance_seconds / std::max(1U, input.thread_count);
  return estimate;
}

double measure_distance_seconds(Metric metric, std::uint32_t dim, ValueType type) {
  // More than a second-level cache holds.
  constexpr std::size_t kBytes = 8 << 20, kRowsMin = 64, kBatch = 64, kBatchesMin = 32;
  constexpr std::chrono::microseconds kDuration{2000};
  using Clock = std::chrono::steady_clock;
  const std::size_t row_count = std::max<std::size_t>(kRowsMin, kBytes / (dim * value_bytes(type)));
  // Zeros of any type.
  const std::vector<std::byte> bytes(row_count * dim * value_bytes(type));
  const index::VectorSpan rows{bytes.data(), row_count, dim, type};
  const std::vector<float> query(dim, 0.25F);
  std::mt19937 random(1);
  std::vector<std::uint32_t> ids(kBatch);
  std::vector<float> distances(kBatch);
  std::vector<Clock::duration> batches;
  const Clock::time_point end = Clock::now() + kDuration;
  do {
    for (std::uint32_t& id : ids) id = static_cast<std::uint32_t>(random() % row_count);
    const Clock::time_point start = Clock::now();
    index::distances_at(metric, query.data(), rows, ids, distances.data());
    batches.push_back(Clock::now() - start);
  } while (Clock::now() < end || batches.size() < kBatchesMin);
  // The first quartile: other work may have interrupted many.
  const auto quartile = batches.begin() + static_cast<std::ptrdiff_t>(batches.size() / 4);
  std::nth_element(batches.begin(), quartile, batches.end());
  return std::chrono::duration<double>(*quartile).count() / kBatch;
}

}  // namespace tessera::engine
