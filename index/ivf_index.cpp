#include "index/ivf_index.h"

#include <utility>

#include "index/ann_index_impl.h"
#include "index/guarded_call.h"
#include "index/ivf_bytes.h"

namespace tessera::index {
namespace {

constexpr std::uint32_t kPlainVersion = 1;
constexpr std::uint32_t kRotatedVersion = 2;  ///< The codes begin with a rotation.
constexpr std::uint32_t kRerankFactorMax = 65536;

struct FileHeader {
  std::uint32_t format_version;
  std::uint32_t type;
  std::uint32_t metric;
  std::uint32_t dim;
  std::uint64_t row_count;
  std::uint32_t list_count;
  std::uint32_t code_bytes;
  std::uint32_t probe_count;
  std::uint32_t rerank_factor;
};
static_assert(sizeof(FileHeader) == 40);

Status check_header(const FileHeader& header, const IndexSpec& spec, Metric metric,
                    VectorSpan rows) {
  const auto expect = [](const char* field, std::uint64_t found, std::uint64_t expected) -> Status {
    if (found == expected) return {};
    return corrupt_ivf(field, std::to_string(found) + " instead of " + std::to_string(expected));
  };
  const auto expect_range = [](const char* field, std::uint64_t found, std::uint64_t least,
                               std::uint64_t greatest) -> Status {
    if (found >= least && found <= greatest) return {};
    return corrupt_ivf(field, std::to_string(found) + " is outside " + std::to_string(least) +
                                  ".." + std::to_string(greatest));
  };
  const std::size_t row_count = rows.row_count;
  const bool may_be_rotated = spec.type == IndexType::kIvfPq;
  TESSERA_RETURN_IF_ERROR(expect_range("format_version", header.format_version, kPlainVersion,
                                       may_be_rotated ? kRotatedVersion : kPlainVersion));
  TESSERA_RETURN_IF_ERROR(expect("type", header.type, static_cast<std::uint64_t>(spec.type)));
  TESSERA_RETURN_IF_ERROR(expect("metric", header.metric, static_cast<std::uint64_t>(metric)));
  TESSERA_RETURN_IF_ERROR(expect("dim", header.dim, rows.dim));
  TESSERA_RETURN_IF_ERROR(expect("row_count", header.row_count, row_count));
  TESSERA_RETURN_IF_ERROR(
      expect_range("list_count", header.list_count, row_count == 0 ? 0 : 1, row_count));
  TESSERA_RETURN_IF_ERROR(
      expect_range("probe_count", header.probe_count, row_count == 0 ? 0 : 1, header.list_count));
  // Rows that are compared themselves leave nothing to compare again.
  return expect_range("rerank_factor", header.rerank_factor, 1,
                      spec.type == IndexType::kIvfFlat ? 1 : kRerankFactorMax);
}

Status read_lists(ByteReader& reader, std::size_t list_count, IvfData& data) {
  TESSERA_RETURN_IF_ERROR(
      reader.read_finite("centroids", list_count * data.rows.dim, data.lists.centroids));
  std::vector<std::uint32_t> sizes;
  TESSERA_RETURN_IF_ERROR(reader.read("list_sizes", list_count, sizes));
  std::uint64_t total = 0;
  for (const std::uint32_t size : sizes) {
    total += size;
    if (total > data.rows.row_count) break;
    data.lists.begins.push_back(static_cast<std::uint32_t>(total));
  }
  if (total != data.rows.row_count) {
    return corrupt_ivf("list_sizes", "their sum is not the row_count");
  }
  TESSERA_RETURN_IF_ERROR(reader.read("row_ids", data.rows.row_count, data.lists.row_ids));
  std::vector<bool> is_listed(data.rows.row_count);
  for (const std::uint32_t row : data.lists.row_ids) {
    if (row >= data.rows.row_count) {
      return corrupt_ivf("row_ids", std::to_string(row) + " is out of range");
    }
    if (is_listed[row]) return corrupt_ivf("row_ids", std::to_string(row) + " is listed twice");
    is_listed[row] = true;
  }
  return {};
}

IndexResult load(const IndexSpec& spec, Metric metric, VectorSpan rows,
                 std::span<const std::byte> bytes) {
  ByteReader reader("ivf index", bytes);
  std::vector<FileHeader> headers;
  TESSERA_RETURN_IF_ERROR(reader.read("header", 1, headers));
  const FileHeader& header = headers.front();
  TESSERA_RETURN_IF_ERROR(check_header(header, spec, metric, rows));

  auto data = std::make_unique<IvfData>();
  data->metric = metric;
  data->rows = rows;
  TESSERA_RETURN_IF_ERROR(read_lists(reader, header.list_count, *data));
  TESSERA_ASSIGN_OR_RETURN(
      auto codes,
      load_codes(spec, *data, header.code_bytes, header.format_version == kRotatedVersion, reader));
  if (reader.bytes_left() > 0) {
    return corrupt_ivf("size",
                       std::to_string(reader.bytes_left()) + " bytes follow the last field");
  }
  const IvfEffort effort{header.probe_count, header.rerank_factor};
  return std::make_unique<const IvfIndex>(spec, std::move(data), std::move(codes), effort);
}

}  // namespace

IvfIndex::IvfIndex(IndexSpec spec, std::unique_ptr<const IvfData> data,
                   std::unique_ptr<const IvfCodes> codes, IvfEffort effort)
    : spec_(spec), data_(std::move(data)), codes_(std::move(codes)), effort_(effort) {}

Status IvfIndex::search(const float* query, const SearchOptions& options, const RowFilter& filter,
                        std::vector<RowHit>& hits, SearchStats& stats) const {
  IvfEffort effort = effort_;
  if (options.probe_count > 0) effort.probe_count = options.probe_count;
  return guarded_call("ivf search", [&] {
    return IvfSearch(*data_, *codes_, effort)
        .run(query, options.k, filter, options.cancel, hits, stats);
  });
}

Status IvfIndex::save(ByteSink& sink) const {
  const IvfLists& lists = data_->lists;
  const FileHeader header{
      .format_version = codes_->is_rotated() ? kRotatedVersion : kPlainVersion,
      .type = static_cast<std::uint32_t>(spec_.type),
      .metric = static_cast<std::uint32_t>(data_->metric),
      .dim = static_cast<std::uint32_t>(data_->rows.dim),
      .row_count = data_->rows.row_count,
      .list_count = static_cast<std::uint32_t>(lists.list_count()),
      .code_bytes = static_cast<std::uint32_t>(codes_->code_bytes()),
      .probe_count = static_cast<std::uint32_t>(effort_.probe_count),
      .rerank_factor = static_cast<std::uint32_t>(effort_.rerank_factor),
  };
  TESSERA_RETURN_IF_ERROR(sink.append(std::as_bytes(std::span(&header, 1))));
  return guarded_call("ivf save", [&]() -> Status {
    std::vector<std::uint32_t> sizes(lists.list_count());
    for (std::size_t list = 0; list < sizes.size(); ++list) {
      sizes[list] = lists.begins[list + 1] - lists.begins[list];
    }
    TESSERA_RETURN_IF_ERROR(append_values(sink, lists.centroids));
    TESSERA_RETURN_IF_ERROR(append_values(sink, sizes));
    TESSERA_RETURN_IF_ERROR(append_values(sink, lists.row_ids));
    return codes_->save(sink);
  });
}

std::size_t IvfIndex::memory_bytes() const {
  const IvfLists& lists = data_->lists;
  return sizeof(*this) + sizeof(*data_) + lists.centroids.size() * sizeof(float) +
         (lists.begins.size() + lists.row_ids.size()) * sizeof(std::uint32_t) +
         codes_->memory_bytes();
}

IndexResult load_ivf(const IndexSpec& spec, Metric metric, VectorSpan rows,
                     std::span<const std::byte> bytes) {
  return guarded_call("ivf load", [&] { return load(spec, metric, rows, bytes); });
}

}  // namespace tessera::index
