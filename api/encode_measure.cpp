#include "api/encode.h"

namespace tessera::api {

namespace {

constexpr double kSecondsPerMinute = 60;

void encode_times(JsonWriter& json, const engine::SearchTimes& times) {
  json.begin_object();
  json.field("mean_us", times.mean_us);
  json.field("p50_us", times.p50_us);
  json.field("p99_us", times.p99_us);
  json.field("visited_mean", times.visited_mean);
  json.end_object();
}

void encode_vector_estimate(JsonWriter& json, const engine::VectorEstimate& estimate) {
  json.begin_object();
  json.field("index", estimate.index_type);
  json.field("vector_bytes", estimate.vector_bytes);
  json.field("code_bytes", estimate.code_bytes);
  json.field("graph_bytes", estimate.graph_bytes);
  json.field("id_bytes", estimate.id_bytes);
  json.field("ram_bytes", estimate.ram_bytes);
  json.field("disk_bytes", estimate.disk_bytes);
  json.field("build_ram_bytes", estimate.build_ram_bytes);
  json.field("build_minutes", estimate.build_seconds / kSecondsPerMinute);
  json.end_object();
}

}  // namespace

void encode_recall(JsonWriter& json, const engine::RecallReport& report) {
  json.begin_object();
  json.nullable_field("recall", report.recall);
  json.field("sample", report.sample);
  json.field("limit", report.limit);
  json.key("approximate");
  encode_times(json, report.approximate);
  json.key("exact");
  encode_times(json, report.exact);
  json.end_object();
}

void encode_estimate(JsonWriter& json, const engine::Estimate& estimate) {
  json.begin_object();
  json.field("points", estimate.point_count);
  json.key("vectors");
  json.begin_object();
  for (const auto& [name, vector] : estimate.vectors) {
    json.key(name);
    encode_vector_estimate(json, vector);
  }
  json.end_object();
  json.field("point_bytes", estimate.point_bytes);
  json.field("ram_bytes", estimate.ram_bytes);
  json.field("disk_bytes", estimate.disk_bytes);
  json.field("build_minutes", estimate.build_seconds / kSecondsPerMinute);
  json.field("build_threads", estimate.thread_count);
  json.end_object();
}

}  // namespace tessera::api
