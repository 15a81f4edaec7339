#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "index/row_codes.h"

namespace tessera::index {

inline std::string saved(const RowCodes* codes, std::size_t dim) {
  StringSink sink;
  if (!save_row_codes(codes, dim, sink).ok()) return {};
  return sink.text;
}

/// Codes read as docs/formats.md describes their stored form, and what they say of the rows, in
/// double precision. An oracle: slow, and written without a look at how codes are compared.
struct DecodedCodes {
  static constexpr std::size_t kHeaderBytes = 16, kLineBytes = 64, kWordCount = 256;

  CodeType type = CodeType::kNone;
  std::size_t dim = 0;
  std::size_t row_count = 0;
  std::vector<float> center;
  double step = 0;  ///< Of a grid.
  double norm = 0;  ///< Of bits.
  std::uint32_t segment_count = 0;
  std::vector<float> words;
  std::string codes;

  explicit DecodedCodes(std::string file) : bytes_(std::move(file)) {
    type = static_cast<CodeType>(take<std::uint32_t>());
    dim = take<std::uint32_t>();
    row_count = take<std::uint64_t>();
    if (type == CodeType::kPq) {
      segment_count = take<std::uint32_t>();
      words.resize(kWordCount * dim);
      for (float& word : words) word = take<float>();
    } else {
      center.resize(dim);
      for (float& value : center) value = take<float>();
      (type == CodeType::kBinary ? norm : step) = take<float>();
    }
    codes = bytes_.substr(at_);
  }

  [[nodiscard]] double half() const { return type == CodeType::kSq4 ? 8 : 128; }

  [[nodiscard]] std::size_t code_bytes() const {
    const auto lines = [](std::size_t values, std::size_t a_line) {
      return (values + a_line - 1) / a_line * kLineBytes;
    };
    switch (type) {
      case CodeType::kSq8:
        return lines(dim, kLineBytes);
      case CodeType::kSq4:
        return lines(dim, 2 * kLineBytes);
      case CodeType::kBinary:
        return lines(dim, 8 * kLineBytes);
      default:
        return segment_count;
    }
  }

  [[nodiscard]] int byte(std::size_t row, std::size_t i) const {
    return static_cast<std::uint8_t>(codes[row * code_bytes() + i]);
  }

  /// The bit of a value: above the centre or not.
  [[nodiscard]] bool bit(std::size_t row, std::size_t d) const {
    return (byte(row, d / 8) >> d % 8 & 1) != 0;
  }

  [[nodiscard]] double value(std::size_t row, std::size_t d) const {
    switch (type) {
      case CodeType::kSq8:
        return center[d] + step * (byte(row, d) - half());
      case CodeType::kSq4: {
        const int both = byte(row, d / 128 * kLineBytes + d % kLineBytes);
        return center[d] + step * ((d % 128 < kLineBytes ? both % 16 : both / 16) - half());
      }
      case CodeType::kBinary:
        return center[d] + (bit(row, d) ? 1 : -1) * norm / std::sqrt(static_cast<double>(dim));
      default: {
        const std::size_t width = dim / segment_count, segment = d / width;
        const auto word = static_cast<std::size_t>(byte(row, segment));
        return words[(segment * kWordCount + word) * width + d % width];
      }
    }
  }

  [[nodiscard]] std::vector<float> row(std::size_t row) const {
    std::vector<float> values(dim);
    for (std::size_t d = 0; d < dim; ++d) values[d] = static_cast<float>(value(row, d));
    return values;
  }

 private:
  template <class Value>
  Value take() {
    Value value = {};
    std::memcpy(&value, bytes_.data() + at_, sizeof(value));
    at_ += sizeof(value);
    return value;
  }

  std::string bytes_;
  std::size_t at_ = 0;
};

inline double norm_of(const std::vector<double>& values) {
  return std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0));
}

/// What codes should say of the distance to a decoded row, and how far off they may be.
struct Expected {
  double distance = 0;
  double tolerance = 0;
};

/// Compares queries with decoded rows. `is_row`: the query is a decoded row, so it is not rounded.
class CodeOracle {
 public:
  CodeOracle(Metric metric, const DecodedCodes& codes, const float* query, bool is_row)
      : metric_(metric), codes_(codes), query_(query, query + codes.dim), is_row_(is_row) {}

  [[nodiscard]] Expected of_row(std::size_t row) const {
    std::vector<double> query = query_, decoded(codes_.dim), shifted_query, shifted_row;
    for (std::size_t d = 0; d < codes_.dim; ++d) {
      decoded[d] = codes_.value(row, d);
      const double center = codes_.center.empty() ? 0 : codes_.center[d];
      shifted_query.push_back(query[d] - center);
      shifted_row.push_back(decoded[d] - center);
    }
    const double query_norm = norm_of(shifted_query);
    Expected expected;
    if (codes_.type == CodeType::kBinary) {
      // A query is known by its bits and how far it is from the centre.
      const double spread = query_norm / std::sqrt(static_cast<double>(codes_.dim));
      for (std::size_t d = 0; d < codes_.dim; ++d) {
        const double sign = query_[d] > codes_.center[d] ? 1 : -1;
        // An inner product's part that no row decides is exact.
        if (is_product()) expected.distance -= query_[d] * codes_.center[d];
        if (is_product()) expected.distance -= sign * spread * shifted_row[d];
        query[d] = codes_.center[d] + sign * spread;
      }
    }
    if (codes_.type != CodeType::kBinary || !is_product()) {
      expected.distance = distance_of(query, decoded);
    }
    if (!is_row_) expected.tolerance = rounding_of_query(shifted_query, shifted_row);
    expected.tolerance += 2e-5 * magnitude(query_norm, norm_of(shifted_row));
    return expected;
  }

 private:
  [[nodiscard]] bool is_product() const {
    return metric_ == Metric::kCosine || metric_ == Metric::kDot;
  }

  [[nodiscard]] double distance_of(const std::vector<double>& a,
                                   const std::vector<double>& b) const {
    double sum = 0;
    for (std::size_t d = 0; d < a.size(); ++d) {
      if (is_product()) sum -= a[d] * b[d];
      if (metric_ == Metric::kEuclid) sum += (a[d] - b[d]) * (a[d] - b[d]);
      if (metric_ == Metric::kManhattan) sum += std::fabs(a[d] - b[d]);
    }
    return sum;
  }

  /// What turning the query into bytes or levels may change.
  [[nodiscard]] double rounding_of_query(const std::vector<double>& query,
                                         const std::vector<double>& row) const {
    if (codes_.step == 0) return 0;
    const auto dim = static_cast<double>(codes_.dim);
    if (metric_ == Metric::kManhattan) return dim * codes_.step / 2;
    double greatest = 0, sum = 0;
    for (const double value : query) greatest = std::max(greatest, std::fabs(value));
    for (const double value : row) sum += std::fabs(value);
    return (metric_ == Metric::kEuclid ? 2 : 1) * sum * greatest / 127 / 2;
  }

  /// Sums of floats are off by a share of what was summed.
  [[nodiscard]] double magnitude(double query_norm, double row_norm) const {
    const double sum = query_norm + row_norm;
    double centers = 0;
    for (const float center : codes_.center) centers += double{center} * center;
    if (metric_ != Metric::kManhattan) return 1e-6 + sum * sum + centers;
    return 1e-6 + (sum + std::sqrt(centers)) * std::sqrt(static_cast<double>(codes_.dim));
  }

  const Metric metric_;
  const DecodedCodes& codes_;
  const std::vector<double> query_;
  const bool is_row_;
};

}  // namespace tessera::index
