#include <algorithm>

#include "api/schema_access.h"

namespace tessera::api {

namespace {

/// Bodies up to this size use the thread's own parser; a larger one gets a parser of its own, so
/// that one large upsert does not leave its memory behind in every worker thread.
constexpr std::size_t kThreadParserBytesMax = 1 << 20;
constexpr std::size_t kShownBytesMax = 60;

dom::parser& thread_parser() {
  thread_local dom::parser parser;
  return parser;
}

}  // namespace

std::optional<std::string_view> find_equal_names(std::vector<std::string_view>& names) {
  std::sort(names.begin(), names.end());
  const auto equal = std::adjacent_find(names.begin(), names.end());
  if (equal == names.end()) return std::nullopt;
  return *equal;
}

Object::Object(const Value& value) : value_(value) {
  dom::object object;
  if (Value::Access::element(value).get(object) != simdjson::SUCCESS) {
    value.report_expected("an object");
    return;
  }
  members_.reserve(object.size());
  for (const auto& [name, element] : object) {
    members_.push_back({name, Value::Access::handle(element)});
  }
  is_ok_ = true;
  constexpr std::size_t kQuadraticMax = 16;
  if (members_.size() > kQuadraticMax) {
    std::vector<std::string_view> names;
    names.reserve(members_.size());
    for (const Member& member : members_) names.push_back(member.name);
    if (const auto equal = find_equal_names(names)) {
      is_ok_ = false;
      value.report_format("duplicate field `" + std::string(*equal) + "`");
    }
    return;
  }
  for (std::size_t i = 1; i < members_.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (members_[i].name != members_[j].name) continue;
      is_ok_ = false;
      value.report_format("duplicate field `" + std::string(members_[i].name) + "`");
    }
  }
}

bool Object::has(std::string_view name) const {
  return find(name).has_value();
}

std::optional<Value> Object::find(std::string_view name) const {
  for (const Member& member : members_) {
    if (member.name == name) {
      return value_.child(member.handle, Value::Step::kField, member.name, 0);
    }
  }
  return std::nullopt;
}

std::optional<Value> Object::given(std::string_view name) const {
  std::optional<Value> member = find(name);
  if (member && member->is_null()) member.reset();
  return member;
}

std::optional<Value> Object::require(std::string_view name) const {
  std::optional<Value> member = find(name);
  if (!member && is_ok_) value_.report_format("missing field `" + std::string(name) + "`");
  return member;
}

void Object::refuse_unknown(std::initializer_list<std::string_view> known) const {
  for (const Member& member : members_) {
    if (std::find(known.begin(), known.end(), member.name) != known.end()) continue;
    std::string text = "unknown field `" + std::string(member.name.substr(0, kShownBytesMax));
    text += "`, expected ";
    text += known.size() == 1 ? "" : "one of ";
    bool is_first = true;
    for (const std::string_view name : known) {
      if (!is_first) text += ", ";
      is_first = false;
      text += '`' + std::string(name) + '`';
    }
    value_.report_format(text);
  }
}

void Object::not_yet(std::string_view name, const std::string& what) const {
  if (const auto member = given(name)) member->report_unimplemented(what);
}

void Object::not_yet_true(std::string_view name, const std::string& what) const {
  const auto member = given(name);
  if (member && member->boolean().value_or(false)) member->report_unimplemented(what);
}

struct Document::Parser {
  dom::parser parser;
};

Document::Document(std::string_view body, std::size_t padding_bytes, Issues& issues)
    : issues_(&issues) {
  if (body.empty()) {
    issues.format("", "the body is empty, expected JSON");
    return;
  }
  const bool is_large = body.size() > kThreadParserBytesMax;
  if (is_large) own_parser_ = std::make_unique<Parser>();
  dom::parser& parser = is_large ? own_parser_->parser : thread_parser();
  if (parser.max_depth() != kBodyDepthMax || parser.capacity() < body.size()) {
    const std::size_t capacity = std::max<std::size_t>(body.size(), 4096);
    if (parser.allocate(capacity, kBodyDepthMax) != simdjson::SUCCESS) {
      issues.refuse(Code::kResourceExhausted, "not enough memory to parse the body");
      return;
    }
  }
  dom::element root;
  const bool must_copy = padding_bytes < simdjson::SIMDJSON_PADDING;
  const auto error = parser.parse(body.data(), body.size(), must_copy).get(root);
  switch (error) {
    case simdjson::SUCCESS:
      root_ = Value::Access::handle(root);
      is_ok_ = true;
      return;
    case simdjson::MEMALLOC:
    case simdjson::CAPACITY:
      issues.refuse(Code::kResourceExhausted, "not enough memory to parse the body");
      return;
    case simdjson::DEPTH_ERROR:
      issues.format("", "nesting is deeper than " + std::to_string(kBodyDepthMax) + " levels");
      return;
    case simdjson::UTF8_ERROR:
      issues.format("", "the body is not valid UTF-8");
      return;
    case simdjson::EMPTY:
      issues.format("", "the body is empty, expected JSON");
      return;
    default:
      issues.format("", diagnose_json(body));
      return;
  }
}

Document::~Document() = default;

}  // namespace tessera::api
