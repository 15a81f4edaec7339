#include "api/schema.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <simdjson.h>

#include "api/json_writer.h"

namespace tessera::api {

namespace dom = simdjson::dom;

namespace {

/// Bodies up to this size use the thread's own parser; a larger one gets a parser of its own, so
/// that one large upsert does not leave its memory behind in every worker thread.
constexpr std::size_t kThreadParserBytesMax = 1 << 20;
constexpr std::size_t kShownBytesMax = 60;
constexpr std::size_t kReportedValidationsMax = 50;

dom::parser& thread_parser() {
  thread_local dom::parser parser;
  return parser;
}

std::string with_path(const std::string& path, const std::string& text) {
  return path.empty() ? text : path + ": " + text;
}

const char* kind_phrase(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::kNull:
      return "null";
    case Value::Kind::kBool:
      return "a boolean";
    case Value::Kind::kInteger:
      return "an integer";
    case Value::Kind::kFloat:
      return "a float";
    case Value::Kind::kString:
      return "a string";
    case Value::Kind::kArray:
      return "an array";
    case Value::Kind::kObject:
      return "an object";
  }
  return "a value";
}

}  // namespace

// ---- Issues -------------------------------------------------------------------------------------

void Issues::format(const std::string& path, const std::string& text) {
  if (format_.empty()) format_ = with_path(path, text);
}

void Issues::unimplemented(const std::string& path, const std::string& what) {
  if (unimplemented_.empty()) {
    unimplemented_ = with_path(path, what + " is not supported by this version");
  }
}

void Issues::validation(const std::string& path, const std::string& text) {
  ++validation_count_;
  if (validation_count_ > kReportedValidationsMax) return;
  if (!validation_.empty()) validation_ += "; ";
  validation_ += with_path(path, text);
}

void Issues::refuse(Code code, const std::string& text) {
  if (refusal_.ok()) refusal_ = Status(code, text);
}

Status Issues::status() const {
  if (!format_.empty()) return {Code::kFormat, "Format error in JSON body: " + format_};
  if (!unimplemented_.empty()) return {Code::kUnimplemented, unimplemented_};
  if (validation_count_ > 0) {
    std::string text = "Validation error in JSON body: [" + validation_;
    if (validation_count_ > kReportedValidationsMax) {
      text += "; and " + std::to_string(validation_count_ - kReportedValidationsMax) + " more";
    }
    return {Code::kValidation, text + "]"};
  }
  return refusal_;
}

// ---- Value --------------------------------------------------------------------------------------

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

Value::Kind Value::kind() const {
  switch (Access::element(*this).type()) {
    case dom::element_type::ARRAY:
      return Kind::kArray;
    case dom::element_type::OBJECT:
      return Kind::kObject;
    case dom::element_type::INT64:
      return Kind::kInteger;
    case dom::element_type::UINT64:
      return Kind::kInteger;
    case dom::element_type::DOUBLE:
      return Kind::kFloat;
    case dom::element_type::STRING:
      return Kind::kString;
    case dom::element_type::BOOL:
      return Kind::kBool;
    case dom::element_type::NULL_VALUE:
      return Kind::kNull;
  }
  return Kind::kNull;
}

bool Value::is_unsigned_integer() const {
  return Access::element(*this).is_uint64();
}

std::optional<bool> Value::boolean() const {
  bool flag = false;
  if (Access::element(*this).get(flag) == simdjson::SUCCESS) return flag;
  report_expected("a boolean");
  return std::nullopt;
}

std::optional<std::uint64_t> Value::unsigned_integer() const {
  std::uint64_t number = 0;
  if (Access::element(*this).get(number) == simdjson::SUCCESS) return number;
  report_expected("an unsigned integer");
  return std::nullopt;
}

std::optional<std::int64_t> Value::signed_integer() const {
  std::int64_t number = 0;
  if (Access::element(*this).get(number) == simdjson::SUCCESS) return number;
  report_expected("a signed 64-bit integer");
  return std::nullopt;
}

std::optional<double> Value::number() const {
  double number = 0;
  if (Access::element(*this).get(number) == simdjson::SUCCESS) return number;
  report_expected("a number");
  return std::nullopt;
}

std::optional<float> Value::float32() const {
  const std::optional<double> wide = number();
  if (!wide) return std::nullopt;
  const auto narrow = static_cast<float>(*wide);
  if (std::isfinite(narrow)) return narrow;
  report_format("the number " + shown() + " is outside the range of 32-bit floats");
  return std::nullopt;
}

std::optional<std::string_view> Value::string() const {
  std::string_view text;
  if (Access::element(*this).get(text) == simdjson::SUCCESS) return text;
  report_expected("a string");
  return std::nullopt;
}

std::optional<std::vector<float>> Value::floats() const {
  dom::array array;
  if (Access::element(*this).get(array) != simdjson::SUCCESS) {
    report_expected("a list of numbers");
    return std::nullopt;
  }
  std::vector<float> numbers;
  numbers.reserve(array.size());
  for (const dom::element element : array) {
    double number = 0;
    if (element.get(number) != simdjson::SUCCESS) {
      child(Access::handle(element), Step::kElement, {}, numbers.size())
          .report_expected("a number");
      return std::nullopt;
    }
    const auto narrow = static_cast<float>(number);
    if (!std::isfinite(narrow)) {
      (void)child(Access::handle(element), Step::kElement, {}, numbers.size()).float32();
      return std::nullopt;
    }
    numbers.push_back(narrow);
  }
  return numbers;
}

std::optional<std::uint64_t> Value::integer_in(std::uint64_t min, std::uint64_t max) const {
  const std::optional<std::uint64_t> number = unsigned_integer();
  if (!number) return std::nullopt;
  if (*number >= min && *number <= max) return number;
  std::string limits = "must be from " + std::to_string(min) + " to " + std::to_string(max);
  if (max == UINT64_MAX) limits = "must be " + std::to_string(min) + " or larger";
  if (min == 0) limits = "must be " + std::to_string(max) + " or smaller";
  report_validation("value " + std::to_string(*number) + " invalid, " + limits);
  return std::nullopt;
}

std::optional<double> Value::number_from(double min) const {
  const std::optional<double> found = number();
  if (!found || *found >= min) return found;
  report_validation("value " + shown_number(*found) + " invalid, must be " + shown_number(min) +
                    " or larger");
  return std::nullopt;
}

std::optional<double> Value::number_in(double min, double max) const {
  const std::optional<double> found = number();
  if (!found || (*found >= min && *found <= max)) return found;
  report_validation("value " + shown_number(*found) + " invalid, must be from " +
                    shown_number(min) + " to " + shown_number(max));
  return std::nullopt;
}

std::optional<double> Value::number_above(double bound) const {
  const std::optional<double> found = number();
  if (!found || *found > bound) return found;
  report_validation("value " + shown_number(*found) + " invalid, must be larger than " +
                    shown_number(bound));
  return std::nullopt;
}

std::size_t Value::element_count() const {
  dom::array array;
  return Access::element(*this).get(array) == simdjson::SUCCESS ? array.size() : 0;
}

std::optional<Value> Value::first_element() const {
  dom::array array;
  if (Access::element(*this).get(array) != simdjson::SUCCESS || array.begin() == array.end()) {
    return std::nullopt;
  }
  return child(Access::handle(*array.begin()), Step::kElement, {}, 0);
}

Value Value::child(Handle handle, Step step, std::string_view name, std::size_t index) const {
  Value child(handle, issues_);
  child.parent_ = this;
  child.step_ = step;
  child.name_ = name;
  child.index_ = index;
  return child;
}

void Value::each_element(void* context, ElementVisitor visit) const {
  dom::array array;
  if (Access::element(*this).get(array) != simdjson::SUCCESS) {
    report_expected("an array");
    return;
  }
  std::size_t index = 0;
  for (const dom::element element : array) {
    visit(context, child(Access::handle(element), Step::kElement, {}, index));
    ++index;
  }
}

void Value::each_map_entry(void* context, EntryVisitor visit) const {
  const Object object(*this);
  if (!object.ok()) return;
  for (const Object::Member& member : object.members_) {
    visit(context, member.name, child(member.handle, Step::kEntry, member.name, 0));
  }
}

Value Value::inside(std::string_view validation_step) const {
  return child(handle_, Step::kValidationOnly, validation_step, 0);
}

std::string Value::path(bool for_validation) const {
  std::vector<const Value*> steps;
  for (const Value* step = this; step != nullptr; step = step->parent_) steps.push_back(step);
  std::string path;
  const auto append_name = [&path](std::string_view name) {
    if (!path.empty()) path += '.';
    path += name;
  };
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    switch ((*step)->step_) {
      case Step::kRoot:
        break;
      case Step::kField:
        append_name((*step)->name_);
        break;
      case Step::kEntry:
        append_name(for_validation ? "?" : (*step)->name_);
        break;
      case Step::kElement:
        path += '[' + std::to_string((*step)->index_) + ']';
        break;
      case Step::kValidationOnly:
        if (for_validation) append_name((*step)->name_);
        break;
    }
  }
  return path;
}

std::string Value::shown() const {
  std::string text = simdjson::minify(Access::element(*this));
  if (text.size() <= kShownBytesMax) return text;
  std::size_t end = kShownBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

void Value::report_format(const std::string& text) const {
  if (!issues_->has_format()) issues_->format(path(false), text);
}

void Value::report_expected(std::string_view expected) const {
  if (issues_->has_format()) return;
  std::string found = kind_phrase(kind());
  const Kind kind = this->kind();
  if (kind != Kind::kNull && kind != Kind::kArray && kind != Kind::kObject) {
    found += " (" + shown() + ")";
  }
  report_format("expected " + std::string(expected) + ", found " + found);
}

void Value::report_spelling(std::span<const std::string_view> names) const {
  std::string expected = names.size() == 1 ? "" : "one of ";
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) expected += ", ";
    expected += '"' + std::string(names[i]) + '"';
  }
  report_format("expected " + expected + ", found " + shown());
}

void Value::report_validation(const std::string& text) const {
  issues_->validation(path(true), text);
}

void Value::report_validation(const std::string& text, std::string_view steps) const {
  issues_->validation(path(true) + std::string(steps), text);
}

void Value::report_unimplemented(const std::string& what) const {
  issues_->unimplemented(path(false), what);
}

// ---- Compact JSON -------------------------------------------------------------------------------

namespace {

/// The first key that an object holds twice, at any depth below `element`.
std::optional<std::string_view> find_equal_keys(dom::element element);

std::optional<std::string_view> find_equal_names(std::vector<std::string_view>& names) {
  std::sort(names.begin(), names.end());
  const auto equal = std::adjacent_find(names.begin(), names.end());
  if (equal == names.end()) return std::nullopt;
  return *equal;
}

std::optional<std::string_view> find_equal_keys(dom::object object) {
  std::vector<std::string_view> names;
  for (const auto& [name, value] : object) {
    if (const auto equal = find_equal_keys(value)) return equal;
    names.push_back(name);
  }
  return find_equal_names(names);
}

std::optional<std::string_view> find_equal_keys(dom::element element) {
  if (element.is_object()) return find_equal_keys(dom::object(element));
  if (!element.is_array()) return std::nullopt;
  for (const dom::element child : dom::array(element)) {
    if (const auto equal = find_equal_keys(child)) return equal;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> Value::compact_json() const {
  const dom::element element = Access::element(*this);
  if (const auto equal = find_equal_keys(element)) {
    report_format("duplicate field `" + std::string(*equal) + "`");
    return std::nullopt;
  }
  return std::string(simdjson::minify(element));
}

std::optional<std::string> Value::compact_object() const {
  if (is(Kind::kObject)) return compact_json();
  report_expected("an object");
  return std::nullopt;
}

// ---- Object -------------------------------------------------------------------------------------

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

// ---- Document -----------------------------------------------------------------------------------

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

std::string shown_number(double number) {
  std::string text;
  JsonWriter(text).value(number);
  return text;
}

}  // namespace tessera::api
