#include "cli/matrix_source.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "cli/console.h"
#include "cli/payload_file.h"
#include "cli/point_json.h"

namespace tessera::cli {
namespace {

constexpr std::size_t kBlockBytes = 1U << 20;

template <class T>
T load(const std::byte* bytes) {
  static_assert(std::endian::native == std::endian::little, "the files are little-endian");
  T value{};
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

float element_as_float(ElementType type, const std::byte* bytes) {
  switch (type) {
    case ElementType::kFloat16:
      return float_from_half(load<std::uint16_t>(bytes));
    case ElementType::kFloat32:
      return load<float>(bytes);
    case ElementType::kFloat64:
      return static_cast<float>(load<double>(bytes));
    case ElementType::kUint8:
      return static_cast<float>(load<std::uint8_t>(bytes));
    case ElementType::kInt8:
      return static_cast<float>(load<std::int8_t>(bytes));
    case ElementType::kInt32:
      return static_cast<float>(load<std::int32_t>(bytes));
    case ElementType::kInt64:
      return static_cast<float>(load<std::int64_t>(bytes));
    case ElementType::kUint32:
      return static_cast<float>(load<std::uint32_t>(bytes));
    case ElementType::kUint64:
      return static_cast<float>(load<std::uint64_t>(bytes));
  }
  return 0;
}

/// Row bytes of a matrix, read in blocks of whole rows. Thread rule: confined to one thread.
class RowReader {
 public:
  RowReader(InputFile file, const MatrixLayout& layout)
      : file_(std::move(file)),
        layout_(layout),
        block_rows_(std::max<std::uint64_t>(1, kBlockBytes / layout.row_bytes())) {}

  [[nodiscard]] const InputFile& file() const { return file_; }
  [[nodiscard]] const MatrixLayout& layout() const { return layout_; }

  /// The row's bytes, valid until the next call. Requires row < row_count.
  Result<const std::byte*> row(std::uint64_t row) {
    if (row < first_row_ || row >= first_row_ + loaded_rows_) {
      const std::uint64_t count = std::min(block_rows_, layout_.row_count - row);
      const std::uint64_t offset = layout_.data_offset + row * layout_.row_bytes();
      block_.resize(count * layout_.row_bytes());
      loaded_rows_ = 0;
      TESSERA_RETURN_IF_ERROR(file_.seek(offset));
      TESSERA_RETURN_IF_ERROR(file_.read_exactly(block_));
      first_row_ = row;
      loaded_rows_ = count;
    }
    return block_.data() + (row - first_row_) * layout_.row_bytes();
  }

 private:
  InputFile file_;
  const MatrixLayout layout_;
  const std::uint64_t block_rows_;
  std::vector<std::byte> block_;
  std::uint64_t first_row_ = 0;
  std::uint64_t loaded_rows_ = 0;
};

/// Thread rule: confined to one thread.
class MatrixSource final : public RowSource {
 public:
  MatrixSource(RowReader rows, RowOptions options, std::uint64_t first_id)
      : rows_(std::move(rows)), options_(std::move(options)), first_id_(first_id) {}

  /// Opens the files that the options name beside the vectors.
  Status open_companions() {
    const std::uint64_t row_count = rows_.layout().row_count;
    if (options_.ids_file) {
      TESSERA_ASSIGN_OR_RETURN(InputFile file, InputFile::open(*options_.ids_file));
      TESSERA_ASSIGN_OR_RETURN(const MatrixLayout layout, read_npy_header(file, 1));
      if (layout.row_count != row_count) {
        return {Code::kInvalidArgument, file.path() + ": has " + with_separators(layout.row_count) +
                                            " ids for " + with_separators(row_count) +
                                            " rows of vectors"};
      }
      ids_.emplace(std::move(file), layout);
    }
    if (options_.payloads_file) {
      TESSERA_ASSIGN_OR_RETURN(payloads_,
                               PayloadFile::open(*options_.payloads_file, options_.payload_match,
                                                 options_.id_field, row_count));
    }
    return {};
  }

  Result<bool> next(ImportRow& row) override {
    row = {};
    if (row_index_ == rows_.layout().row_count) return false;
    const std::uint64_t index = row_index_++;
    row.where = rows_.file().path() + ": row " + std::to_string(index);
    row.after = position_after(index);
    TESSERA_ASSIGN_OR_RETURN(const std::byte* bytes, rows_.row(index));
    if (rows_.layout().has_dim_before_row) {
      const auto dim = load<std::uint32_t>(bytes);
      // Where the next row begins depends on this dimension, so nothing after it can be trusted.
      if (dim != rows_.layout().dim) {
        return Status(Code::kCorrupt, row.where + " has dimension " +
                                          std::to_string(static_cast<std::int32_t>(dim)) +
                                          ", the first row has " +
                                          std::to_string(rows_.layout().dim));
      }
      bytes += 4;
    }
    TESSERA_ASSIGN_OR_RETURN(const std::optional<PointId> id, id_of(index, row));
    if (!id) return true;
    row.id = *id;
    TESSERA_RETURN_IF_ERROR(convert(index, bytes, row));
    return true;
  }

  Status seek(const RowPosition& position) override {
    if (position.row_index > rows_.layout().row_count) {
      return {Code::kInvalidArgument,
              rows_.file().path() + ": has no row " + std::to_string(position.row_index)};
    }
    row_index_ = position.row_index;
    return {};
  }

  std::optional<std::uint64_t> size_bytes() const override { return rows_.file().size_bytes(); }

  std::string remark() const override {
    const std::uint64_t unused = payloads_ ? payloads_->unused_count() : 0;
    if (unused == 0) return {};
    return *options_.payloads_file + ": " + with_separators(unused) +
           " lines have an id that no imported row has";
  }

 private:
  [[nodiscard]] RowPosition position_after(std::uint64_t index) const {
    const MatrixLayout& layout = rows_.layout();
    return {layout.data_offset + (index + 1) * layout.row_bytes(), 1, index + 1};
  }

  /// nullopt when the id is bad, which `row.problem` then says.
  Result<std::optional<PointId>> id_of(std::uint64_t index, ImportRow& row) {
    if (!ids_) return std::optional(PointId(first_id_ + index));
    TESSERA_ASSIGN_OR_RETURN(const std::byte* bytes, ids_->row(index));
    std::int64_t number = 0;
    switch (ids_->layout().type) {
      case ElementType::kUint64:
        return std::optional(PointId(load<std::uint64_t>(bytes)));
      case ElementType::kUint32:
        return std::optional(PointId(load<std::uint32_t>(bytes)));
      case ElementType::kUint8:
        return std::optional(PointId(load<std::uint8_t>(bytes)));
      case ElementType::kInt64:
        number = load<std::int64_t>(bytes);
        break;
      case ElementType::kInt32:
        number = load<std::int32_t>(bytes);
        break;
      case ElementType::kInt8:
        number = load<std::int8_t>(bytes);
        break;
      case ElementType::kFloat16:
      case ElementType::kFloat32:
      case ElementType::kFloat64:
        break;  // read_npy_header lets no such ids through
    }
    if (number < 0) {
      row.problem = "id " + std::to_string(number) + " in " + *options_.ids_file + " is negative";
      return std::optional<PointId>();
    }
    return std::optional(PointId(static_cast<std::uint64_t>(number)));
  }

  Status convert(std::uint64_t index, const std::byte* bytes, ImportRow& row) {
    const MatrixLayout& layout = rows_.layout();
    std::vector<float> values(layout.dim);
    for (std::uint32_t i = 0; i < layout.dim; ++i) {
      values[i] = element_as_float(layout.type, bytes + i * element_bytes(layout.type));
    }
    row.is_skipped = options_.skips_zero_rows && is_zero(values);
    if (const Status status = check_finite(values); !status.ok()) {
      row.problem = status.message();
      return {};
    }
    row.vectors.emplace_back(options_.vector_name, std::move(values));
    if (payloads_) {
      Result<std::string> found = payloads_->payload_of(index, row.id);
      if (!found && found.error().code() == Code::kUnavailable) return found.error();
      if (!found) {
        row.problem = found.error().message();
        return {};
      }
      row.payload_json = std::move(*found);
    }
    return {};
  }

  RowReader rows_;
  const RowOptions options_;
  const std::uint64_t first_id_;
  std::optional<RowReader> ids_;
  std::unique_ptr<PayloadFile> payloads_;
  std::uint64_t row_index_ = 0;
};

}  // namespace

float float_from_half(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1FU;
  const std::uint32_t mantissa = bits & 0x3FFU;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide_exponent = exponent == 0x1F ? 0xFFU : exponent + (127 - 15);
  return std::bit_cast<float>(sign | wide_exponent << 23 | mantissa << 13);
}

Result<std::unique_ptr<RowSource>> open_matrix(InputFile file, const MatrixLayout& layout,
                                               const RowOptions& options,
                                               std::uint64_t row_count_before) {
  const std::uint64_t first_id = options.first_id.value_or(0) + row_count_before;
  auto source =
      std::make_unique<MatrixSource>(RowReader(std::move(file), layout), options, first_id);
  TESSERA_RETURN_IF_ERROR(source->open_companions());
  return std::unique_ptr<RowSource>(std::move(source));
}

}  // namespace tessera::cli
