#include "api/decode.h"
#include "api/encode.h"
#include "api/handlers.h"

namespace tessera::api {

Status measure_recall(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto request,
                           decode_body(call, decode_recall, EmptyBody::kMeansEmptyObject));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto report, collection->recall(request, call.cancel));
  encode_recall(json, report);
  return {};
}

Status estimate_size(Call& call, JsonWriter& json) {
  TESSERA_ASSIGN_OR_RETURN(const auto request,
                           decode_body(call, decode_estimate, EmptyBody::kMeansEmptyObject));
  TESSERA_ASSIGN_OR_RETURN(const auto collection, call.collection());
  TESSERA_ASSIGN_OR_RETURN(const auto estimate, collection->estimate_size(request));
  encode_estimate(json, estimate);
  return {};
}

}  // namespace tessera::api
