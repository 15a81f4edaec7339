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

/// Takes fields from the front of untrusted bytes. Thread rule: confined to one thread.
class ByteReader {
 public:
  /// Shortens `bytes` as fields are taken. `subject`: what the bytes describe, a literal.
  ByteReader(const char* subject, std::span<const std::byte>& bytes)
      : subject_(subject), bytes_(bytes) {}

  /// `count` values; kCorrupt when fewer bytes are left, before anything is allocated.
  template <class Vector>
  Status read(const std::string& field, std::uint64_t count, Vector& values) {
    using Value = typename Vector::value_type;
    static_assert(std::is_trivially_copyable_v<Value>);
    TESSERA_RETURN_IF_ERROR(check(field, count, sizeof(Value)));
    values.resize(count);
    take(values.data(), count * sizeof(Value));
    return {};
  }

  template <class Value>
  Status read(const std::string& field, Value& value) {
    static_assert(std::is_trivially_copyable_v<Value>);
    TESSERA_RETURN_IF_ERROR(check(field, 1, sizeof(Value)));
    take(&value, sizeof(Value));
    return {};
  }

  /// The same for floats, which must be finite.
  Status read_finite(const std::string& field, std::uint64_t count, std::vector<float>& values) {
    TESSERA_RETURN_IF_ERROR(read(field, count, values));
    const auto at = std::find_if_not(values.begin(), values.end(),
                                     [](float value) { return std::isfinite(value); });
    if (at == values.end()) return {};
    return corrupt(field, "value " + std::to_string(at - values.begin()) + " is not finite");
  }

  /// kCorrupt when fewer bytes are left than `count` values of `value_bytes` take.
  [[nodiscard]] Status check(const std::string& field, std::uint64_t count,
                             std::size_t value_bytes) const {
    if (count <= bytes_.size() / value_bytes) return {};
    return corrupt(field, "needs " + std::to_string(count) + " values of " +
                              std::to_string(value_bytes) + " bytes where " +
                              std::to_string(bytes_.size()) + " bytes are left");
  }

  /// Copies bytes that check() has found to be there.
  void take(void* to, std::size_t byte_count) {
    if (byte_count > 0) std::memcpy(to, bytes_.data(), byte_count);
    bytes_ = bytes_.subspan(byte_count);
  }

  /// "<subject>: <field>: <what>".
  [[nodiscard]] Status corrupt(const std::string& field, const std::string& what) const {
    return {Code::kCorrupt, std::string(subject_) + ": " + field + ": " + what};
  }

  [[nodiscard]] std::size_t bytes_left() const { return bytes_.size(); }

 private:
  const char* const subject_;
  std::span<const std::byte>& bytes_;
};

}  // namespace tessera::index
