#include "index/row_codes.h"

#include <algorithm>
#include <limits>
#include <string>
#include <type_traits>

#include "base/log.h"
#include "index/binary_codes.h"
#include "index/byte_reader.h"
#include "index/grid_codes.h"
#include "index/ivf_codes.h"
#include "index/kernels.h"
#include "index/nearest_rows.h"
#include "index/product_codes.h"
#include "index/row_sample.h"

namespace tessera::index {
namespace {

// Rows of fewer bytes than a few cache lines gain nothing from codes.
constexpr std::size_t kAutoDimMin = 48;
// Codes are tried with so many rows as queries, among so many others.
constexpr std::size_t kTrialQueries = 24;
constexpr std::size_t kTrialRows = 50'000;
constexpr std::size_t kTrialK = 10;
constexpr double kTrialRecall = 0.97;
// So many different rows with one code would be told apart by nothing.
constexpr std::size_t kEqualCodesMax = 16;

constexpr std::uint32_t kGridLevels = 256;
constexpr std::uint32_t kSmallGridLevels = 16;

struct CodesHeader {
  std::uint32_t type;
  std::uint32_t dim;
  std::uint64_t row_count;
};
static_assert(sizeof(CodesHeader) == 16);

/// Whether the rows nearest by their codes hold those that are nearest.
bool finds_what_rows_find(const RowCodes& codes, Metric metric, VectorSpan rows,
                          std::span<const std::uint32_t> row_ids, std::uint64_t seed) {
  const std::size_t count = row_ids.size();
  if (count <= kTrialK) return true;
  const std::vector<std::uint32_t> among = sample_row_ids(count, kTrialRows, seed);
  std::vector<std::uint32_t> among_rows(among.size());
  std::transform(among.begin(), among.end(), among_rows.begin(),
                 [&](std::uint32_t position) { return row_ids[position]; });
  std::vector<float> exact(among.size()), coded(among.size());
  CodeQuery prepared;
  std::size_t found_count = 0, wanted_count = 0;
  RowReader row_of(rows);
  for (const std::uint32_t query : sample_row_ids(count, kTrialQueries, seed + 1)) {
    const float* const vector = row_of(row_ids[query]);
    if (!codes.prepare(vector, prepared)) return false;
    codes.distances_at(prepared, among, coded.data());
    distances_at(metric, vector, rows, among_rows, exact.data());
    NearestRows nearest(kTrialK), candidates(codes.candidate_count(kTrialK));
    for (std::uint32_t i = 0; i < among.size(); ++i) {
      nearest.offer({exact[i], i});
      candidates.offer({coded[i], i});
    }
    std::vector<RowHit> wanted, offered;
    nearest.drain(wanted);
    candidates.drain(offered);
    // Rows as near as the farthest one wanted are as good.
    const float bound = wanted.back().distance;
    std::size_t near_count = 0;
    for (const RowHit& hit : offered) near_count += exact[hit.row] <= bound ? 1 : 0;
    found_count += std::min(near_count, wanted.size());
    wanted_count += wanted.size();
  }
  return static_cast<double>(found_count) >= kTrialRecall * static_cast<double>(wanted_count);
}

/// Whether many rows that differ have one code: a group that the walk could not search.
bool has_blind_group(const RowCodes& codes) {
  std::vector<std::uint64_t> hashes(codes.row_count());
  for (std::uint32_t row = 0; row < hashes.size(); ++row) hashes[row] = codes.hash(row);
  std::sort(hashes.begin(), hashes.end());
  std::size_t run = 0;
  for (std::size_t i = 1; i < hashes.size(); ++i) {
    run = hashes[i] == hashes[i - 1] ? run + 1 : 0;
    if (run >= kEqualCodesMax) return true;
  }
  return false;
}

}  // namespace

RowCodesResult build_row_codes(const IndexSpec& spec, Metric metric, VectorSpan rows,
                               std::span<const std::uint32_t> row_ids,
                               const BuildControl& control) {
  if (row_ids.empty()) return std::unique_ptr<const RowCodes>();
  switch (spec.codes) {
    case CodeType::kNone:
      return std::unique_ptr<const RowCodes>();
    case CodeType::kSq8:
      return build_grid_codes(kGridLevels, spec, metric, rows, row_ids, control);
    case CodeType::kSq4:
      return build_grid_codes(kSmallGridLevels, spec, metric, rows, row_ids, control);
    case CodeType::kBinary:
      return build_binary_codes(spec, metric, rows, row_ids, control);
    case CodeType::kPq:
      return build_product_codes(spec, metric, rows, row_ids, control);
    case CodeType::kAuto:
      break;
  }
  // Codes of a byte a value save nothing over rows of bytes.
  if (rows.dim < kAutoDimMin || rows.type == ValueType::kUint8) {
    return std::unique_ptr<const RowCodes>();
  }
  TESSERA_ASSIGN_OR_RETURN(auto codes,
                           build_grid_codes(kGridLevels, spec, metric, rows, row_ids, control));
  if (codes == nullptr || has_blind_group(*codes) ||
      !finds_what_rows_find(*codes, metric, rows, row_ids, spec.seed)) {
    log::debug("8-bit codes do not tell these rows apart; the rows are compared instead",
               {{"rows", row_ids.size()}, {"dim", rows.dim}});
    return std::unique_ptr<const RowCodes>();
  }
  return codes;
}

std::size_t row_code_bytes(const IndexSpec& spec, std::size_t dim) {
  switch (spec.codes) {
    case CodeType::kNone:
      return 0;
    case CodeType::kSq8:
      return GridCodes::stride_of(kGridLevels, dim);
    case CodeType::kSq4:
      return GridCodes::stride_of(kSmallGridLevels, dim);
    case CodeType::kBinary:
      return BinaryCodes::stride_of(dim);
    case CodeType::kPq: {
      const auto segment_count = pq_segment_count(spec, dim);
      return segment_count.has_value() ? *segment_count : spec.pq_segment_count;
    }
    case CodeType::kAuto:
      return dim < kAutoDimMin ? 0 : GridCodes::stride_of(kGridLevels, dim);
  }
  return 0;
}

RowCodesResult load_row_codes(Metric metric, std::size_t row_count, std::size_t dim,
                              std::span<const std::byte>& bytes) {
  ByteReader reader("codes", bytes);
  CodesHeader header = {};
  TESSERA_RETURN_IF_ERROR(reader.read("header", header));
  if (header.type > std::numeric_limits<std::underlying_type_t<CodeType>>::max()) {
    return reader.corrupt("type", std::to_string(header.type) + " is unknown");
  }
  if (header.type == static_cast<std::uint32_t>(CodeType::kNone)) {
    if (header.dim != 0) return reader.corrupt("dim", "is not zero where there are no codes");
    if (header.row_count != 0) {
      return reader.corrupt("row_count", "is not zero where there are no codes");
    }
    return std::unique_ptr<const RowCodes>();
  }
  if (header.dim != dim) return reader.corrupt("dim", "differs from the rows'");
  if (header.row_count != row_count) return reader.corrupt("row_count", "differs from the nodes'");
  switch (static_cast<CodeType>(header.type)) {
    case CodeType::kSq8:
      return load_grid_codes(kGridLevels, metric, row_count, dim, reader);
    case CodeType::kSq4:
      return load_grid_codes(kSmallGridLevels, metric, row_count, dim, reader);
    case CodeType::kBinary:
      return load_binary_codes(metric, row_count, dim, reader);
    case CodeType::kPq:
      return load_product_codes(metric, row_count, dim, reader);
    case CodeType::kNone:
    case CodeType::kAuto:
      break;
  }
  return reader.corrupt("type", std::to_string(header.type) + " is unknown");
}

Status save_row_codes(const RowCodes* codes, std::size_t dim, ByteSink& sink) {
  CodesHeader header = {static_cast<std::uint32_t>(CodeType::kNone), 0, 0};
  if (codes != nullptr) {
    header = {static_cast<std::uint32_t>(codes->type()), static_cast<std::uint32_t>(dim),
              codes->row_count()};
  }
  TESSERA_RETURN_IF_ERROR(sink.append(std::as_bytes(std::span(&header, 1))));
  return codes == nullptr ? Status() : codes->save(sink);
}

}  // namespace tessera::index
