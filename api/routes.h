#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/http.h"
#include "api/json_writer.h"
#include "base/status.h"

namespace tessera::api {

struct Call;

/// Answers one call: writes the result to `json`, or says why there is none (what was written is
/// then thrown away).
using Handle = Status (*)(Call& call, JsonWriter& json);

/// How the body of an answer is made of what the handle wrote.
enum class AnswerForm : std::uint8_t {
  kEnvelope,  ///< {"result": ..., "status": "ok", "time": ...}
  kPlain,     ///< As written.
};

/// Which query parameters a call takes beside its path.
enum class ParameterSet : std::uint8_t {
  kNone,
  kWrite,
  kRead,
  kTimeout,
  kVector,
  kUser,
  kPage,
  kSession
};

/// One endpoint. The table drives both the dispatch and the OpenAPI document.
struct Route {
  Method method;
  std::string_view pattern;  ///< "/collections/{collection_name}/points"
  Handle handle;
  std::string_view tag;
  std::string_view operation;  ///< operationId
  std::string_view summary;
  std::string_view request_schema;  ///< Name in the schema table; empty: no body.
  std::string_view result_schema;   ///< Of `result`, or of the whole plain answer.
  ParameterSet parameters = ParameterSet::kNone;
  AnswerForm form = AnswerForm::kEnvelope;
  std::string_view content_type = "application/json";
};
std::span<const Route> routes();

/// A part of the dialect, or of what is planned, that this version answers with 501.
struct MissingRoute {
  Method method;
  std::string_view pattern;
  std::string_view what;  ///< "what is not supported by this version"
};
std::span<const MissingRoute> missing_routes();

std::string_view method_name(Method method);

/// Finds the endpoint of a request. Thread rule: immutable.
class Router {
 public:
  Router();

  struct Match {
    const Route* route = nullptr;
    const MissingRoute* missing = nullptr;
    std::vector<std::string> path_parameters;
    std::string allow;      ///< Methods of the path when none of them matched; empty: unknown path.
    std::size_t index = 0;  ///< Position of the route in routes(); with route only.
  };
  /// A pattern with a literal segment wins over one with a parameter. HEAD finds GET.
  [[nodiscard]] Match find(Method method, const std::vector<std::string>& segments) const;

 private:
  struct Entry {
    Method method;
    std::vector<std::string_view> segments;
    std::size_t index;
    bool is_missing;
  };
  std::vector<Entry> entries_;
};

}  // namespace tessera::api
