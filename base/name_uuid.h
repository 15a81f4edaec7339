#pragma once

#include <string_view>

#include "base/point_id.h"

namespace tessera {

/// The UUID that stands for a name: version 5 of RFC 9562 (SHA-1) in a namespace of our own, which
/// docs/formats.md names. Stored on disk: never change it. Thread rule: a pure function.
PointId name_uuid(std::string_view name);

}  // namespace tessera
