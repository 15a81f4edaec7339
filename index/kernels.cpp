#include "index/kernels.h"

#include <cmath>
#include <cstdlib>
#include <string_view>

#include "base/log.h"
#include "index/kernel_table.h"

namespace tessera::index {
namespace {

constexpr const char* kVariable = "TESSERA_CPU";

/// Higher is newer; negative for a name that is no level's.
int level_rank(std::string_view level) {
  if (level == "baseline") return 0;
  if (level == "avx2" || level == "neon") return 1;
  if (level == "avx512") return 2;
  return -1;
}

const KernelTable& choose_kernels() {
  const KernelTable& best = *supported_kernels().front();
  const char* wanted = std::getenv(kVariable);
  if (wanted == nullptr) return best;
  const KernelTable* chosen = kernels_for(wanted);
  if (chosen == nullptr) {
    log::warn("TESSERA_CPU names no instruction set (baseline, avx2, avx512); using the best",
              {{"value", wanted}, {"used", best.level}});
    return best;
  }
  if (*wanted != '\0' && level_rank(chosen->level) < level_rank(wanted)) {
    log::warn("this CPU lacks the instruction set TESSERA_CPU asks for",
              {{"value", wanted}, {"used", chosen->level}});
  }
  return *chosen;
}

}  // namespace

const KernelTable* kernels_for(std::string_view wanted) {
  if (wanted.empty()) return supported_kernels().front();
  const int rank = level_rank(wanted);
  if (rank < 0) return nullptr;
  for (const KernelTable* table : supported_kernels()) {
    if (level_rank(table->level) <= rank) return table;
  }
  return supported_kernels().back();
}

const KernelTable& kernels() {
  static const KernelTable& chosen = choose_kernels();
  return chosen;
}

float distance(Metric metric, const float* a, const float* b, std::size_t dim) {
  return kernels().of(metric).pair(a, b, dim);
}

void distances(Metric metric, const float* query, const float* rows, std::size_t row_count,
               std::size_t dim, float* out) {
  kernels().of(metric).rows(query, rows, row_count, dim, out);
}

void distances_at(Metric metric, const float* query, const float* rows,
                  std::span<const std::uint32_t> row_ids, std::size_t dim, float* out) {
  kernels().of(metric).rows_at(query, rows, row_ids.data(), row_ids.size(), dim, out);
}

void prefix_distances(Metric metric, const float* query, PrefixRows rows, std::size_t row_count,
                      float* out) {
  kernels().typed.prefix.of(metric).rows(query, rows, row_count, out);
}

void prefix_distances_at(Metric metric, const float* query, PrefixRows rows,
                         std::span<const std::uint32_t> row_ids, float* out) {
  kernels().typed.prefix.of(metric).rows_at(query, rows, row_ids.data(), row_ids.size(), out);
}

float distance_sq8(Metric metric, const float* query_shifted, const float* scale,
                   const std::uint8_t* code, std::size_t dim) {
  float result = 0;
  kernels().of(metric).codes(query_shifted, scale, code, 1, dim, &result);
  return result;
}

void distances_sq8(Metric metric, const float* query_shifted, const float* scale,
                   const std::uint8_t* codes, std::size_t row_count, std::size_t dim, float* out) {
  kernels().of(metric).codes(query_shifted, scale, codes, row_count, dim, out);
}

float score_of(Metric metric, float distance) {
  switch (metric) {
    case Metric::kCosine:
    case Metric::kDot:
      return -distance;
    case Metric::kEuclid:
      return std::sqrt(distance);
    case Metric::kManhattan:
      return distance;
  }
  return distance;
}

float distance_of(Metric metric, float score) {
  switch (metric) {
    case Metric::kCosine:
    case Metric::kDot:
      return -score;
    // The sign is kept: no row is nearer than a negative distance.
    case Metric::kEuclid:
      return score * std::fabs(score);
    case Metric::kManhattan:
      return score;
  }
  return score;
}

bool normalise(std::span<float> vector) {
  // In double, the squares of the largest and of the smallest floats neither overflow nor vanish.
  double squares = 0;
  for (const float value : vector) squares += static_cast<double>(value) * value;
  if (!(squares > 0) || !std::isfinite(squares)) return false;
  const double norm = std::sqrt(squares);
  for (float& value : vector) value = static_cast<float>(value / norm);
  return true;
}

float inner_product(const float* a, const float* b, std::size_t dim) {
  return -distance(Metric::kDot, a, b, dim);
}

const char* cpu_level() {
  return kernels().level;
}

}  // namespace tessera::index
