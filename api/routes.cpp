#include "api/routes.h"

#include <algorithm>

namespace tessera::api {

namespace {

bool is_parameter(std::string_view segment) {
  return segment.starts_with('{');
}

std::vector<std::string_view> split_pattern(std::string_view pattern) {
  std::vector<std::string_view> segments;
  pattern.remove_prefix(1);
  while (!pattern.empty()) {
    const std::size_t end = std::min(pattern.find('/'), pattern.size());
    segments.push_back(pattern.substr(0, end));
    pattern.remove_prefix(std::min(end + 1, pattern.size()));
  }
  return segments;
}

bool matches(const std::vector<std::string_view>& pattern,
             const std::vector<std::string>& segments) {
  if (pattern.size() != segments.size()) return false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (!is_parameter(pattern[i]) && pattern[i] != segments[i]) return false;
  }
  return true;
}

/// Literal segments count from the left: "/a/b/{x}" is before "/a/{y}/c".
bool is_more_literal(const std::vector<std::string_view>& a,
                     const std::vector<std::string_view>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (is_parameter(a[i]) != is_parameter(b[i])) return !is_parameter(a[i]);
  }
  return false;
}

}  // namespace

std::string_view method_name(Method method) {
  switch (method) {
    case Method::kGet:
      return "GET";
    case Method::kHead:
      return "HEAD";
    case Method::kPost:
      return "POST";
    case Method::kPut:
      return "PUT";
    case Method::kPatch:
      return "PATCH";
    case Method::kDelete:
      return "DELETE";
    case Method::kOptions:
      return "OPTIONS";
    case Method::kOther:
      return "OTHER";
  }
  return "OTHER";
}

Router::Router() {
  for (std::size_t i = 0; i < routes().size(); ++i) {
    const Route& route = routes()[i];
    entries_.push_back({route.method, split_pattern(route.pattern), i, false});
  }
  for (std::size_t i = 0; i < missing_routes().size(); ++i) {
    const MissingRoute& missing = missing_routes()[i];
    entries_.push_back({missing.method, split_pattern(missing.pattern), i, true});
  }
}

Router::Match Router::find(Method method, const std::vector<std::string>& segments) const {
  if (method == Method::kHead) method = Method::kGet;
  const Entry* best = nullptr;
  std::vector<std::string_view> allowed;
  for (const Entry& entry : entries_) {
    if (!matches(entry.segments, segments)) continue;
    if (entry.method != method) {
      allowed.push_back(method_name(entry.method));
    } else if (best == nullptr || is_more_literal(entry.segments, best->segments)) {
      best = &entry;
    }
  }
  Match match;
  if (best == nullptr) {
    std::sort(allowed.begin(), allowed.end());
    allowed.erase(std::unique(allowed.begin(), allowed.end()), allowed.end());
    for (const std::string_view name : allowed) {
      if (!match.allow.empty()) match.allow += ", ";
      match.allow += name;
      if (name == "GET") match.allow += ", HEAD";
    }
    return match;
  }
  if (best->is_missing) {
    match.missing = &missing_routes()[best->index];
    return match;
  }
  match.route = &routes()[best->index];
  match.index = best->index;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (is_parameter(best->segments[i])) match.path_parameters.push_back(segments[i]);
  }
  return match;
}

}  // namespace tessera::api
