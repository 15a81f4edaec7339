#pragma once

#include <memory>

#include "retrieval/mixture.h"
#include "retrieval/refine.h"
#include "retrieval/rounds.h"

namespace tessera::retrieval {

/// The persons of a request that has an adapter: every interest of the mixture is one of its own,
/// with `histories[i]` (places in `items`) as history.
struct AdaptedPersons {
  const std::vector<HistoryItem>& items;
  std::vector<std::vector<std::uint32_t>> histories;
};
/// Moves them by the adapter, which outlives it as the searcher does; the items are copied.
/// `first`, if there are such: the interests' vectors of round 1, made outside.
std::unique_ptr<Mover> make_adapter_mover(const adapter::Adapter& adapter,
                                          const AdaptedPersons& persons,
                                          const std::vector<InterestReport>* first,
                                          Searcher& searcher);

/// The vectors of rounds, from the second on: a list an interest.
using RoundVectors = std::vector<std::vector<std::vector<float>>>;
/// Keeps the vectors that another mover gives in `rounds`. Both outlive it.
std::unique_ptr<Mover> make_recorder(Mover& mover, RoundVectors& rounds);
/// Gives them again.
std::unique_ptr<Mover> make_player(RoundVectors rounds);

/// Makes and remembers the vectors of the persons: rows of dim() values. The matrix
/// work of all of them together. kInvalidArgument when a vector leaves the range of float; then
/// none is remembered.
Status encode(const Encoding& encoding, const adapter::Check& check, adapter::Scratch& scratch,
              adapter::Values& rows);

/// kInvalidArgument, naming `field`, unless the adapter can be used with such vectors.
Status check_adapter(const adapter::Adapter& adapter, Metric metric, std::size_t dim,
                     const char* field);

/// A vector of the adapter as items are scored by it: `[u; 1]` with item bias; for Cosine of unit
/// length.
[[nodiscard]] std::vector<float> searched_vector(const adapter::Adapter& adapter,
                                                 std::span<const float> vector, Metric metric);

}  // namespace tessera::retrieval
