#pragma once

#include "retrieval/mixture.h"
#include "retrieval/refine.h"

namespace tessera::retrieval {

/// The rounds of a request that has an adapter. Every interest of the mixture is a person of its
/// own, with `histories[i]` (places in `items`) as history. Where `has_first` is not set, the
/// adapter makes the vectors of round 1 too. kInvalidArgument when a vector leaves the range of
/// float.
struct AdaptedRequest {
  const RefineRequest& request;
  const std::vector<HistoryItem>& items;
  std::vector<std::vector<std::uint32_t>> histories;
  bool has_first = false;
};
Result<RefineResult> retrieve_adapted(const AdaptedRequest& request, Mixture mixture,
                                      std::size_t limit, Searcher& searcher);

/// kInvalidArgument, naming `field`, unless the adapter can be used with such vectors.
Status check_adapter(const adapter::Adapter& adapter, Metric metric, std::size_t dim,
                     const char* field);

/// A vector of the adapter as items are scored by it: `[u; 1]` with item bias; for Cosine of unit
/// length.
[[nodiscard]] std::vector<float> searched_vector(const adapter::Adapter& adapter,
                                                 std::span<const float> vector, Metric metric);

}  // namespace tessera::retrieval
