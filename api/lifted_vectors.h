#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/requests.h"

namespace tessera::api {

/// Where the vectors of a body are.
enum class VectorPlaces : unsigned char {
  kQuery,   ///< Under `query`: the list, what is `nearest`, the `interests`, and what is refined.
  kSearch,  ///< The list under `vector`.
  kPoints,  ///< The lists under `points[].vector` and `points[].vector.name`.
};

/// A body whose vectors were read apart from the rest, which is small then and parsed as any body.
struct LiftedVectors {
  /// The body with [0], [1], ... in the vectors' places: what is parsed instead of it.
  std::string rest;
  std::vector<std::vector<float>> vectors;
};

/// Reads the vectors of a JSON body. Nothing if there are none, or where anything is unusual: the
/// whole body is then parsed, which also finds the words for what is wrong. One pass; `rest` may
/// still be no JSON. Thread rule: a pure function.
std::optional<LiftedVectors> lift_vectors(std::string_view body, VectorPlaces places);

/// Puts the vectors in the places of their marks. false if these are not the marks that
/// lift_vectors() left; `request` must not be used then.
bool put_back(LiftedVectors& lifted, engine::QueryRequest& request);
bool put_back(LiftedVectors& lifted, engine::UpsertPoints& request);

}  // namespace tessera::api
