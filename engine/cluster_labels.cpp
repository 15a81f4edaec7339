#include "engine/cluster_labels.h"

#include <algorithm>
#include <cstring>

namespace tessera::engine {
namespace {

/// A value is a piece of a payload; longer ones say nothing as a label.
constexpr std::size_t kValueBytesMax = 256;
constexpr std::size_t kFieldBytesMax = 4096;

template <class Number>
void put(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void put_text(std::string& bytes, std::string_view text) {
  put(bytes, static_cast<std::uint32_t>(text.size()));
  bytes.append(text);
}

/// Reads what put() wrote; every length is checked against what is left before it is used.
class LabelReader {
 public:
  explicit LabelReader(std::string_view bytes) : bytes_(bytes) {}

  template <class Number>
  Status take(Number& number) {
    if (bytes_.size() < sizeof number) return {Code::kCorrupt, "section labels ends early"};
    std::memcpy(&number, bytes_.data(), sizeof number);
    bytes_.remove_prefix(sizeof number);
    return {};
  }
  Status take_text(std::string& text, std::size_t bytes_max) {
    std::uint32_t size = 0;
    TESSERA_RETURN_IF_ERROR(take(size));
    if (size > bytes_max || size > bytes_.size()) {
      return {Code::kCorrupt, "section labels has a text that is too long"};
    }
    text.assign(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return {};
  }
  [[nodiscard]] bool is_at_end() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

}  // namespace

void LabelCounter::add(std::uint32_t cluster, const std::vector<std::string>& values) {
  for (const std::string& value : values) {
    if (value.size() <= kValueBytesMax) ++counts_[cluster][value];
  }
}

std::vector<ClusterLabel> LabelCounter::labels() const {
  std::vector<ClusterLabel> labels(counts_.size());
  for (std::size_t cluster = 0; cluster < counts_.size(); ++cluster) {
    ClusterLabel all;
    for (const auto& [value, count] : counts_[cluster]) all.push_back({value, count});
    const auto end = all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), kValuesMax));
    std::partial_sort(all.begin(), end, all.end(), [](const auto& a, const auto& b) {
      return a.count != b.count ? a.count > b.count : a.value < b.value;
    });
    labels[cluster].assign(all.begin(), end);
  }
  return labels;
}

std::string encode_labels(const std::string& field, const std::vector<ClusterLabel>& labels) {
  if (field.empty()) return {};
  std::string bytes;
  put_text(bytes, field);
  for (const ClusterLabel& label : labels) {
    put(bytes, static_cast<std::uint32_t>(label.size()));
    for (const LabelValue& value : label) {
      put(bytes, value.count);
      put_text(bytes, value.value);
    }
  }
  return bytes;
}

Status decode_labels(std::string_view bytes, std::size_t cluster_count, ClustersInfo& info) {
  if (bytes.empty()) return {};
  LabelReader reader(bytes);
  TESSERA_RETURN_IF_ERROR(reader.take_text(info.label_field, kFieldBytesMax));
  info.labels.resize(cluster_count);
  for (ClusterLabel& label : info.labels) {
    std::uint32_t count = 0;
    TESSERA_RETURN_IF_ERROR(reader.take(count));
    if (count > LabelCounter::kValuesMax) {
      return {Code::kCorrupt, "section labels has too many values of a cluster"};
    }
    label.resize(count);
    for (LabelValue& value : label) {
      TESSERA_RETURN_IF_ERROR(reader.take(value.count));
      TESSERA_RETURN_IF_ERROR(reader.take_text(value.value, kValueBytesMax));
    }
  }
  if (!reader.is_at_end()) return {Code::kCorrupt, "section labels has the wrong size"};
  return {};
}

}  // namespace tessera::engine
