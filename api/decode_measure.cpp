#include "api/decode.h"

namespace tessera::api {

namespace {

constexpr std::uint64_t kSampleMax = 10'000;
constexpr std::uint64_t kRecallLimitMax = 1000;
constexpr std::uint64_t kPointsMax = UINT32_MAX;

}  // namespace

engine::RecallRequest decode_recall(const Value& body) {
  engine::RecallRequest request;
  const Object object(body);
  if (!object.ok()) return request;
  object.refuse_unknown({"vector", "using", "sample", "limit", "seed", "params", "filter"});
  const auto vector = object.given("vector");
  const auto name = object.given("using");
  if (vector && name) name->report_format("is another name of `vector`, which is given too");
  if (vector) request.vector = vector->string().value_or("");
  if (name) request.vector = name->string().value_or("");
  if (const auto sample = object.given("sample")) {
    request.sample = sample->integer_in(1, kSampleMax).value_or(1);
  }
  if (const auto limit = object.given("limit")) {
    request.limit = limit->integer_in(1, kRecallLimitMax).value_or(1);
  }
  if (const auto seed = object.given("seed")) request.seed = seed->unsigned_integer().value_or(0);
  if (const auto params = object.given("params")) request.params = decode_params(*params);
  if (const auto filter = object.given("filter")) request.filter = decode_filter(*filter);
  return request;
}

engine::EstimateRequest decode_estimate(const Value& body) {
  engine::EstimateRequest request;
  const Object object(body);
  if (!object.ok()) return request;
  object.refuse_unknown({"vectors", "points", "hnsw_config", "index", "quantization_config",
                         "quantization", "on_disk"});
  if (const auto vectors = object.given("vectors")) {
    if (vectors->is(Value::Kind::kString)) {
      request.vector_name = std::string(*vectors->string());
    } else {
      request.vectors = decode_vector_configs(*vectors);
    }
  }
  if (const auto points = object.given("points")) {
    request.point_count = points->integer_in(1, kPointsMax);
  }
  if (const auto hnsw = object.given("hnsw_config")) request.hnsw = decode_hnsw_config(*hnsw);
  if (const auto index = object.given("index")) request.index = decode_index_config(*index);
  request.quantization = decode_quantization(object, QuantizationPlace::kChange);
  if (request.index) refuse_unused_quantization(object, request.index->type);
  if (const auto on_disk = object.given("on_disk")) request.on_disk = on_disk->boolean();
  return request;
}

}  // namespace tessera::api
