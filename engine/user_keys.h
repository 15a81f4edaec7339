#pragma once

#include <optional>
#include <string>

#include "engine/user_requests.h"

namespace tessera::engine {

/// What is stored as the payload of a user: the id as JSON where it is a text, else "".
std::string user_payload(const UserId& id);
/// The id of a stored user. kCorrupt when the payload is none, or of another key.
Result<UserId> stored_user_id(const PointId& key, const std::optional<std::string>& payload);

}  // namespace tessera::engine
