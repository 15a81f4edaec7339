#pragma once

#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

#include <simdjson.h>

#include "api/schema.h"

namespace tessera::api {

namespace dom = simdjson::dom;

/// The one place that knows what a handle is.
struct Value::Access {
  static_assert(sizeof(dom::element) == sizeof(Handle));
  static_assert(std::is_trivially_copyable_v<dom::element>);

  static Handle handle(dom::element element) {
    Handle bytes;
    std::memcpy(&bytes, &element, sizeof bytes);
    return bytes;
  }
  static dom::element element(const Handle& handle) {
    dom::element element;
    std::memcpy(static_cast<void*>(&element), &handle, sizeof handle);
    return element;
  }
  static dom::element element(const Value& value) { return element(value.handle_); }
};

/// A name that is twice in the list; sorts it.
std::optional<std::string_view> find_equal_names(std::vector<std::string_view>& names);

}  // namespace tessera::api
