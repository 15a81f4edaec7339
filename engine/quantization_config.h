#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tessera::engine {

/// The dialect's quantization_config. Absent members stay absent, so that an answer shows what was
/// set.
struct QuantizationConfig {
  /// Stored on disk: never renumber. kDisabled is a change that removes the setting; no
  /// collection has it.
  enum class Kind : std::uint8_t { kDisabled = 0, kScalar = 1, kProduct = 2, kBinary = 3 };

  Kind kind = Kind::kScalar;
  std::optional<bool> always_ram;
  std::optional<double> quantile;            ///< kScalar: 0.5 to 1.
  std::optional<std::uint32_t> compression;  ///< kProduct: float32 bytes a byte of code.
  std::optional<std::string> encoding;       ///< kBinary.
  std::optional<std::string> query_encoding;
  bool operator==(const QuantizationConfig&) const = default;
};

/// Calls visit(name, pointer to member) for the members beside the kind.
template <class Visit>
void for_each_quantization_member(Visit visit) {
  visit("always_ram", &QuantizationConfig::always_ram);
  visit("quantile", &QuantizationConfig::quantile);
  visit("compression", &QuantizationConfig::compression);
  visit("encoding", &QuantizationConfig::encoding);
  visit("query_encoding", &QuantizationConfig::query_encoding);
}

/// Replaces `target` by a change; kDisabled removes it, an absent change leaves it.
inline void apply_change(std::optional<QuantizationConfig>& target,
                         const std::optional<QuantizationConfig>& change) {
  if (!change) return;
  target = change->kind == QuantizationConfig::Kind::kDisabled ? std::nullopt : change;
}

}  // namespace tessera::engine
