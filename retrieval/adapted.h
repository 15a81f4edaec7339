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

/// kInvalidArgument unless the adapter can be used with the searcher's vectors.
Status check_adapter(const adapter::Adapter& adapter, const Searcher& searcher);

}  // namespace tessera::retrieval
