#pragma once

#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "index/byte_reader.h"

namespace tessera::index {

/// kCorrupt: "ivf index: <field>: <what>".
inline Status corrupt_ivf(const std::string& field, const std::string& what) {
  return {Code::kCorrupt, "ivf index: " + field + ": " + what};
}

template <class Value>
Status append_values(ByteSink& sink, const std::vector<Value>& values) {
  static_assert(std::is_trivially_copyable_v<Value>);
  return sink.append(std::as_bytes(std::span<const Value>(values)));
}

}  // namespace tessera::index
