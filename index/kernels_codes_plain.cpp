#include <bit>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "index/kernels_codes.h"

namespace tessera::index {
namespace {

constexpr std::size_t kBlock = 64;

struct DotU8 {
  using Query = std::int8_t;
  static std::int32_t sum(const Query* query, const std::uint8_t* row, std::size_t stride) {
    std::int32_t total = 0;
    for (std::size_t i = 0; i < stride; ++i) total += std::int32_t{query[i]} * row[i];
    return total;
  }
};

struct SadU8 {
  using Query = std::uint8_t;
  static std::int32_t sum(const Query* query, const std::uint8_t* row, std::size_t stride) {
    std::int32_t total = 0;
    for (std::size_t i = 0; i < stride; ++i) total += std::abs(std::int32_t{query[i]} - row[i]);
    return total;
  }
};

struct DotU4 {
  using Query = std::int8_t;
  static std::int32_t sum(const Query* query, const std::uint8_t* row, std::size_t stride) {
    std::int32_t total = 0;
    for (std::size_t block = 0; block < stride; block += kBlock) {
      const Query* low = query + 2 * block;
      const Query* high = low + kBlock;
      for (std::size_t i = 0; i < kBlock; ++i) {
        const std::int32_t byte = row[block + i];
        total += low[i] * (byte & 15) + high[i] * (byte >> 4);
      }
    }
    return total;
  }
};

struct Hamming {
  using Query = std::uint8_t;
  static std::int32_t sum(const Query* query, const std::uint8_t* row, std::size_t stride) {
    std::int32_t total = 0;
    for (std::size_t i = 0; i < stride; i += sizeof(std::uint64_t)) {
      std::uint64_t a = 0, b = 0;
      std::memcpy(&a, query + i, sizeof(a));
      std::memcpy(&b, row + i, sizeof(b));
      total += std::popcount(a ^ b);
    }
    return total;
  }
};

template <class Op>
void rows(const typename Op::Query* query, const std::uint8_t* codes, std::size_t stride,
          std::size_t row_count, std::int32_t* out) {
  for (std::size_t i = 0; i < row_count; ++i) out[i] = Op::sum(query, codes + i * stride, stride);
}

template <class Op>
void rows_at(const typename Op::Query* query, const std::uint8_t* codes, std::size_t stride,
             const std::uint32_t* row_ids, std::size_t row_count, std::int32_t* out) {
  for (std::size_t i = 0; i < row_count; ++i) {
    out[i] = Op::sum(query, codes + row_ids[i] * stride, stride);
  }
}

std::size_t near_rows(const NearQuery& query, const NearRows& rows, std::uint32_t* out) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < rows.row_count; ++i) {
    const std::int32_t sum = DotU8::sum(query.code, rows.codes + i * rows.stride, rows.stride);
    const float product = rows.scales[i] * static_cast<float>(sum - query.code_offset);
    const float norm = rows.norms[i];
    const float bound = query.constant + norm * (query.norm_factor + norm * query.square_factor) +
                        rows.rests[i] * query.rest_factor + product * query.product_factor;
    const bool is_far = bound > query.farthest && bound <= std::numeric_limits<float>::max();
    if (!is_far) out[count++] = static_cast<std::uint32_t>(i);
  }
  return count;
}

constexpr CodeKernels kPlain = {&rows<DotU8>,    &rows_at<DotU8>,   &rows<SadU8>,
                                &rows_at<SadU8>, &rows<DotU4>,      &rows_at<DotU4>,
                                &rows<Hamming>,  &rows_at<Hamming>, &near_rows};

}  // namespace

const CodeKernels& plain_code_kernels() {
  return kPlain;
}

}  // namespace tessera::index
