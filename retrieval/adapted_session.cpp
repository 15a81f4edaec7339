#include "retrieval/adapted_session.h"

#include <utility>

#include "retrieval/adapted.h"

namespace tessera::retrieval {

using adapter::Adapter;
using adapter::Person;

Result<std::vector<std::vector<float>>> adapted_session_vectors(
    const Adapter& adapter, std::span<const AdaptedSessionRound> rounds,
    const std::optional<std::vector<float>>& start, Metric metric, const adapter::Check& check) {
  adapter::Scratch scratch;
  adapter::Values vector;
  std::vector<std::vector<float>> searched;
  Person person = adapter.begin({});
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    const AdaptedSessionRound& round = rounds[i];
    // The history may have grown; what was retrieved stays.
    Person next = adapter.begin(round.history);
    person.history = std::move(next.history);
    person.history_count = next.history_count;
    if (start && (i == 0 || person.history_count == 0)) {
      vector.assign(start->begin(), start->begin() + static_cast<std::ptrdiff_t>(adapter.dim()));
      searched.push_back(*start);
    } else if (person.history_count == 0) {
      return Status(Code::kInvalidArgument, "history: there is nothing to encode");
    } else {
      const Person* const persons[] = {&person};
      TESSERA_RETURN_IF_ERROR(adapter.vectors(persons, check, scratch, vector));
      searched.push_back(searched_vector(adapter, vector, metric));
    }
    if (i + 1 == rounds.size()) break;
    adapter.remember(person, std::span<const float>(vector).first(adapter.dim()), scratch);
    adapter.observe(person, round.context, scratch);
  }
  return searched;
}

}  // namespace tessera::retrieval
