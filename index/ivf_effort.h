#pragma once

#include "index/ivf_search.h"

namespace tessera::index {

/// Measures how far a search must go to find 95 % of the 10 nearest other rows of a sample of the
/// rows, by comparing with an exact search. Where the spec names the lists to visit, they are kept
/// and only the candidates are chosen. Cost: at most 200 exact searches. kCancelled, kTimeout.
Result<IvfEffort> choose_effort(const IndexSpec& spec, const IvfData& data, const IvfCodes& codes,
                                const BuildControl& control);

}  // namespace tessera::index
