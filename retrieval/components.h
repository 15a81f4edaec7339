#pragma once

#include <string>

#include "retrieval/interests.h"
#include "retrieval/vector_math.h"

namespace tessera::retrieval {

/// kInvalidArgument naming `field` unless every vector has `dim` finite values (any dim > 0 when
/// `dim` is 0), weights are finite and > 0, and times are finite.
Status check_history(const std::vector<HistoryItem>& history, std::size_t dim,
                     const std::string& field);
Status check_vector(std::span<const float> vector, std::size_t dim, const std::string& field);

/// What the person stands for as one vector: the request's own vector, else the weighted mean of
/// the history, else nothing. Normalised for Cosine unless it is zero.
std::vector<float> person_vector(const InterestsRequest& request, Metric metric);

}  // namespace tessera::retrieval
