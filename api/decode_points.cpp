#include "api/decode.h"

namespace tessera::api {

using engine::PointInput;
using engine::PointSelector;
using engine::UpsertPoints;

namespace {

PointInput decode_point(const Value& value) {
  PointInput point;
  const Object object(value);
  if (!object.ok()) return point;
  if (const auto id = object.require("id")) point.id = decode_point_id(*id).value_or(PointId());
  if (const auto vector = object.require("vector")) point.vectors = decode_vectors(*vector);
  if (const auto payload = object.given("payload")) point.payload = payload->compact_object();
  return point;
}

/// Vectors as columns: a list of vectors, or a map of such lists.
void decode_vector_columns(const Value& value, std::vector<PointInput>& points,
                           const Value& batch) {
  const auto read_column = [&](std::string_view name, const Value& column) {
    std::size_t row = 0;
    column.each([&](const Value& vector) {
      if (row < points.size()) points[row].vectors.emplace_back(name, decode_dense(vector));
      ++row;
    });
    if (column.is(Value::Kind::kArray) && row != points.size()) {
      batch.report_validation("number of ids and vectors must be equal (" +
                              std::to_string(points.size()) + " != " + std::to_string(row) + ")");
    }
  };
  if (value.is(Value::Kind::kArray)) {
    read_column("", value);
  } else if (value.is(Value::Kind::kObject)) {
    value.each_entry(read_column);
  } else {
    value.report_expected("a list of vectors or a map of such lists");
  }
}

std::vector<PointInput> decode_columns(const Value& value) {
  std::vector<PointInput> points;
  const Object batch(value);
  const auto ids = batch.require("ids");
  const auto vectors = batch.require("vectors");
  if (!ids || !vectors) return points;
  points.reserve(ids->element_count());
  ids->each([&points](const Value& element) {
    PointInput& point = points.emplace_back();
    point.id = decode_point_id(element).value_or(PointId());
  });
  decode_vector_columns(*vectors, points, value);
  const auto payloads = batch.given("payloads");
  if (!payloads) return points;
  std::size_t row = 0;
  payloads->each([&](const Value& payload) {
    if (row < points.size() && !payload.is_null()) {
      points[row].payload = payload.compact_object();
    }
    ++row;
  });
  if (payloads->is(Value::Kind::kArray) && row != points.size()) {
    value.report_validation("number of ids and payloads must be equal (" +
                            std::to_string(points.size()) + " != " + std::to_string(row) + ")");
  }
  return points;
}

/// {points: [id]} or {filter}.
PointSelector decode_selector(const Object& object) {
  const auto points = object.given("points");
  const auto filter = object.given("filter");
  refuse_shard_key(object);
  if (points && filter) {
    object.value().report_format("expected either `points` or `filter`, not both");
  } else if (points) {
    return decode_point_ids(*points);
  } else if (filter) {
    return decode_filter(*filter);
  } else if (object.ok()) {
    object.value().report_format("either `points` or `filter` must be provided");
  }
  return std::vector<PointId>{};
}

std::string decode_payload(const Object& object) {
  const auto payload = object.require("payload");
  if (!payload) return {};
  return payload->compact_object().value_or("");
}

engine::WriteOperation decode_operation(const Value& value) {
  const Object object(value);
  if (!object.ok()) return engine::DeletePoints{};
  if (object.member_count() == 1) {
    if (const auto body = object.find("upsert")) return decode_upsert(*body);
    if (const auto body = object.find("delete")) return decode_delete(*body);
    if (const auto body = object.find("set_payload")) return decode_set_payload(*body);
    if (const auto body = object.find("overwrite_payload")) return decode_overwrite_payload(*body);
    if (const auto body = object.find("delete_payload")) return decode_delete_payload(*body);
    if (const auto body = object.find("clear_payload")) return decode_clear_payload(*body);
    object.not_yet("update_vectors", "updating vectors");
    object.not_yet("delete_vectors", "deleting vectors");
    if (object.given("update_vectors") || object.given("delete_vectors")) {
      return engine::DeletePoints{};
    }
  }
  value.report_format(
      "expected exactly one of `upsert`, `delete`, `set_payload`, `overwrite_payload`, "
      "`delete_payload`, `clear_payload`, `update_vectors`, `delete_vectors`");
  return engine::DeletePoints{};
}

}  // namespace

UpsertPoints decode_upsert(const Value& body) {
  UpsertPoints request;
  const Object object(body);
  if (!object.ok()) return request;
  refuse_shard_key(object);
  object.not_yet("update_filter", "a conditional upsert");
  if (const auto mode = object.given("update_mode")) {
    const auto is_upsert =
        mode->one_of<bool>({{"upsert", true}, {"insert_only", false}, {"update_only", false}});
    if (is_upsert && !*is_upsert) mode->report_unimplemented("the mode " + mode->shown());
  }
  const auto rows = object.given("points");
  const auto columns = object.given("batch");
  if (rows && columns) {
    body.report_format("expected either `points` or `batch`, not both");
  } else if (columns) {
    request.points = decode_columns(*columns);
  } else if (rows) {
    request.points.reserve(rows->element_count());
    rows->each([&request](const Value& row) { request.points.push_back(decode_point(row)); });
  } else {
    body.report_format("missing field `points` (rows) or `batch` (columns)");
  }
  return request;
}

engine::DeletePoints decode_delete(const Value& body) {
  return {decode_selector(Object(body))};
}

engine::SetPayload decode_set_payload(const Value& body) {
  const Object object(body);
  engine::SetPayload request;
  if (!object.ok()) return request;
  request.selector = decode_selector(object);
  request.payload = decode_payload(object);
  if (const auto key = object.given("key")) request.key = decode_payload_path(*key);
  return request;
}

engine::OverwritePayload decode_overwrite_payload(const Value& body) {
  const Object object(body);
  engine::OverwritePayload request;
  if (!object.ok()) return request;
  request.selector = decode_selector(object);
  request.payload = decode_payload(object);
  object.not_yet("key", "overwriting at a key");
  return request;
}

engine::DeletePayloadKeys decode_delete_payload(const Value& body) {
  const Object object(body);
  engine::DeletePayloadKeys request;
  if (!object.ok()) return request;
  request.selector = decode_selector(object);
  if (const auto keys = object.require("keys")) {
    keys->each([&request](const Value& key) {
      if (auto path = decode_payload_path(key)) request.keys.push_back(*std::move(path));
    });
  }
  return request;
}

engine::ClearPayload decode_clear_payload(const Value& body) {
  return {decode_selector(Object(body))};
}

std::vector<engine::WriteOperation> decode_operations(const Value& body) {
  std::vector<engine::WriteOperation> operations;
  const Object object(body);
  const auto list = object.require("operations");
  if (!list) return operations;
  operations.reserve(list->element_count());
  list->each(
      [&operations](const Value& element) { operations.push_back(decode_operation(element)); });
  return operations;
}

engine::RetrieveRequest decode_retrieve(const Value& body) {
  engine::RetrieveRequest request;
  const Object object(body);
  if (!object.ok()) return request;
  refuse_shard_key(object);
  if (const auto ids = object.require("ids")) request.ids = decode_point_ids(*ids);
  if (const auto selector = object.given("with_payload")) {
    request.with_payload = decode_payload_selector(*selector);
  }
  request.with_vector = decode_with_vector(object);
  return request;
}

engine::ScrollRequest decode_scroll(const Value& body) {
  engine::ScrollRequest request;
  const Object object(body);
  if (!object.ok()) return request;
  refuse_shard_key(object);
  if (const auto filter = object.given("filter")) request.filter = decode_filter(*filter);
  if (const auto limit = object.given("limit")) {
    request.limit = limit->integer_in(1).value_or(request.limit);
  }
  if (const auto offset = object.given("offset")) request.offset = decode_point_id(*offset);
  if (const auto selector = object.given("with_payload")) {
    request.with_payload = decode_payload_selector(*selector);
  }
  request.with_vector = decode_with_vector(object);
  object.not_yet("order_by", "ordering by a payload key");
  return request;
}

engine::CountRequest decode_count(const Value& body) {
  engine::CountRequest request;
  const Object object(body);
  if (!object.ok()) return request;
  refuse_shard_key(object);
  if (const auto filter = object.given("filter")) request.filter = decode_filter(*filter);
  if (const auto exact = object.given("exact")) request.exact = exact->boolean().value_or(true);
  return request;
}

}  // namespace tessera::api
