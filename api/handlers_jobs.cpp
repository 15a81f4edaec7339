#include <charconv>

#include "api/decode.h"
#include "api/encode.h"
#include "api/handlers.h"

namespace tessera::api {

namespace {

void encode_job_id(JsonWriter& json, std::uint64_t id) {
  json.begin_object();
  json.field("job", id);
  json.end_object();
}

Result<std::uint64_t> parse_job_id(const std::string& text) {
  std::uint64_t id = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, id);
  if (error == std::errc{} && stop == end) return id;
  return Status(Code::kFormat,
                "Deserialize error in path parameters: job_id: expected an unsigned integer");
}

}  // namespace

Status get_clusters(Call& call, JsonWriter& json) {
  std::string vector;
  for (const auto& [name, value] : call.target.parameters) {
    if (name == "vector") vector = value;
  }
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto clusters, collection->clusters(vector));
  encode_clusters(json, clusters);
  return {};
}

Status train_clusters(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto request,
                           decode_body(call, decode_train_clusters, EmptyBody::kMeansEmptyObject));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const std::uint64_t job, collection->start_clusters(request));
  encode_job_id(json, job);
  return {};
}

Status reindex(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto request,
                           decode_body(call, decode_reindex, EmptyBody::kMeansEmptyObject));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const std::uint64_t job, collection->start_reindex(request));
  encode_job_id(json, job);
  return {};
}

Status list_jobs(Call& call, JsonWriter& json) {
  json.begin_object();
  json.key("jobs");
  json.begin_array();
  for (const engine::JobInfo& job : call.database.jobs()) encode_job(json, job);
  json.end_array();
  json.end_object();
  return {};
}

Status get_job(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const std::uint64_t id, parse_job_id(call.path_parameters.front()));
  TESSERA_ASSIGN_OR_RETURN(const auto job, call.database.job(id));
  encode_job(json, job);
  return {};
}

Status cancel_job(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const std::uint64_t id, parse_job_id(call.path_parameters.front()));
  TESSERA_RETURN_IF_ERROR(call.database.cancel_job(id));
  json.value(true);
  return {};
}

}  // namespace tessera::api
