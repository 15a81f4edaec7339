#include "index/hnsw_format.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "index/byte_reader.h"
#include "index/hnsw_growth.h"

namespace tessera::index {
namespace {

constexpr std::uint32_t kFormatVersion = 3;
/// Has zero in place of the growth, which is thus unknown.
constexpr std::uint32_t kOldestVersion = 2;
// A level holds on average 1/m of the one below; 32 of them are more rows than exist.
constexpr std::uint32_t kLevelCountMax = 32;
constexpr std::uint64_t kLinkCountMax = 0xffffffff;

struct FileHeader {
  std::uint32_t format_version;
  std::uint32_t m;
  std::uint64_t row_count;
  std::uint64_t equal_count;  ///< Rows that are chained to a representative.
  std::uint32_t level_count;
  float distance_growth;
};
static_assert(sizeof(FileHeader) == 32);

struct LevelHeader {
  std::uint64_t node_count;
  std::uint64_t link_count;
};
static_assert(sizeof(LevelHeader) == 16);

struct EqualPair {
  std::uint32_t row;
  std::uint32_t previous;  ///< The next smaller equal row.
};
static_assert(sizeof(EqualPair) == 8);

template <class Value>
Status append_values(ByteSink& sink, std::span<const Value> values) {
  static_assert(std::is_trivially_copyable_v<Value>);
  return sink.append(std::as_bytes(values));
}

std::vector<EqualPair> equal_pairs(const HnswGraph& graph) {
  std::vector<EqualPair> pairs;
  for (std::uint32_t row = 0; row < graph.next_equal.size(); ++row) {
    if (graph.next_equal[row] != HnswGraph::kNoRow) pairs.push_back({graph.next_equal[row], row});
  }
  std::sort(pairs.begin(), pairs.end(),
            [](const EqualPair& a, const EqualPair& b) { return a.row < b.row; });
  return pairs;
}

/// Links of each node, the form in which offsets are stored.
std::vector<std::uint32_t> degrees_of(const GraphLevel& level) {
  std::vector<std::uint32_t> degrees(level.node_count());
  for (std::size_t i = 0; i < degrees.size(); ++i) {
    degrees[i] = level.offsets[i + 1] - level.offsets[i];
  }
  return degrees;
}

Status corrupt(const std::string& field, const std::string& what) {
  return {Code::kCorrupt, "hnsw graph: " + field + ": " + what};
}

std::string field_of(std::size_t level, const char* field) {
  return "levels[" + std::to_string(level) + "]." + field;
}

class GraphLoader {
 public:
  GraphLoader(std::uint32_t m, VectorSpan rows, std::span<const std::byte>& bytes)
      : m_(m), rows_(rows), reader_("hnsw graph", bytes) {}

  Result<HnswGraph> load() {
    TESSERA_RETURN_IF_ERROR(read_header());
    TESSERA_RETURN_IF_ERROR(read_equal_rows());
    TESSERA_RETURN_IF_ERROR(read_rows());
    graph_.levels.resize(header_.level_count);
    for (std::size_t i = 0; i < graph_.levels.size(); ++i) TESSERA_RETURN_IF_ERROR(read_level(i));
    return std::move(graph_);
  }

 private:
  Status read_header() {
    std::vector<FileHeader> headers;
    TESSERA_RETURN_IF_ERROR(reader_.read("header", 1, headers));
    header_ = headers.front();
    if (header_.format_version < kOldestVersion || header_.format_version > kFormatVersion) {
      return corrupt("format_version", std::to_string(header_.format_version) + " is unknown");
    }
    if (header_.m != m_) {
      return corrupt("m", std::to_string(header_.m) + " differs from the spec's");
    }
    if (header_.row_count != rows_.row_count) {
      return corrupt("row_count", std::to_string(header_.row_count) + " instead of " +
                                      std::to_string(rows_.row_count));
    }
    if (header_.level_count > kLevelCountMax ||
        (header_.level_count == 0) != (rows_.row_count == 0)) {
      return corrupt("level_count", std::to_string(header_.level_count) + " is out of range");
    }
    if (header_.equal_count >= std::max<std::uint64_t>(rows_.row_count, 1)) {
      return corrupt("equal_count", std::to_string(header_.equal_count) + " is out of range");
    }
    const float growth_max = header_.format_version == kOldestVersion ? 0 : kGrowthMax;
    if (!(header_.distance_growth >= 0 && header_.distance_growth <= growth_max)) {
      return corrupt("distance_growth",
                     std::to_string(header_.distance_growth) + " is out of range");
    }
    graph_.distance_growth = header_.distance_growth;
    return {};
  }

  Status read_equal_rows() {
    std::vector<EqualPair> pairs;
    TESSERA_RETURN_IF_ERROR(reader_.read("equal_rows", header_.equal_count, pairs));
    if (pairs.empty()) return {};
    graph_.next_equal.assign(rows_.row_count, HnswGraph::kNoRow);
    is_chained_.assign(rows_.row_count, false);
    for (const EqualPair& pair : pairs) {
      if (pair.row >= rows_.row_count) return corrupt("equal_rows.row", "is out of range");
      if (pair.previous >= pair.row) {
        return corrupt("equal_rows.previous", "is not smaller than the row");
      }
      if (is_chained_[pair.row]) return corrupt("equal_rows.row", "is named twice");
      if (graph_.next_equal[pair.previous] != HnswGraph::kNoRow) {
        return corrupt("equal_rows.previous", "is named twice");
      }
      if (std::memcmp(rows_.bytes_of(pair.row), rows_.bytes_of(pair.previous), rows_.row_bytes()) !=
          0) {
        return corrupt("equal_rows", "rows " + std::to_string(pair.previous) + " and " +
                                         std::to_string(pair.row) + " differ");
      }
      graph_.next_equal[pair.previous] = pair.row;
      is_chained_[pair.row] = true;
    }
    return {};
  }

  /// The rows of the nodes: every representative once.
  Status read_rows() {
    const std::uint64_t node_count = rows_.row_count - header_.equal_count;
    TESSERA_RETURN_IF_ERROR(reader_.read("rows", node_count, graph_.rows));
    std::vector<bool> is_node(rows_.row_count, false);
    for (const std::uint32_t row : graph_.rows) {
      if (row >= rows_.row_count || is_chained(row)) {
        return corrupt("rows", std::to_string(row) + " is not a representative");
      }
      if (is_node[row]) return corrupt("rows", std::to_string(row) + " is named twice");
      is_node[row] = true;
    }
    return {};
  }

  Status read_level(std::size_t index) {
    std::vector<LevelHeader> headers;
    TESSERA_RETURN_IF_ERROR(reader_.read(field_of(index, "header"), 1, headers));
    const LevelHeader header = headers.front();
    const std::uint64_t node_count_max =
        index == 0 ? graph_.node_count() : graph_.levels[index - 1].node_count();
    if (header.node_count == 0 || header.node_count > node_count_max ||
        (index == 0 && header.node_count != graph_.node_count())) {
      return corrupt(field_of(index, "node_count"),
                     std::to_string(header.node_count) + " is out of range");
    }
    TESSERA_RETURN_IF_ERROR(read_degrees(index, header));
    return read_links(index, header);
  }

  Status read_degrees(std::size_t index, const LevelHeader& header) {
    std::vector<std::uint32_t> degrees;
    TESSERA_RETURN_IF_ERROR(reader_.read(field_of(index, "degrees"), header.node_count, degrees));
    HugeVector<std::uint32_t>& offsets = graph_.levels[index].offsets;
    offsets.resize(degrees.size() + 1);
    std::uint64_t sum = 0;
    for (std::size_t node = 0; node < degrees.size(); ++node) {
      if (degrees[node] >= header.node_count && degrees[node] > 0) {
        return corrupt(field_of(index, "degrees"), "a node has more links than there are others");
      }
      sum += degrees[node];
      offsets[node + 1] = static_cast<std::uint32_t>(sum);
    }
    if (sum != header.link_count || sum > kLinkCountMax) {
      return corrupt(field_of(index, "link_count"), std::to_string(header.link_count) +
                                                        " instead of the degrees' sum " +
                                                        std::to_string(sum));
    }
    return {};
  }

  Status read_links(std::size_t index, const LevelHeader& header) {
    GraphLevel& level = graph_.levels[index];
    TESSERA_RETURN_IF_ERROR(reader_.read(field_of(index, "links"), header.link_count, level.links));
    for (const std::uint32_t link : level.links) {
      if (link >= header.node_count) {
        return corrupt(field_of(index, "links"), std::to_string(link) + " is not a node");
      }
    }
    return {};
  }

  [[nodiscard]] bool is_chained(std::uint32_t row) const {
    return !is_chained_.empty() && is_chained_[row];
  }

  const std::uint32_t m_;
  const VectorSpan rows_;
  ByteReader reader_;
  FileHeader header_ = {};
  HnswGraph graph_;
  std::vector<bool> is_chained_;  ///< Rows that are not their own representative; may be empty.
};

}  // namespace

Status save_graph(const HnswGraph& graph, std::uint32_t m, std::size_t row_count, ByteSink& sink) {
  const std::vector<EqualPair> pairs = equal_pairs(graph);
  const FileHeader header = {kFormatVersion,
                             m,
                             row_count,
                             pairs.size(),
                             static_cast<std::uint32_t>(graph.levels.size()),
                             graph.distance_growth};
  TESSERA_RETURN_IF_ERROR(append_values(sink, std::span(&header, 1)));
  TESSERA_RETURN_IF_ERROR(append_values(sink, std::span(pairs)));
  TESSERA_RETURN_IF_ERROR(append_values(sink, std::span(graph.rows)));
  for (const GraphLevel& level : graph.levels) {
    const LevelHeader level_header = {level.node_count(), level.links.size()};
    TESSERA_RETURN_IF_ERROR(append_values(sink, std::span(&level_header, 1)));
    const std::vector<std::uint32_t> degrees = degrees_of(level);
    TESSERA_RETURN_IF_ERROR(append_values(sink, std::span(degrees)));
    TESSERA_RETURN_IF_ERROR(append_values(sink, std::span(level.links)));
  }
  return {};
}

Result<HnswGraph> load_graph(std::uint32_t m, VectorSpan rows, std::span<const std::byte>& bytes) {
  return GraphLoader(m, rows, bytes).load();
}

}  // namespace tessera::index
