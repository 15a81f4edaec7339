#include "retrieval/adapted.h"

#include <algorithm>

#include "retrieval/rounds.h"
#include "retrieval/vector_math.h"

namespace tessera::retrieval {
namespace {

using adapter::Adapter;
using adapter::Person;

/// One person an interest.
class AdapterMover final : public Mover {
 public:
  AdapterMover(const AdaptedRequest& request, Searcher& searcher)
      : adapter_(*request.request.adapter), searcher_(searcher) {
    for (const auto& positions : request.histories) {
      // Only the newest are encoded.
      const std::size_t count = std::min(positions.size(), adapter_.weights().max_history);
      std::vector<std::vector<float>> items;
      for (std::size_t i = positions.size() - count; i < positions.size(); ++i) {
        items.push_back(request.items[positions[i]].vector);
      }
      persons_.emplace_back(items.empty() ? Person() : adapter_.begin(items));
    }
  }

  /// Round 1 by vectors from outside.
  void begin(const std::vector<InterestReport>& interests) {
    for (std::size_t i = 0; i < persons_.size(); ++i) {
      if (!is_moved(i)) continue;
      adapter_.remember(persons_[i], std::span(interests[i].vector).first(adapter_.dim()),
                        scratch_);
    }
  }

  Status move_on(std::vector<InterestReport>& interests) override {
    std::vector<const Person*> batch;
    for (std::size_t i = 0; i < persons_.size(); ++i) {
      if (is_moved(i)) batch.push_back(&persons_[i]);
    }
    TESSERA_RETURN_IF_ERROR(adapter_.vectors(
        batch, [this] { return searcher_.check(); }, scratch_, vectors_));
    const float* row = vectors_.data();
    for (std::size_t i = 0; i < persons_.size(); ++i) {
      if (!is_moved(i)) continue;
      const std::span vector(row, adapter_.dim());
      adapter_.remember(persons_[i], vector, scratch_);
      interests[i].vector = searched_vector(adapter_, vector, searcher_.metric());
      row += adapter_.dim();
    }
    return {};
  }

  Status read(const std::vector<InterestHit>& hits) override {
    std::vector<std::vector<std::vector<float>>> items(persons_.size());
    for (const InterestHit& hit : hits) {
      auto& own = items[hit.component];
      if (!is_moved(hit.component) || own.size() == adapter_.weights().context_size) continue;
      TESSERA_ASSIGN_OR_RETURN(own.emplace_back(), searcher_.vector_of(hit.hit.slot));
      if (own.back().size() != searcher_.dim()) {
        return {Code::kInternal, "a stored vector has another dimension than its collection"};
      }
    }
    for (std::size_t i = 0; i < persons_.size(); ++i) {
      if (is_moved(i)) adapter_.observe(persons_[i], items[i], scratch_);
    }
    return {};
  }

 private:
  /// Without items there is nothing to encode: the interest keeps its vector.
  [[nodiscard]] bool is_moved(std::size_t i) const { return persons_[i].history_count > 0; }

  const Adapter& adapter_;
  Searcher& searcher_;
  std::vector<Person> persons_;
  adapter::Scratch scratch_;
  adapter::Values vectors_;
};

/// Keeps the vectors that another mover gives.
class Recorder final : public Mover {
 public:
  explicit Recorder(Mover& mover) : mover_(mover) {}
  Status move_on(std::vector<InterestReport>& interests) override {
    TESSERA_RETURN_IF_ERROR(mover_.move_on(interests));
    auto& vectors = rounds.emplace_back();
    for (const InterestReport& interest : interests) vectors.push_back(interest.vector);
    return {};
  }
  Status read(const std::vector<InterestHit>& hits) override { return mover_.read(hits); }

  std::vector<std::vector<std::vector<float>>> rounds;  ///< From round 2 on.

 private:
  Mover& mover_;
};

/// Gives them again.
class Player final : public Mover {
 public:
  explicit Player(std::vector<std::vector<std::vector<float>>> rounds)
      : rounds_(std::move(rounds)) {}
  Status move_on(std::vector<InterestReport>& interests) override {
    // There are no vectors of a round before which the rehearsal ran out of rows: the last ones
    // stay.
    if (next_ == rounds_.size()) return {};
    for (std::size_t i = 0; i < interests.size(); ++i) interests[i].vector = rounds_[next_][i];
    ++next_;
    return {};
  }
  Status read(const std::vector<InterestHit>&) override { return {}; }

 private:
  std::vector<std::vector<std::vector<float>>> rounds_;
  std::size_t next_ = 0;
};

}  // namespace

std::vector<float> searched_vector(const Adapter& adapter, std::span<const float> vector,
                                   Metric metric) {
  std::vector<float> query(vector.begin(), vector.end());
  if (adapter.has_item_bias()) query.push_back(1);
  // Parts of a unit vector are within the range of float.
  if (metric == Metric::kCosine) query = *narrow(unit(query));
  return query;
}

Status check_adapter(const Adapter& adapter, Metric metric, std::size_t dim, const char* field) {
  const bool is_scored =
      metric == Metric::kDot || (metric == Metric::kCosine && !adapter.has_item_bias());
  if (is_scored && adapter.item_dim() == dim) return {};
  return {Code::kInvalidArgument,
          std::string(field) + ": it is for vectors of " + std::to_string(adapter.item_dim()) +
              " values with the distance Dot" + (adapter.has_item_bias() ? "" : " or Cosine") +
              ", and this one has " + std::to_string(dim) + " and " + metric_name(metric)};
}

Result<RefineResult> retrieve_adapted(const AdaptedRequest& request, Mixture mixture,
                                      std::size_t limit, Searcher& searcher) {
  const RefineRequest& refine = request.request;
  AdapterMover mover(request, searcher);
  if (request.has_first) {
    mover.begin(mixture.interests);
  } else {
    TESSERA_RETURN_IF_ERROR(mover.move_on(mixture.interests));
  }
  const RoundPlan plan{limit, refine.rounds, false};
  if (!refine.context_includes_known || refine.known.isEmpty()) {
    mixture.excluded |= refine.known;
    return run_rounds(std::move(mixture), plan, mover, searcher);
  }
  Recorder recorder(mover);
  const auto rehearsal = run_rounds(mixture, {limit, refine.rounds, true}, recorder, searcher);
  if (rehearsal.has_error()) return rehearsal.error();
  mixture.excluded |= refine.known;
  Player player(std::move(recorder.rounds));
  return run_rounds(std::move(mixture), plan, player, searcher);
}

}  // namespace tessera::retrieval
