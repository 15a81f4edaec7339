#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cli/row_source.h"

namespace tessera::cli {

/// Points with their vectors as bytes; docs/api.md describes the form.
inline constexpr std::string_view kBinaryPointsType = "application/vnd.tessera.points";

/// An upsert as it is sent.
struct UpsertBody {
  std::string_view content_type = "application/json";
  std::string bytes;
};

/// The rows, which have no problems, as one body: binary if that is wanted and they all have one
/// kind of id and the same vectors of the same dimensions, JSON otherwise.
UpsertBody make_upsert_body(std::span<const ImportRow> rows, bool is_binary);

}  // namespace tessera::cli
