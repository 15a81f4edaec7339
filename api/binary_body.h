#pragma once

#include <string_view>

#include "api/lifted_vectors.h"
#include "base/status.h"
#include "engine/requests.h"

namespace tessera::api {

/// Bodies with vectors as bytes; docs/api.md describes both forms. All numbers are little-endian,
/// every count is checked against the bytes that are left before memory is taken for it.
inline constexpr std::string_view kBinaryPointsType = "application/vnd.tessera.points";
inline constexpr std::string_view kBinaryQueryType = "application/vnd.tessera.query";

/// Whether the content type is `type`, its parameters and the case of letters aside.
bool is_content_type(std::string_view content_type, std::string_view type);

/// kFormat "Format error in binary body: field: text".
Result<engine::UpsertPoints> decode_binary_points(std::string_view body);

/// The JSON part with a mark in the vector's place (`query`, or `vector` for kSearch), and the
/// vector. kFormat as above.
Result<LiftedVectors> decode_binary_query(std::string_view body, VectorPlaces places);

}  // namespace tessera::api
