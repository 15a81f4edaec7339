#include <chrono>

#include "api/decode.h"
#include "api/encode.h"
#include "api/handlers.h"

namespace tessera::api {
namespace {

Result<engine::SessionId> path_session_id(const Call& call) {
  const auto id = storage::parse_session_id(call.path_parameters.at(1));
  if (id) return *id;
  return Status(Code::kNotFound, "There is no such session");
}

/// Of the query parameters; true or false.
Result<bool> read_flag(const Call& call, std::string_view name) {
  bool flag = false;
  for (const auto& [given, text] : call.target.parameters) {
    if (given != name) continue;
    if (text != "true" && text != "false") {
      return Status(Code::kFormat,
                    "Deserialize error in query parameters: " + given + ": expected true or false");
    }
    flag = text == "true";
  }
  return flag;
}

/// Makes a round and takes its time, also when it fails.
template <class Make>
Result<engine::SessionRoundAnswer> timed(const Call& call, const Make& make) {
  const auto started = std::chrono::steady_clock::now();
  auto answer = make();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - started;
  call.query_times.session.observe(taken.count());
  return answer;
}

}  // namespace

Status start_session(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(auto request, decode_body(call, decode_start_session));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto answer, timed(call, [&] {
                             return collection->sessions().start(std::move(request),
                                                                 call.parameters.wait, call.cancel);
                           }));
  encode_session_round(json, answer);
  return {};
}

Status next_round(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto id, path_session_id(call));
  TESSERA_ASSIGN_OR_RETURN(const auto request,
                           decode_body(call, decode_next_round, EmptyBody::kMeansEmptyObject));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto answer, timed(call, [&] {
                             return collection->sessions().next(id, request, read_session_options,
                                                                call.parameters.wait, call.cancel);
                           }));
  encode_session_round(json, answer);
  return {};
}

Status count_sessions(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  json.begin_object();
  json.field("count", collection->sessions().count());
  json.end_object();
  return {};
}

Status get_session(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto id, path_session_id(call));
  TESSERA_ASSIGN_OR_RETURN(const bool with_vectors, read_flag(call, "with_vectors"));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(
      const auto info,
      collection->sessions().get(id, with_vectors, read_session_options, call.cancel));
  encode_session(json, info);
  return {};
}

Status undo_round(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto id, path_session_id(call));
  TESSERA_ASSIGN_OR_RETURN(const auto round,
                           decode_body(call, decode_undo, EmptyBody::kMeansEmptyObject));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(
      const auto info, collection->sessions().undo(id, round, call.parameters.wait, call.cancel));
  encode_session(json, info);
  return {};
}

Status reset_session(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto id, path_session_id(call));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto info,
                           collection->sessions().reset(id, call.parameters.wait, call.cancel));
  encode_session(json, info);
  return {};
}

Status delete_session(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto id, path_session_id(call));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_RETURN_IF_ERROR(collection->sessions().remove(id, call.parameters.wait, call.cancel));
  json.value(true);
  return {};
}

}  // namespace tessera::api
