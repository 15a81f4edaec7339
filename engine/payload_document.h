#pragma once

#include <memory>
#include <string_view>

#include <simdjson.h>

#include "base/status.h"
#include "engine/filter.h"

namespace tessera::engine {

/// Reading of payload texts for the files of this room that look into them. The only header here
/// that names simdjson: nothing outside engine/payload_*.cpp and engine/filter_match.cpp includes
/// it.

/// A parsed payload. Thread rule: confined; at most one alive in a thread, for small texts share
/// the thread's parser.
class PayloadDocument {
 public:
  /// kCorrupt when `payload` is not a JSON object; an empty text means {}.
  static Result<PayloadDocument> parse(std::string_view payload);

  [[nodiscard]] simdjson::dom::object root() const { return root_; }

 private:
  std::unique_ptr<simdjson::dom::parser> own_parser_;  ///< Only for large texts.
  simdjson::dom::object root_;
};

/// Calls visit(element) for every value that the steps lead to, until one returns true; says
/// whether one did. A key does not look into arrays: "a[].b" does.
template <class Visit>
bool any_value(simdjson::dom::element value, const PayloadPath::Step* step,
               const PayloadPath::Step* end, Visit& visit) {
  if (step == end) return visit(value);
  switch (step->kind) {
    case PayloadPath::Step::Kind::kKey: {
      simdjson::dom::object object;
      if (value.get(object) != simdjson::SUCCESS) return false;
      simdjson::dom::element child;
      if (object.at_key(step->key).get(child) != simdjson::SUCCESS) return false;
      return any_value(child, step + 1, end, visit);
    }
    case PayloadPath::Step::Kind::kEveryElement: {
      simdjson::dom::array array;
      if (value.get(array) != simdjson::SUCCESS) return false;
      for (const simdjson::dom::element child : array) {
        if (any_value(child, step + 1, end, visit)) return true;
      }
      return false;
    }
    case PayloadPath::Step::Kind::kElement: {
      simdjson::dom::array array;
      if (value.get(array) != simdjson::SUCCESS) return false;
      simdjson::dom::element child;
      if (array.at(step->element).get(child) != simdjson::SUCCESS) return false;
      return any_value(child, step + 1, end, visit);
    }
  }
  return false;
}

template <class Visit>
bool any_value(simdjson::dom::object root, const PayloadPath& path, Visit visit) {
  if (path.steps.empty() || path.steps.front().kind != PayloadPath::Step::Kind::kKey) return false;
  simdjson::dom::element child;
  if (root.at_key(path.steps.front().key).get(child) != simdjson::SUCCESS) return false;
  return any_value(child, path.steps.data() + 1, path.steps.data() + path.steps.size(), visit);
}

/// The same with the elements of an array at the end of the path taken one by one (one level).
template <class Visit>
bool any_scalar(simdjson::dom::object root, const PayloadPath& path, Visit visit) {
  return any_value(root, path, [&](simdjson::dom::element value) {
    simdjson::dom::array array;
    if (value.get(array) != simdjson::SUCCESS) return visit(value);
    for (const simdjson::dom::element child : array) {
      if (visit(child)) return true;
    }
    return false;
  });
}

}  // namespace tessera::engine
