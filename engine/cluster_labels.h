#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "engine/requests.h"

namespace tessera::engine {

/// Counts the values that the points of each cluster have under a payload field.
/// Thread rule: confined.
class LabelCounter {
 public:
  /// A label has at most so many values.
  static constexpr std::size_t kValuesMax = 3;

  explicit LabelCounter(std::size_t cluster_count) : counts_(cluster_count) {}
  /// One point's values, as JSON text, each once.
  void add(std::uint32_t cluster, const std::vector<std::string>& values);
  /// Of every cluster the values that most of its points have, most frequent first, equally
  /// frequent ones by their text.
  [[nodiscard]] std::vector<ClusterLabel> labels() const;

 private:
  std::vector<std::unordered_map<std::string, std::uint64_t>> counts_;
};

/// The section of a cluster file, see docs/formats.md.
std::string encode_labels(const std::string& field, const std::vector<ClusterLabel>& labels);
/// kCorrupt says what is wrong. Nothing for an empty section: no field was named.
Status decode_labels(std::string_view bytes, std::size_t cluster_count, ClustersInfo& info);

}  // namespace tessera::engine
