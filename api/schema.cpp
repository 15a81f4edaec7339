#include "api/schema.h"

#include <algorithm>
#include <cmath>

#include "api/json_writer.h"
#include "api/schema_access.h"

namespace tessera::api {

namespace {

constexpr std::size_t kShownBytesMax = 60;

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

std::optional<Value> Value::first_element() const& {
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

Value Value::inside(std::string_view validation_step) const& {
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

std::string shown_number(double number) {
  std::string text;
  JsonWriter(text).value(number);
  return text;
}

}  // namespace tessera::api
