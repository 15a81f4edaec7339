#include "engine/user_keys.h"

#include <nlohmann/json.hpp>

namespace tessera::engine {

using nlohmann::json;

std::string user_payload(const UserId& id) {
  return id.text.empty() ? std::string() : json{{"id", id.text}}.dump();
}

Result<UserId> stored_user_id(const PointId& key, const std::optional<std::string>& payload) {
  if (!payload || payload->empty() || payload->front() != '{' || *payload == "{}") {
    return UserId(key);
  }
  const Status damaged(Code::kCorrupt,
                       "the id of the user with key " + key.to_string() + " cannot be read");
  const json object = json::parse(*payload, nullptr, false);
  if (!object.is_object() || !object.contains("id") || !object["id"].is_string()) return damaged;
  auto id = UserId::parse(object["id"].get<std::string>());
  if (id.has_error() || id->key != key) return damaged;
  return id;
}

}  // namespace tessera::engine
