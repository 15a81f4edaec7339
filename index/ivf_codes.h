#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "index/ann_index.h"
#include "index/ivf_lists.h"

namespace tessera::index {

class ByteReader;

/// Scores positions of the lists against one query; smaller is nearer. Scores of different lists
/// can be compared. Thread rule: confined to one search.
class IvfScorer {
 public:
  virtual ~IvfScorer() = default;
  /// Called before the positions of a list are scored, with the query's distance to its centroid.
  virtual void enter_list(float /*centroid_distance*/) {}
  /// out[i] is the score of position first + i.
  virtual void score_range(std::size_t first, std::size_t count, float* out) = 0;
  /// out[i] is the score of positions[i].
  virtual void score_at(std::span<const std::uint32_t> positions, float* out) = 0;
};

/// What stands for the rows while lists are scanned, position by position.
/// Thread rule: immutable after build.
class IvfCodes {
 public:
  virtual ~IvfCodes() = default;
  /// Bytes a row: 0 where the rows themselves are compared.
  [[nodiscard]] virtual std::size_t code_bytes() const = 0;
  /// Candidates to re-rank for every row wanted, before measuring: 1 where scores are exact.
  [[nodiscard]] virtual std::uint32_t rerank_factor() const = 0;
  /// `query` and `data` outlive the scorer.
  [[nodiscard]] virtual std::unique_ptr<IvfScorer> scorer(const float* query,
                                                          const IvfData& data) const = 0;
  /// Whether save() begins with a rotation.
  [[nodiscard]] virtual bool is_rotated() const { return false; }
  virtual Status save(ByteSink& sink) const = 0;
  [[nodiscard]] virtual std::size_t memory_bytes() const = 0;
};

using CodesResult = Result<std::unique_ptr<const IvfCodes>>;

/// Learns a code for data.rows and encodes them in the order of the lists. `progress` is told the
/// rows done. kInvalidArgument when the spec does not fit the rows.
CodesResult build_codes(const IndexSpec& spec, const IvfData& data, const BuildControl& control);

/// Reads what IvfCodes::save wrote; kCorrupt with the field's name.
CodesResult load_codes(const IndexSpec& spec, const IvfData& data, std::size_t code_bytes,
                       bool is_rotated, ByteReader& reader);

/// Bytes a code of ivf_pq: spec.pq_segment_count, or the least divisor of dim that is at least
/// dim / 4. kInvalidArgument when the count does not divide dim.
Result<std::size_t> pq_segment_count(const IndexSpec& spec, std::size_t dim);

/// The parts of build_codes and load_codes, one pair a type.
CodesResult build_sq8_codes(const IvfData& data, const BuildControl& control);
CodesResult load_sq8_codes(const IvfData& data, ByteReader& reader);
CodesResult build_pq_codes(const IndexSpec& spec, const IvfData& data, const BuildControl& control);
CodesResult load_pq_codes(const IvfData& data, std::size_t segment_count, bool is_rotated,
                          ByteReader& reader);

}  // namespace tessera::index
