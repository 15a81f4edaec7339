#include "support.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace tessera::api {

using Json = nlohmann::ordered_json;

std::string json_at(const std::string& json, const std::string& pointer) {
  const Json document = Json::parse(json, nullptr, false);
  if (document.is_discarded()) return "<no JSON>";
  const Json::json_pointer place(pointer);
  return document.contains(place) ? document.at(place).dump() : "<none>";
}

std::vector<std::string> keys_at(const std::string& json, const std::string& pointer) {
  std::vector<std::string> keys;
  const Json document = Json::parse(json);
  for (const auto& item : document.at(Json::json_pointer(pointer)).items()) {
    keys.push_back(item.key());
  }
  return keys;
}

bool is_json(const std::string& json) {
  return Json::accept(json);
}

std::string Answer::error() const {
  const Json document = Json::parse(body, nullptr, false);
  const Json::json_pointer place("/status/error");
  if (document.is_discarded() || !document.contains(place)) return "<no error>";
  return document.at(place).get<std::string>();
}

std::string Answer::header(const std::string& name) const {
  const auto found = std::find_if(headers.begin(), headers.end(),
                                  [&](const auto& header) { return header.first == name; });
  return found == headers.end() ? "" : found->second;
}

namespace {

FakeCollection& add_collection(FakeDatabase& database) {
  auto collection = std::make_shared<FakeCollection>("c");
  database.collections["c"] = collection;
  return *collection;
}

}  // namespace

ServiceUnderTest::ServiceUnderTest() : collection(add_collection(database)) {
  service.set_ready(true);
}

Answer ServiceUnderTest::call(Method method, const std::string& target, const std::string& body,
                              const std::string& content_type, CancelToken* cancel) {
  HttpRequest request;
  request.method = method;
  request.target = target;
  request.content_type = content_type;
  request.body = body;
  request.cancel = cancel;
  const HttpResponse response = service.handle(request);
  return {response.status, response.body, response.content_type, response.headers};
}

}  // namespace tessera::api
