#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace tessera::api {

/// What is wrong with a request, collected while it is decoded. Decoding goes on after an error, so
/// that every broken limit is named; the decoded value must not be used unless status() is ok.
///
/// status(), the first that applies:
/// kFormat "Format error in JSON body: path: text", the first one only;
/// kUnimplemented "path: what is not supported by this version", the first one only;
/// kValidation "Validation error in JSON body: [path: text; path: text]", all of them;
/// the status given to refuse(), the first one only.
class Issues {
 public:
  void format(const std::string& path, const std::string& text);
  void unimplemented(const std::string& path, const std::string& what);
  void validation(const std::string& path, const std::string& text);
  void refuse(Code code, const std::string& text);

  [[nodiscard]] bool has_format() const { return !format_.empty(); }
  [[nodiscard]] Status status() const;

 private:
  std::string format_;
  std::string unimplemented_;
  std::string validation_;
  std::size_t validation_count_ = 0;
  Status refusal_;
};

/// One JSON value of a parsed body, with the path that leads to it. Borrowed: it is valid while its
/// Document and the value or Object it came from live; the strings it gives live as long as the
/// Document. Readers report what is wrong under the value's path and then give nothing.
class Value {
 public:
  enum class Kind : std::uint8_t { kNull, kBool, kInteger, kFloat, kString, kArray, kObject };

  [[nodiscard]] Kind kind() const;
  [[nodiscard]] bool is(Kind kind) const { return this->kind() == kind; }
  [[nodiscard]] bool is_null() const { return kind() == Kind::kNull; }
  [[nodiscard]] bool is_number() const {
    return kind() == Kind::kInteger || kind() == Kind::kFloat;
  }
  /// An integer that is not negative.
  [[nodiscard]] bool is_unsigned_integer() const;

  // Wrong types are format errors ("expected ..., found ...").
  [[nodiscard]] std::optional<bool> boolean() const;
  [[nodiscard]] std::optional<std::uint64_t> unsigned_integer() const;
  [[nodiscard]] std::optional<std::int64_t> signed_integer() const;
  [[nodiscard]] std::optional<double> number() const;
  [[nodiscard]] std::optional<float> float32() const;
  [[nodiscard]] std::optional<std::string_view> string() const;
  /// A list of numbers, each finite as float32.
  [[nodiscard]] std::optional<std::vector<float>> floats() const;

  // Values outside the limits are validation errors. A limit at the end of its type's range is
  // none.
  [[nodiscard]] std::optional<std::uint64_t> integer_in(std::uint64_t min,
                                                        std::uint64_t max = UINT64_MAX) const;
  [[nodiscard]] std::optional<double> number_from(double min) const;
  [[nodiscard]] std::optional<double> number_in(double min, double max) const;
  [[nodiscard]] std::optional<double> number_above(double bound) const;

  /// The value behind the spelling; another spelling is a format error that lists all.
  template <class Enum>
  [[nodiscard]] std::optional<Enum> one_of(
      std::initializer_list<std::pair<std::string_view, Enum>> spellings) const {
    if (!is(Kind::kString)) {
      (void)string();
      return std::nullopt;
    }
    const std::string_view text = *string();
    for (const auto& [spelling, value] : spellings) {
      if (spelling == text) return value;
    }
    std::vector<std::string_view> names;
    for (const auto& spelling : spellings) names.push_back(spelling.first);
    report_spelling(names);
    return std::nullopt;
  }

  /// Elements of an array (capped at 2^24 - 1: a size to reserve); 0 for anything else.
  [[nodiscard]] std::size_t element_count() const;
  /// Nothing for anything but an array with elements.
  [[nodiscard]] std::optional<Value> first_element() const&;
  std::optional<Value> first_element() && = delete;
  /// Calls `visit(const Value&)` for every element; a format error unless this is an array.
  template <class Visit>
  void each(Visit visit) const {
    each_element(&visit, [](void* context, const Value& element) {
      (*static_cast<Visit*>(context))(element);
    });
  }
  /// Calls `visit(std::string_view name, const Value&)` for every entry of a map, whose paths show
  /// `?` for the name in validation errors; a format error unless this is an object.
  template <class Visit>
  void each_entry(Visit visit) const {
    each_map_entry(&visit, [](void* context, std::string_view name, const Value& entry) {
      (*static_cast<Visit*>(context))(name, entry);
    });
  }

  /// The value as compact JSON; equal keys anywhere inside are a format error.
  [[nodiscard]] std::optional<std::string> compact_json() const;
  /// The same, and a format error unless this is an object.
  [[nodiscard]] std::optional<std::string> compact_object() const;

  /// The same value under one more path step that only validation errors show.
  [[nodiscard]] Value inside(std::string_view validation_step) const&;
  Value inside(std::string_view validation_step) && = delete;

  void report_expected(std::string_view expected) const;
  void report_format(const std::string& text) const;
  void report_validation(const std::string& text) const;
  /// With steps below this value: report_validation(text, ".?.data").
  void report_validation(const std::string& text, std::string_view steps) const;
  void report_unimplemented(const std::string& what) const;
  [[nodiscard]] Issues& issues() const { return *issues_; }
  /// Short text of the value for messages.
  [[nodiscard]] std::string shown() const;

 private:
  friend class Document;
  friend class Object;
  struct Access;
  enum class Step : std::uint8_t { kRoot, kField, kEntry, kElement, kValidationOnly };
  using Handle = std::array<std::uint64_t, 2>;
  using ElementVisitor = void (*)(void*, const Value&);
  using EntryVisitor = void (*)(void*, std::string_view, const Value&);

  Value(Handle handle, Issues* issues) : handle_(handle), issues_(issues) {}
  [[nodiscard]] Value child(Handle handle, Step step, std::string_view name,
                            std::size_t index) const;
  void each_element(void* context, ElementVisitor visit) const;
  void each_map_entry(void* context, EntryVisitor visit) const;
  void report_spelling(std::span<const std::string_view> names) const;
  void report_below(std::size_t element, std::string_view expected, const Value& found) const;
  [[nodiscard]] std::string path(bool for_validation) const;

  Handle handle_{};  ///< A simdjson::dom::element, kept as bytes so that few files see it.
  Issues* issues_ = nullptr;
  const Value* parent_ = nullptr;
  std::string_view name_;
  std::size_t index_ = 0;
  Step step_ = Step::kRoot;
};

/// The members of a JSON object. Anything but an object, and equal keys, are format errors.
class Object {
 public:
  explicit Object(const Value& value);
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  [[nodiscard]] bool ok() const { return is_ok_; }
  [[nodiscard]] std::size_t member_count() const { return members_.size(); }
  [[nodiscard]] bool has(std::string_view name) const;
  /// The member, null or not.
  [[nodiscard]] std::optional<Value> find(std::string_view name) const;
  /// The member unless it is missing or null.
  [[nodiscard]] std::optional<Value> given(std::string_view name) const;
  /// The member; missing is a format error.
  [[nodiscard]] std::optional<Value> require(std::string_view name) const;
  /// A format error for a member that is none of `known`.
  void refuse_unknown(std::initializer_list<std::string_view> known) const;
  /// Unless the member is missing or null: kUnimplemented.
  void not_yet(std::string_view name, const std::string& what) const;
  /// The same, except that `false` is accepted too (and anything but a boolean refused).
  void not_yet_true(std::string_view name, const std::string& what) const;

  [[nodiscard]] const Value& value() const { return value_; }

 private:
  friend class Value;
  struct Member {
    std::string_view name;
    Value::Handle handle;
  };
  Value value_;
  std::vector<Member> members_;
  bool is_ok_ = false;
};

/// A parsed JSON body. Numbers keep 64 bits; nesting is limited to kBodyDepthMax.
/// Thread rule: confined to the thread that made it, one small document at a time (its parser is
/// the thread's).
class Document {
 public:
  static constexpr std::size_t kBodyDepthMax = 64;

  /// `padding_bytes`: how many bytes behind the body may be read; with fewer than simdjson needs
  /// the body is copied. What does not parse is reported to `issues`, with line, column and path
  /// where that is cheap to find.
  Document(std::string_view body, std::size_t padding_bytes, Issues& issues);
  ~Document();
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;

  [[nodiscard]] bool ok() const { return is_ok_; }
  /// Requires ok().
  [[nodiscard]] Value root() const { return {root_, issues_}; }

 private:
  struct Parser;
  std::unique_ptr<Parser> own_parser_;
  Value::Handle root_{};
  Issues* issues_;
  bool is_ok_ = false;
};

/// Why simdjson refused `body`: a text with line, column and path.
std::string diagnose_json(std::string_view body);

/// A number as the dialect's limits show it: 1.0, 0.5.
std::string shown_number(double number);

}  // namespace tessera::api
