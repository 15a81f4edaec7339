#include <algorithm>
#include <set>

#include "api/decode.h"

namespace tessera::api {

using engine::PayloadPath;
using engine::PayloadSelector;
using engine::VectorSelector;

bool is_within(const Value& list, std::size_t max) {
  const std::size_t count = list.element_count();
  if (count <= max) return true;
  list.report_validation("length " + std::to_string(count) + " invalid, must be " +
                         std::to_string(max) + " or smaller");
  return false;
}

std::optional<PointId> decode_point_id(const Value& value) {
  std::optional<PointId> id;
  if (value.is_unsigned_integer()) {
    id = PointId(*value.unsigned_integer());
  } else if (value.is(Value::Kind::kString)) {
    id = PointId::parse_uuid(*value.string());
  }
  if (!id) {
    value.report_format("value " + value.shown() +
                        " is not a valid point ID, valid values are either an unsigned integer or "
                        "a UUID");
  }
  return id;
}

std::vector<PointId> decode_point_ids(const Value& value) {
  std::vector<PointId> ids;
  ids.reserve(value.element_count());
  value.each([&ids](const Value& element) {
    if (const auto id = decode_point_id(element)) ids.push_back(*id);
  });
  return ids;
}

namespace {

constexpr const char* kInference = "computing vectors from text, images or objects";

/// A multi-vector: its shape is checked, then it is not there yet.
void report_multi_vector(const Value& value) {
  std::size_t dim = 0;
  bool is_well_formed = true;
  value.each([&](const Value& row) {
    if (!is_well_formed) return;
    const auto numbers = row.floats();
    if (!numbers) {
      is_well_formed = false;
    } else if (numbers->empty()) {
      is_well_formed = false;
      value.report_validation("all vectors must be non-empty", ".?.data");
    } else if (dim != 0 && numbers->size() != dim) {
      is_well_formed = false;
      value.report_validation(
          "all vectors must have the same dimension, found vector with dimension " +
              std::to_string(numbers->size()),
          ".?.data");
    } else {
      dim = numbers->size();
    }
  });
  if (is_well_formed) value.report_unimplemented("a multi-vector");
}

/// The same for a sparse vector.
void report_sparse_vector(const Value& value, const Object& sparse) {
  const auto indices = sparse.require("indices");
  const auto values = sparse.require("values");
  if (!indices || !values) return;
  std::set<std::uint64_t> unique;
  std::size_t index_count = 0;
  indices->each([&](const Value& index) {
    ++index_count;
    if (const auto number = index.integer_in(0, UINT32_MAX)) unique.insert(*number);
  });
  const auto weights = values->floats();
  if (!weights || value.issues().has_format()) return;
  if (weights->size() != index_count) {
    values->report_validation("Validation error: must be the same length as indices [{}]");
  } else if (unique.size() != index_count) {
    indices->report_validation("Validation error: must be unique [{}]");
  } else {
    value.report_unimplemented("a sparse vector");
  }
}

/// {text, model}, {image, model} or {object, model}.
bool is_inference(const Object& object) {
  return object.has("model") && (object.has("text") || object.has("image") || object.has("object"));
}

bool is_list_of_lists(const Value& value) {
  const auto first = value.first_element();
  return first && first->is(Value::Kind::kArray);
}

}  // namespace

std::vector<float> decode_dense(const Value& value) {
  if (value.is(Value::Kind::kObject)) {
    const Object object(value);
    if (is_inference(object)) {
      value.report_unimplemented(kInference);
    } else if (object.has("indices") || object.has("values")) {
      report_sparse_vector(value, object);
    } else {
      value.report_expected("a list of numbers");
    }
    return {};
  }
  if (is_list_of_lists(value)) {
    report_multi_vector(value);
    return {};
  }
  auto numbers = value.floats();
  if (!numbers) return {};
  if (numbers->empty()) value.report_validation("dense vector must not be empty");
  return *std::move(numbers);
}

std::vector<std::pair<std::string, std::vector<float>>> decode_vectors(const Value& value) {
  std::vector<std::pair<std::string, std::vector<float>>> vectors;
  if (value.is(Value::Kind::kArray)) {
    vectors.emplace_back("", decode_dense(value));
    return vectors;
  }
  if (!value.is(Value::Kind::kObject)) {
    value.report_expected("a list of numbers or a map of named vectors");
    return vectors;
  }
  if (is_inference(Object(value))) {
    value.report_unimplemented(kInference);
    return vectors;
  }
  value.each_entry([&vectors](std::string_view name, const Value& vector) {
    vectors.emplace_back(name, decode_dense(vector));
  });
  return vectors;
}

std::optional<PayloadPath> decode_payload_path(const Value& value) {
  const auto text = value.string();
  if (!text) return std::nullopt;
  auto path = engine::parse_payload_path(*text);
  if (path.has_error()) {
    value.report_format(path.error().message());
    return std::nullopt;
  }
  return *std::move(path);
}

namespace {

std::vector<PayloadPath> decode_payload_paths(const Value& value) {
  std::vector<PayloadPath> paths;
  value.each([&paths](const Value& element) {
    if (auto path = decode_payload_path(element)) paths.push_back(*std::move(path));
  });
  return paths;
}

}  // namespace

PayloadSelector decode_payload_selector(const Value& value) {
  using Kind = PayloadSelector::Kind;
  switch (value.kind()) {
    case Value::Kind::kBool:
      return {*value.boolean() ? Kind::kAll : Kind::kNone, {}};
    case Value::Kind::kArray:
      return {Kind::kInclude, decode_payload_paths(value)};
    case Value::Kind::kObject:
      break;
    default:
      value.report_expected("a boolean, a list of payload keys, or include or exclude");
      return {};
  }
  const Object selector(value);
  selector.refuse_unknown({"include", "exclude"});
  const auto include = selector.find("include");
  const auto exclude = selector.find("exclude");
  if (include.has_value() == exclude.has_value()) {
    value.report_format("expected exactly one of `include` and `exclude`");
    return {};
  }
  if (include) return {Kind::kInclude, decode_payload_paths(*include)};
  return {Kind::kExclude, decode_payload_paths(*exclude)};
}

VectorSelector decode_vector_selector(const Value& value) {
  VectorSelector selector;
  if (value.is(Value::Kind::kBool)) {
    selector.all = *value.boolean();
    return selector;
  }
  if (!value.is(Value::Kind::kArray)) {
    value.report_expected("a boolean or a list of vector names");
    return selector;
  }
  value.each([&selector](const Value& element) {
    if (const auto name = element.string()) selector.names.emplace_back(*name);
  });
  return selector;
}

VectorSelector decode_with_vector(const Object& body) {
  const auto value = body.given("with_vector");
  const auto alias = body.given("with_vectors");
  if (value && alias) {
    body.value().report_format("duplicate field `with_vector` (`with_vectors` is the same)");
    return {};
  }
  if (value) return decode_vector_selector(*value);
  if (alias) return decode_vector_selector(*alias);
  return {};
}

void refuse_shard_key(const Object& body) {
  body.not_yet("shard_key", "custom sharding");
}

std::string check_name(std::string_view what, std::string_view name, std::size_t bytes_max) {
  if (name.size() > bytes_max) {
    return std::string(what) + " is " + std::to_string(name.size()) +
           " bytes long, must be at most " + std::to_string(bytes_max);
  }
  constexpr std::string_view kForbidden("<>:\"/\\|?*\0\x1F", 11);
  const auto found = name.find_first_of(kForbidden);
  if (found == std::string_view::npos) return {};
  std::string shown(1, name[found]);
  if (name[found] == '\0') shown = "\\u0000";
  if (name[found] == '\x1F') shown = "\\u001f";
  return std::string(what) + " cannot contain \"" + shown + "\" char";
}

}  // namespace tessera::api
