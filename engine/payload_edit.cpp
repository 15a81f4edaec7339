#include <algorithm>
#include <map>
#include <span>

#include <nlohmann/json.hpp>

#include "engine/payload.h"

namespace tessera::engine {
namespace {

using Json = nlohmann::json;
using Step = PayloadPath::Step;
using Steps = std::span<const Step>;

/// A change that copies into every element of an array could grow without bound.
constexpr std::size_t kEditedBytesMax = std::size_t{256} << 20;

/// Depth of the deepest bracket outside of strings. nlohmann copies and writes by recursion, so
/// this is asked before it sees a text.
std::size_t nesting_depth(std::string_view text) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

Status check_depth(std::string_view text) {
  if (nesting_depth(text) <= kPayloadDepthMax) return {};
  return {Code::kInvalidArgument,
          "payload: nested deeper than " + std::to_string(kPayloadDepthMax) + " levels"};
}

/// Runs `edit`, whose third-party calls may throw, and turns what it throws into a status.
template <class Edit>
auto guarded(Edit&& edit) -> decltype(edit()) {
  try {
    return edit();
  } catch (const std::bad_alloc&) {
    return Status(Code::kResourceExhausted, "payload: out of memory");
  } catch (const std::exception& error) {
    return Status(Code::kInternal, std::string("payload: ") + error.what());
  }
}

Result<Json> parse_object(std::string_view text, Code code_if_bad) {
  if (text.empty()) return Json::object();
  TESSERA_RETURN_IF_ERROR(check_depth(text));
  try {
    Json object = Json::parse(text);
    if (!object.is_object()) return Status(code_if_bad, "payload: must be a JSON object");
    return object;
  } catch (const Json::exception& error) {
    return Status(code_if_bad, std::string("payload: ") + error.what());
  }
}

Result<std::string> write(const Json& object) {
  std::string text = object.dump();
  TESSERA_RETURN_IF_ERROR(check_depth(text));
  return text;
}

/// Merges one set of changes into every place that a path leads to.
class Merger {
 public:
  Merger(const Json& changes, std::size_t changes_bytes, std::size_t payload_bytes)
      : changes_(changes), changes_bytes_(changes_bytes), bytes_(payload_bytes) {}

  /// A value that is not the container a step needs is replaced by an empty one.
  Status merge(Json& value, Steps steps) {
    if (steps.empty()) return merge_here(value);
    const Step& step = steps.front();
    switch (step.kind) {
      case Step::Kind::kKey:
        if (!value.is_object()) value = Json::object();
        return merge(value[step.key], steps.subspan(1));
      case Step::Kind::kEveryElement:
        if (!value.is_array()) value = Json::array();
        for (Json& child : value) TESSERA_RETURN_IF_ERROR(merge(child, steps.subspan(1)));
        return {};
      case Step::Kind::kElement:
        if (!value.is_array()) value = Json::array();
        if (step.element >= value.size()) return {};
        return merge(value[step.element], steps.subspan(1));
    }
    return {};
  }

 private:
  Status merge_here(Json& value) {
    bytes_ += changes_bytes_;
    if (bytes_ > kEditedBytesMax) {
      return {Code::kInvalidArgument, "payload: would grow beyond 256 MiB"};
    }
    if (!value.is_object()) value = Json::object();
    for (const auto& [key, change] : changes_.items()) value[key] = change;
    return {};
  }

  const Json& changes_;
  const std::size_t changes_bytes_;
  std::size_t bytes_;
};

/// What is left of several paths at one value. All paths advance together, so that the numbers of
/// array elements mean the elements of the original payload.
using Trails = std::vector<Steps>;

/// The trails that go on behind each key, each numbered element, and every element.
struct Branches {
  std::map<std::string_view, Trails> by_key;
  std::map<std::size_t, Trails> by_element;
  Trails every_element;

  explicit Branches(const Trails& trails) {
    for (const Steps& trail : trails) {
      const Step& step = trail.front();
      switch (step.kind) {
        case Step::Kind::kKey:
          by_key[step.key].push_back(trail.subspan(1));
          break;
        case Step::Kind::kElement:
          by_element[step.element].push_back(trail.subspan(1));
          break;
        case Step::Kind::kEveryElement:
          every_element.push_back(trail.subspan(1));
          break;
      }
    }
  }

  [[nodiscard]] Trails behind_element(std::size_t element) const {
    Trails trails = every_element;
    if (const auto found = by_element.find(element); found != by_element.end()) {
      trails.insert(trails.end(), found->second.begin(), found->second.end());
    }
    return trails;
  }
};

bool ends_here(const Trails& trails) {
  return std::any_of(trails.begin(), trails.end(), [](const Steps& s) { return s.empty(); });
}

/// Removes what the trails lead to. No trail is at its end.
void remove_values(Json& value, const Trails& trails) {
  const Branches branches(trails);
  if (value.is_object()) {
    for (const auto& [key, behind] : branches.by_key) {
      const auto child = value.find(std::string(key));
      if (child == value.end()) continue;
      if (ends_here(behind)) {
        value.erase(child);
      } else {
        remove_values(*child, behind);
      }
    }
  } else if (value.is_array() && !(branches.every_element.empty() && branches.by_element.empty())) {
    Json kept = Json::array();
    for (std::size_t i = 0; i < value.size(); ++i) {
      const Trails behind = branches.behind_element(i);
      if (ends_here(behind)) continue;
      if (!behind.empty()) remove_values(value[i], behind);
      kept.push_back(std::move(value[i]));
    }
    value = std::move(kept);
  }
}

/// The part of `value` that the trails lead to; nullopt when they lead nowhere.
std::optional<Json> kept_values(const Json& value, const Trails& trails) {
  if (trails.empty()) return std::nullopt;
  if (ends_here(trails)) return value;
  const Branches branches(trails);
  Json kept = value.is_object() ? Json::object() : Json::array();
  if (value.is_object()) {
    for (const auto& [key, behind] : branches.by_key) {
      const auto child = value.find(std::string(key));
      if (child == value.end()) continue;
      if (auto part = kept_values(*child, behind)) kept[std::string(key)] = std::move(*part);
    }
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (auto part = kept_values(value[i], branches.behind_element(i))) {
        kept.push_back(std::move(*part));
      }
    }
  }
  if (kept.empty()) return std::nullopt;
  return kept;
}

Trails trails_of(const std::vector<PayloadPath>& paths) {
  Trails trails;
  for (const PayloadPath& path : paths) {
    if (!path.steps.empty()) trails.emplace_back(path.steps);
  }
  return trails;
}

}  // namespace

Result<std::string> canonical_payload(std::string_view text) {
  return guarded([&]() -> Result<std::string> {
    TESSERA_ASSIGN_OR_RETURN(const Json object, parse_object(text, Code::kFormat));
    return write(object);
  });
}

Result<std::string> merge_payload(std::string_view payload, std::string_view changes,
                                  const std::optional<PayloadPath>& key) {
  return guarded([&]() -> Result<std::string> {
    TESSERA_ASSIGN_OR_RETURN(Json object, parse_object(payload, Code::kCorrupt));
    TESSERA_ASSIGN_OR_RETURN(const Json changed, parse_object(changes, Code::kFormat));
    const Steps steps = key ? Steps(key->steps) : Steps();
    Merger merger(changed, changes.size(), payload.size());
    TESSERA_RETURN_IF_ERROR(merger.merge(object, steps));
    return write(object);
  });
}

Result<std::string> remove_payload_keys(std::string_view payload,
                                        const std::vector<PayloadPath>& paths) {
  return guarded([&]() -> Result<std::string> {
    TESSERA_ASSIGN_OR_RETURN(Json object, parse_object(payload, Code::kCorrupt));
    remove_values(object, trails_of(paths));
    return write(object);
  });
}

Result<std::string> select_payload(std::string_view payload, const PayloadSelector& selector) {
  switch (selector.kind) {
    case PayloadSelector::Kind::kNone:
      return std::string("{}");
    case PayloadSelector::Kind::kAll:
      return std::string(payload.empty() ? "{}" : payload);
    case PayloadSelector::Kind::kExclude:
      return remove_payload_keys(payload, selector.paths);
    case PayloadSelector::Kind::kInclude:
      break;
  }
  return guarded([&]() -> Result<std::string> {
    TESSERA_ASSIGN_OR_RETURN(const Json object, parse_object(payload, Code::kCorrupt));
    const auto kept = kept_values(object, trails_of(selector.paths));
    return write(kept ? *kept : Json::object());
  });
}

}  // namespace tessera::engine
