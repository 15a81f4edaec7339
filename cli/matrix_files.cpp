#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

#include "cli/console.h"
#include "cli/matrix_source.h"

namespace tessera::cli {
namespace {

constexpr std::uint32_t kDimMax = 65536;
constexpr std::uint64_t kRowCountMax = 1ULL << 48;
constexpr std::size_t kHeaderBytesMax = 64U << 10;

Status corrupt(const InputFile& file, const std::string& reason) {
  return {Code::kCorrupt, file.path() + ": " + reason};
}
Status unsupported(const InputFile& file, const std::string& reason) {
  return {Code::kInvalidArgument, file.path() + ": " + reason};
}

/// Value text of a key in the header's Python dictionary, up to the comma, bracket or brace that
/// ends it; nullopt when the key is missing.
std::optional<std::string_view> header_value(std::string_view header, const std::string& key) {
  for (const char quote : {'\'', '"'}) {
    const std::string quoted = quote + key + quote;
    const std::size_t at = header.find(quoted);
    if (at == std::string_view::npos) continue;
    std::size_t begin = header.find_first_not_of(" \t", at + quoted.size());
    if (begin == std::string_view::npos || header[begin] != ':') return std::nullopt;
    begin = header.find_first_not_of(" \t", begin + 1);
    if (begin == std::string_view::npos) return std::nullopt;
    if (header[begin] == '(') {
      const std::size_t end = header.find(')', begin);
      if (end == std::string_view::npos) return std::nullopt;
      return header.substr(begin, end - begin + 1);
    }
    const std::size_t end = header.find_first_of(",}", begin);
    if (end == std::string_view::npos) return std::nullopt;
    std::string_view value = header.substr(begin, end - begin);
    while (value.ends_with(' ')) value.remove_suffix(1);
    return value;
  }
  return std::nullopt;
}

/// "(3, 4)", "(3,)"; nullopt when it is no tuple of whole numbers.
std::optional<std::vector<std::uint64_t>> parse_shape(std::string_view text) {
  std::vector<std::uint64_t> shape;
  if (!text.starts_with('(') || !text.ends_with(')')) return std::nullopt;
  text = text.substr(1, text.size() - 2);
  while (!text.empty()) {
    const std::size_t begin = text.find_first_not_of(' ');
    if (begin == std::string_view::npos) break;
    text.remove_prefix(begin);
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return std::nullopt;
    shape.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.empty()) break;
    if (text.front() != ',') return std::nullopt;
    text.remove_prefix(1);
  }
  return shape;
}

struct TypeName {
  std::string_view text;
  ElementType type;
};
constexpr std::array<TypeName, 5> kVectorTypes{{{"<f2", ElementType::kFloat16},
                                                {"<f4", ElementType::kFloat32},
                                                {"<f8", ElementType::kFloat64},
                                                {"|u1", ElementType::kUint8},
                                                {"|i1", ElementType::kInt8}}};
constexpr std::array<TypeName, 6> kIdTypes{{{"<i4", ElementType::kInt32},
                                            {"<i8", ElementType::kInt64},
                                            {"<u4", ElementType::kUint32},
                                            {"<u8", ElementType::kUint64},
                                            {"|u1", ElementType::kUint8},
                                            {"|i1", ElementType::kInt8}}};

Result<ElementType> type_of(const InputFile& file, std::string_view descr, int dim_count) {
  if (descr.size() >= 2) descr = descr.substr(1, descr.size() - 2);  // without its quotes
  const std::span<const TypeName> known = dim_count == 2 ? std::span<const TypeName>(kVectorTypes)
                                                         : std::span<const TypeName>(kIdTypes);
  std::string names;
  for (const TypeName& name : known) {
    if (descr == name.text) return name.type;
    names += (names.empty() ? "" : ", ") + std::string(name.text);
  }
  const std::string reason = descr.starts_with('>') ? " (big-endian)" : "";
  return unsupported(file, "element type " + std::string(descr) + reason +
                               " is not supported; known are " + names +
                               ". Convert it, for example with array.astype('<f4')");
}

Result<std::string> read_header_text(InputFile& file, std::uint64_t& data_offset) {
  std::array<std::byte, 12> start{};
  TESSERA_ASSIGN_OR_RETURN(const std::size_t count, file.read(start));
  if (count < 10 || std::memcmp(start.data(), "\x93NUMPY", 6) != 0) {
    return corrupt(file, "is not a .npy file (its first bytes are not \\x93NUMPY)");
  }
  const auto major = std::to_integer<unsigned>(start[6]);
  if (major < 1 || major > 3) {
    return unsupported(
        file, "has .npy format version " + std::to_string(major) + "; versions 1 to 3 are known");
  }
  std::size_t length =
      std::to_integer<std::size_t>(start[8]) | std::to_integer<std::size_t>(start[9]) << 8;
  data_offset = 10;
  if (major >= 2) {
    length |= std::to_integer<std::size_t>(start[10]) << 16 |
              std::to_integer<std::size_t>(start[11]) << 24;
    data_offset = 12;
  }
  if (length > kHeaderBytesMax) {
    return corrupt(file, "announces a header of " + std::to_string(length) + " bytes");
  }
  TESSERA_RETURN_IF_ERROR(file.seek(data_offset));
  std::string header(length, '\0');
  const auto bytes = std::as_writable_bytes(std::span(header));
  TESSERA_ASSIGN_OR_RETURN(const std::size_t header_count, file.read(bytes));
  if (header_count != length) return corrupt(file, "is truncated inside its header");
  data_offset += length;
  return header;
}

Status check_size(const InputFile& file, const MatrixLayout& layout, const std::string& shape) {
  // Cannot overflow: row_count is below 2^48 and a row below 2^20 bytes, checked as a quotient.
  const std::uint64_t bytes_max = ~0ULL - layout.data_offset;
  if (layout.row_count > bytes_max / layout.row_bytes()) {
    return corrupt(file, "announces more bytes than a file can have");
  }
  const std::uint64_t expected = layout.data_offset + layout.row_count * layout.row_bytes();
  const std::uint64_t actual = *file.size_bytes();
  if (actual == expected) return {};
  const std::string sizes = "its header announces " + shape + ", which is " +
                            with_separators(expected) + " bytes, but the file has " +
                            with_separators(actual);
  if (actual < expected) return corrupt(file, "is truncated: " + sizes);
  return corrupt(file, "has bytes after its array: " + sizes);
}

}  // namespace

std::size_t element_bytes(ElementType type) {
  switch (type) {
    case ElementType::kUint8:
    case ElementType::kInt8:
      return 1;
    case ElementType::kFloat16:
      return 2;
    case ElementType::kFloat32:
    case ElementType::kInt32:
    case ElementType::kUint32:
      return 4;
    case ElementType::kFloat64:
    case ElementType::kInt64:
    case ElementType::kUint64:
      return 8;
  }
  return 1;
}

Result<MatrixLayout> read_npy_header(InputFile& file, int dim_count) {
  if (!file.size_bytes()) {
    return unsupported(file,
                       "a .npy file cannot be read from a pipe, because its size is checked "
                       "before anything is imported");
  }
  MatrixLayout layout;
  TESSERA_ASSIGN_OR_RETURN(const std::string header, read_header_text(file, layout.data_offset));
  const auto descr = header_value(header, "descr");
  const auto order = header_value(header, "fortran_order");
  const auto shape_text = header_value(header, "shape");
  if (!descr || !order || !shape_text) {
    return corrupt(file, "has a damaged header: descr, fortran_order or shape is missing");
  }
  if (!descr->starts_with('\'') && !descr->starts_with('"')) {
    return unsupported(file, "holds records (structured dtype), not numbers");
  }
  TESSERA_ASSIGN_OR_RETURN(layout.type, type_of(file, *descr, dim_count));
  if (*order == "True" && dim_count == 2) {
    return unsupported(file,
                       "is in Fortran (column-major) order; save it with "
                       "numpy.ascontiguousarray");
  }
  if (*order != "True" && *order != "False") {
    return corrupt(file, "has a damaged header: fortran_order is " + std::string(*order));
  }
  const auto shape = parse_shape(*shape_text);
  if (!shape) return corrupt(file, "has a damaged header: shape is " + std::string(*shape_text));
  if (shape->size() != static_cast<std::size_t>(dim_count)) {
    return unsupported(
        file, "has shape " + std::string(*shape_text) + "; expected " +
                  (dim_count == 2 ? "2 dimensions (rows, values)" : "1 dimension (one id a row)"));
  }
  layout.row_count = shape->front();
  if (layout.row_count > kRowCountMax) return corrupt(file, "announces too many rows");
  if (dim_count == 2) {
    if ((*shape)[1] == 0 || (*shape)[1] > kDimMax) {
      return unsupported(file, "has rows of " + std::to_string((*shape)[1]) +
                                   " values; must be from 1 to " + std::to_string(kDimMax));
    }
    layout.dim = static_cast<std::uint32_t>((*shape)[1]);
  }
  TESSERA_RETURN_IF_ERROR(check_size(file, layout, "shape " + std::string(*shape_text)));
  return layout;
}

Result<std::unique_ptr<RowSource>> open_npy(const std::string& path, const RowOptions& options,
                                            std::uint64_t row_count_before) {
  TESSERA_ASSIGN_OR_RETURN(InputFile file, InputFile::open(path));
  TESSERA_ASSIGN_OR_RETURN(const MatrixLayout layout, read_npy_header(file, 2));
  return open_matrix(std::move(file), layout, options, row_count_before);
}

Result<std::unique_ptr<RowSource>> open_vecs(const std::string& path, FileFormat format,
                                             const RowOptions& options,
                                             std::uint64_t row_count_before) {
  TESSERA_ASSIGN_OR_RETURN(InputFile file, InputFile::open(path));
  if (!file.size_bytes()) return unsupported(file, "cannot be read from a pipe");
  MatrixLayout layout;
  layout.type = format == FileFormat::kFvecs ? ElementType::kFloat32 : ElementType::kUint8;
  layout.has_dim_before_row = true;
  const std::uint64_t size = *file.size_bytes();
  if (size > 0) {
    if (size < 4) return corrupt(file, "is truncated inside the dimension of its first row");
    TESSERA_RETURN_IF_ERROR(file.read_exactly(std::as_writable_bytes(std::span(&layout.dim, 1))));
    if (layout.dim == 0 || layout.dim > kDimMax) {
      return corrupt(file, "begins with a row of dimension " +
                               std::to_string(static_cast<std::int32_t>(layout.dim)) +
                               "; must be from 1 to " + std::to_string(kDimMax));
    }
    layout.row_count = size / layout.row_bytes();
    if (size % layout.row_bytes() != 0) {
      return corrupt(file,
                     "is truncated, or its rows differ in dimension: " + with_separators(size) +
                         " bytes are " + with_separators(layout.row_count) + " rows of dimension " +
                         std::to_string(layout.dim) + " (" + std::to_string(layout.row_bytes()) +
                         " bytes each) and " + std::to_string(size % layout.row_bytes()) +
                         " bytes more");
    }
  }
  return open_matrix(std::move(file), layout, options, row_count_before);
}

}  // namespace tessera::cli
