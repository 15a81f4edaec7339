#include "index/flat_index.h"

#include <array>
#include <cstring>
#include <string>

#include "index/ann_index_impl.h"
#include "index/guarded_call.h"
#include "index/kernels.h"
#include "index/nearest_rows.h"

namespace tessera::index {
namespace {

// A block's distances fit the first-level cache; between blocks the cancel token is polled.
constexpr std::size_t kBlockRows = 512;
constexpr std::uint32_t kFormatVersion = 1;

struct FileHeader {
  std::uint32_t format_version;
  std::uint32_t dim;
  std::uint64_t row_count;
};
static_assert(sizeof(FileHeader) == 16);

struct Block {
  std::array<std::uint32_t, kBlockRows> ids;
  std::array<float, kBlockRows> distances;
};

/// Writes the allowed rows of [begin, end) to `ids`; how many there are.
std::size_t select_rows(const RowFilter& filter, std::size_t begin, std::size_t end,
                        std::uint32_t* ids) {
  std::size_t count = 0;
  for (std::size_t row = begin; row < end; ++row) {
    ids[count] = static_cast<std::uint32_t>(row);
    count += filter.allows(static_cast<std::uint32_t>(row)) ? 1 : 0;
  }
  return count;
}

Status check_cancelled(const CancelToken* cancel) {
  return cancel == nullptr ? Status() : cancel->check();
}

}  // namespace

FlatIndex::FlatIndex(IndexSpec spec, Metric metric, VectorSpan rows)
    : spec_(spec), metric_(metric), rows_(rows) {}

Status FlatIndex::search(const float* query, const SearchOptions& options, const RowFilter& filter,
                         std::vector<RowHit>& hits, SearchStats& stats) const {
  if (options.k == 0) return {};
  return guarded_call("flat search", [&]() -> Status {
    NearestRows nearest(options.k);
    Block block;
    for (std::size_t begin = 0; begin < rows_.row_count; begin += kBlockRows) {
      TESSERA_RETURN_IF_ERROR(check_cancelled(options.cancel));
      const std::size_t end = std::min(begin + kBlockRows, rows_.row_count);
      const std::size_t count = select_rows(filter, begin, end, block.ids.data());
      if (count == end - begin) {
        distances(metric_, query, rows_.part(begin, count), block.distances.data());
      } else {
        distances_at(metric_, query, rows_, {block.ids.data(), count}, block.distances.data());
      }
      for (std::size_t i = 0; i < count; ++i) {
        if (block.distances[i] <= nearest.bound()) {
          nearest.offer({block.distances[i], block.ids[i]});
        }
      }
      stats.visited_count += count;
    }
    nearest.drain(hits);
    return {};
  });
}

Status FlatIndex::save(ByteSink& sink) const {
  const FileHeader header = {kFormatVersion, static_cast<std::uint32_t>(rows_.dim),
                             rows_.row_count};
  return sink.append(std::as_bytes(std::span(&header, 1)));
}

IndexResult build_flat(const IndexSpec& spec, Metric metric, VectorSpan rows,
                       const BuildControl& control) {
  TESSERA_RETURN_IF_ERROR(check_cancelled(control.cancel));
  if (control.progress) control.progress(rows.row_count, rows.row_count);
  return IndexResult(std::make_unique<const FlatIndex>(spec, metric, rows));
}

IndexResult load_flat(const IndexSpec& spec, Metric metric, VectorSpan rows,
                      std::span<const std::byte> bytes) {
  const auto corrupt = [](const std::string& what) {
    return Status(Code::kCorrupt, "flat index: " + what);
  };
  FileHeader header = {};
  if (bytes.size() != sizeof(header)) {
    return corrupt("size: " + std::to_string(bytes.size()) + " bytes instead of " +
                   std::to_string(sizeof(header)));
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.format_version != kFormatVersion) {
    return corrupt("format_version: " + std::to_string(header.format_version) + " is unknown");
  }
  if (header.dim != rows.dim) return corrupt("dim: differs from the rows'");
  if (header.row_count != rows.row_count) return corrupt("row_count: differs from the rows'");
  return IndexResult(std::make_unique<const FlatIndex>(spec, metric, rows));
}

}  // namespace tessera::index
