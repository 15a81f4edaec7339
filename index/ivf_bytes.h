#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/bytes.h"

namespace tessera::index {

static_assert(std::endian::native == std::endian::little, "files are little-endian");

/// kCorrupt: "ivf index: <field>: <what>".
inline Status corrupt_ivf(const std::string& field, const std::string& what) {
  return {Code::kCorrupt, "ivf index: " + field + ": " + what};
}

template <class Value>
Status append_values(ByteSink& sink, const std::vector<Value>& values) {
  static_assert(std::is_trivially_copyable_v<Value>);
  return sink.append(std::as_bytes(std::span<const Value>(values)));
}

/// Takes fields from the front of untrusted bytes.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  /// `count` values; kCorrupt when fewer bytes are left, before anything is allocated.
  template <class Value>
  Status read(const char* field, std::uint64_t count, std::vector<Value>& values) {
    static_assert(std::is_trivially_copyable_v<Value>);
    if (count > bytes_.size() / sizeof(Value)) {
      return corrupt_ivf(field, "needs " + std::to_string(count) + " values of " +
                                    std::to_string(sizeof(Value)) + " bytes where " +
                                    std::to_string(bytes_.size()) + " bytes are left");
    }
    values.resize(count);
    if (count > 0) std::memcpy(values.data(), bytes_.data(), count * sizeof(Value));
    bytes_ = bytes_.subspan(count * sizeof(Value));
    return {};
  }

  /// The same for floats, which must be finite.
  Status read_finite(const char* field, std::uint64_t count, std::vector<float>& values) {
    TESSERA_RETURN_IF_ERROR(read(field, count, values));
    const auto at = std::find_if_not(values.begin(), values.end(),
                                     [](float value) { return std::isfinite(value); });
    if (at == values.end()) return {};
    return corrupt_ivf(field, "value " + std::to_string(at - values.begin()) + " is not finite");
  }

  [[nodiscard]] std::size_t bytes_left() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace tessera::index
