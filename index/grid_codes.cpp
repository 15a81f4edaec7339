#include "index/grid_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "index/kernel_table.h"
#include "index/parallel.h"
#include "index/row_sample.h"

namespace tessera::index {
namespace {

constexpr std::size_t kLineBytes = CodeBlock::kLineBytes;
constexpr std::size_t kEncodeBlock = 4096;
constexpr std::size_t kTrainingRows = 65536;
constexpr std::uint32_t kSmallLevelCount = 16;

bool uses_levels(Metric metric) {
  return metric == Metric::kManhattan;
}

}  // namespace

GridCodes::GridCodes(Metric metric, CodeGrid grid, CodeBlock codes)
    : metric_(metric), grid_(std::move(grid)), codes_(std::move(codes)) {
  compute_terms();
}

std::size_t GridCodes::stride_of(std::uint32_t level_count, std::size_t dim) {
  // A line of 4-bit codes holds values that are 64 apart in one byte: 128 of them fill it.
  const std::size_t line_values = level_count == kSmallLevelCount ? 2 * kLineBytes : kLineBytes;
  return (dim + line_values - 1) / line_values * kLineBytes;
}

void GridCodes::pack(const CodeGrid& grid, const std::uint8_t* levels, std::uint8_t* code) {
  if (grid.level_count != kSmallLevelCount) {
    std::memcpy(code, levels, grid.dim());
    return;
  }
  for (std::size_t d = 0; d < grid.dim(); ++d) {
    const std::size_t byte = d / (2 * kLineBytes) * kLineBytes + d % kLineBytes;
    const bool is_high = d % (2 * kLineBytes) >= kLineBytes;
    code[byte] = static_cast<std::uint8_t>(code[byte] | (is_high ? levels[d] << 4 : levels[d]));
  }
}

void GridCodes::unpack(std::uint32_t row, std::uint8_t* levels) const {
  const std::uint8_t* const code = codes_.row(row);
  if (!is_small()) {
    std::memcpy(levels, code, grid_.dim());
    return;
  }
  for (std::size_t d = 0; d < grid_.dim(); ++d) {
    const std::uint8_t byte = code[d / (2 * kLineBytes) * kLineBytes + d % kLineBytes];
    levels[d] = d % (2 * kLineBytes) >= kLineBytes ? byte >> 4 : byte & 0x0F;
  }
}

void GridCodes::compute_terms() {
  if (metric_ != Metric::kEuclid) return;
  terms_.resize(row_count());
  std::vector<std::uint8_t> levels(grid_.dim());
  for (std::uint32_t row = 0; row < terms_.size(); ++row) {
    unpack(row, levels.data());
    std::int64_t squares = 0;
    for (const std::uint8_t level : levels) {
      const std::int32_t value = level - half();
      squares += value * value;
    }
    terms_[row] =
        static_cast<float>(double{grid_.step} * grid_.step * static_cast<double>(squares));
  }
}

CodeType GridCodes::type() const {
  return is_small() ? CodeType::kSq4 : CodeType::kSq8;
}

// With a query y = scale * bytes and a row x = step * (code - half), both less the centre:
// |y - x|^2 = |y|^2 + |x|^2 - 2 step scale (dot(bytes, code) - half sum(bytes)), and -<y, x> alike.
void GridCodes::set_scale(float scale, std::int32_t sum, double squared_norm,
                          CodeQuery& prepared) const {
  const double product = double{grid_.step} * scale;
  const double shift = product * half() * sum;
  if (metric_ == Metric::kEuclid) {
    prepared.factor = static_cast<float>(-2 * product);
    prepared.offset = static_cast<float>(squared_norm + 2 * shift);
  } else {
    prepared.factor = static_cast<float>(-product);
    prepared.offset = static_cast<float>(shift);
  }
}

bool GridCodes::prepare(const float* query, CodeQuery& prepared) const {
  prepared.bytes.assign(query_bytes(), 0);
  if (uses_levels(metric_)) {
    grid_.encode(query, prepared.bytes.data());
    prepared.factor = grid_.step;
    // What lies outside the grid is as far from every row's code as the grid's edge and the rest.
    double outside = 0;
    const double reach_low = -double{grid_.step} * half();
    const double reach_high = double{grid_.step} * (half() - 1);
    for (std::size_t d = 0; d < grid_.dim(); ++d) {
      const double value = double{query[d]} - grid_.center[d];
      outside += std::max(0.0, std::max(value - reach_high, reach_low - value));
    }
    prepared.offset = static_cast<float>(outside);
    return std::isfinite(prepared.offset);
  }
  SignedBytes made;
  auto* const bytes = reinterpret_cast<std::int8_t*>(prepared.bytes.data());
  if (!to_signed_bytes(query, grid_.center.data(), grid_.dim(), bytes, made)) return false;
  set_scale(made.scale, made.sum, made.squared_norm, prepared);
  return true;
}

void GridCodes::prepare_row(std::uint32_t row, CodeQuery& prepared) const {
  prepared.bytes.assign(query_bytes(), 0);
  unpack(row, prepared.bytes.data());
  if (uses_levels(metric_)) {
    prepared.factor = grid_.step;
    prepared.offset = 0;
    return;
  }
  std::int32_t sum = 0;
  for (std::size_t d = 0; d < grid_.dim(); ++d) {
    const std::int32_t value = prepared.bytes[d] - half();
    sum += value;
    prepared.bytes[d] = static_cast<std::uint8_t>(value);
  }
  const double squared_norm = metric_ == Metric::kEuclid ? terms_[row] : 0;
  set_scale(grid_.step, sum, squared_norm, prepared);
}

void GridCodes::distances_at(CodeQuery& query, std::span<const std::uint32_t> rows,
                             float* out) const {
  const CodeKernels& kernel = kernels().codes;
  if (query.sums.size() < rows.size()) query.sums.resize(rows.size());
  std::int32_t* const sums = query.sums.data();
  const auto* const bytes = reinterpret_cast<const std::int8_t*>(query.bytes.data());
  if (uses_levels(metric_)) {
    kernel.sad_u8_at(query.bytes.data(), codes_.data(), codes_.stride(), rows.data(), rows.size(),
                     sums);
  } else if (is_small()) {
    kernel.dot_u4_at(bytes, codes_.data(), codes_.stride(), rows.data(), rows.size(), sums);
  } else {
    kernel.dot_u8_at(bytes, codes_.data(), codes_.stride(), rows.data(), rows.size(), sums);
  }
  if (terms_.empty()) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      out[i] = query.offset + query.factor * static_cast<float>(sums[i]);
    }
  } else {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      out[i] = query.offset + terms_[rows[i]] + query.factor * static_cast<float>(sums[i]);
    }
  }
}

std::size_t GridCodes::candidate_count(std::size_t k) const {
  // Seen on digits, text embeddings and generated rows: beyond these nothing more is found.
  constexpr std::size_t kSmallFactor = 4, kAddedLeast = 6;
  return is_small() ? kSmallFactor * k : k + std::max(kAddedLeast, k / 8);
}

std::unique_ptr<const RowCodes> GridCodes::reordered(std::span<const std::uint32_t> order) const {
  return std::make_unique<const GridCodes>(metric_, grid_, codes_.reordered(order));
}

Status GridCodes::save(ByteSink& sink) const {
  TESSERA_RETURN_IF_ERROR(sink.append(std::as_bytes(std::span(grid_.center))));
  TESSERA_RETURN_IF_ERROR(sink.append(std::as_bytes(std::span(&grid_.step, 1))));
  return codes_.save(sink);
}

std::size_t GridCodes::memory_bytes() const {
  return sizeof(*this) + codes_.memory_bytes() + terms_.capacity() * sizeof(float) +
         grid_.center.capacity() * sizeof(float);
}

RowCodesResult build_grid_codes(std::uint32_t level_count, const IndexSpec& spec, Metric metric,
                                VectorSpan rows, std::span<const std::uint32_t> row_ids,
                                const BuildControl& control) {
  std::vector<std::uint32_t> sample;
  for (const std::uint32_t position : sample_row_ids(row_ids.size(), kTrainingRows, spec.seed)) {
    sample.push_back(row_ids[position]);
  }
  // There is no L1 distance of packed codes.
  if (uses_levels(metric)) level_count = 256;
  CodeGrid grid;
  if (!train_grid(metric, rows, sample, {level_count, spec.code_quantile}, grid)) {
    return std::unique_ptr<const RowCodes>();
  }
  const std::size_t stride = GridCodes::stride_of(level_count, rows.dim);
  CodeBlock codes(row_ids.size(), stride);
  const std::size_t block_count = (row_ids.size() + kEncodeBlock - 1) / kEncodeBlock;
  const auto work = [&](std::size_t block, std::size_t /*worker*/) -> Status {
    std::vector<std::uint8_t> levels(rows.dim);
    RowReader row_of(rows);
    const std::size_t end = std::min(row_ids.size(), (block + 1) * kEncodeBlock);
    for (std::size_t i = block * kEncodeBlock; i < end; ++i) {
      grid.encode(row_of(row_ids[i]), levels.data());
      GridCodes::pack(grid, levels.data(), codes.data() + i * stride);
    }
    return {};
  };
  TESSERA_RETURN_IF_ERROR(run_blocks("row codes", block_count, control, work));
  return std::make_unique<const GridCodes>(metric, std::move(grid), std::move(codes));
}

RowCodesResult load_grid_codes(std::uint32_t level_count, Metric metric, std::size_t row_count,
                               std::size_t dim, ByteReader& reader) {
  CodeGrid grid;
  grid.level_count = level_count;
  TESSERA_RETURN_IF_ERROR(reader.read_finite("center", dim, grid.center));
  TESSERA_RETURN_IF_ERROR(reader.read("step", grid.step));
  // Squared norms of decoded rows have to be floats, as train_grid sees to.
  const double reach = double{grid.step} * (level_count / 2);
  if (!(grid.step > 0) || !(reach * reach * static_cast<double>(dim) < 1e37)) {
    return reader.corrupt("step", "is out of range");
  }
  TESSERA_ASSIGN_OR_RETURN(
      CodeBlock codes, CodeBlock::load(row_count, GridCodes::stride_of(level_count, dim), reader));
  return std::make_unique<const GridCodes>(metric, std::move(grid), std::move(codes));
}

}  // namespace tessera::index
