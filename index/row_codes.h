#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "index/ann_index.h"

namespace tessera::index {

/// A query made ready for comparison with codes; what its members mean is up to the codes. Reused
/// from search to search, so that none allocates. Thread rule: confined to one thread.
struct CodeQuery {
  std::vector<std::uint8_t> bytes;
  std::vector<float> table;
  std::vector<float> rotated;      ///< The query, where the codes are of rotated rows.
  std::vector<std::int32_t> sums;  ///< Scratch of distances_at.
  float offset = 0;
  float factor = 0;
};

/// Compressed rows that are compared in place of the rows while candidates are looked for.
/// Thread rule: immutable; every method from any thread.
class RowCodes {
 public:
  virtual ~RowCodes() = default;

  [[nodiscard]] virtual CodeType type() const = 0;
  [[nodiscard]] virtual std::size_t row_count() const = 0;

  /// Makes `query` (dim floats) ready. False when its values are so large that codes say nothing of
  /// its distances; then it must be compared with the rows.
  virtual bool prepare(const float* query, CodeQuery& prepared) const = 0;
  /// The same with what the code of `row` says in place of a query.
  virtual void prepare_row(std::uint32_t row, CodeQuery& prepared) const = 0;

  /// out[i] = about index::distance of the query to row rows[i]; never NaN.
  virtual void distances_at(CodeQuery& query, std::span<const std::uint32_t> rows,
                            float* out) const = 0;

  /// How many of the rows that the codes call nearest should be compared exactly so that the k
  /// nearest are among them.
  [[nodiscard]] virtual std::size_t candidate_count(std::size_t k) const = 0;

  /// Equal for equal codes, rarely else.
  [[nodiscard]] virtual std::uint64_t hash(std::uint32_t row) const = 0;

  /// The same codes with row i that of order[i] here.
  [[nodiscard]] virtual std::unique_ptr<const RowCodes> reordered(
      std::span<const std::uint32_t> order) const = 0;

  virtual Status save(ByteSink& sink) const = 0;
  [[nodiscard]] virtual std::size_t memory_bytes() const = 0;
};

using RowCodesResult = Result<std::unique_ptr<const RowCodes>>;

/// Codes of the rows row_ids, in that order. Null when spec.codes is kNone, when there are no
/// rows, and when their values are too large or too small for codes; for kAuto also when a sample
/// shows that codes do not tell these rows apart. kCancelled.
RowCodesResult build_row_codes(const IndexSpec& spec, Metric metric, VectorSpan rows,
                               std::span<const std::uint32_t> row_ids, const BuildControl& control);

/// Bytes a row that build_row_codes takes for spec.codes, tables aside; of kAuto where it chooses
/// codes.
std::size_t row_code_bytes(const IndexSpec& spec, std::size_t dim);

/// Bytes that are taken from the front of `bytes` by load_row_codes; the form of each kind is
/// described in docs/formats.md. Null for kNone. Untrusted: kCorrupt names the field.
RowCodesResult load_row_codes(Metric metric, std::size_t row_count, std::size_t dim,
                              std::span<const std::byte>& bytes);

/// Writes what load_row_codes reads; `codes` may be null.
Status save_row_codes(const RowCodes* codes, std::size_t dim, ByteSink& sink);

}  // namespace tessera::index
