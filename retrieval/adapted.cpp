#include "retrieval/adapted.h"

#include <algorithm>

#include "retrieval/vector_math.h"

namespace tessera::retrieval {
namespace {

using adapter::Adapter;
using adapter::Person;

/// One person an interest.
class AdapterMover final : public Mover {
 public:
  AdapterMover(const Adapter& adapter, const AdaptedPersons& request, Searcher& searcher)
      : adapter_(adapter), searcher_(searcher) {
    encoding_.adapter = &adapter;
    for (const auto& positions : request.histories) {
      // Only the newest are encoded.
      const std::size_t count = std::min(positions.size(), adapter_.weights().max_history);
      std::vector<std::vector<float>> items;
      for (std::size_t i = positions.size() - count; i < positions.size(); ++i) {
        items.push_back(request.items[positions[i]].vector);
      }
      persons_.emplace_back(items.empty() ? Person() : adapter_.begin(items));
    }
    for (Person& person : persons_) {
      if (person.history_count > 0) encoding_.persons.push_back(&person);
    }
  }

  /// Round 1 by vectors from outside.
  void begin(const std::vector<InterestReport>& interests) {
    for (std::size_t i = 0; i < persons_.size(); ++i) {
      if (!is_moved(i)) continue;
      const auto vector = std::span(interests[i].vector).first(adapter_.dim());
      vectors_.insert(vectors_.end(), vector.begin(), vector.end());
    }
    adapter_.remember(encoding_.persons, vectors_, scratch_);
    has_vectors_ = true;
  }

  [[nodiscard]] const Encoding* encoding() const override {
    return has_vectors_ || encoding_.persons.empty() ? nullptr : &encoding_;
  }

  void take_vectors(std::span<const float> rows) override {
    vectors_.assign(rows.begin(), rows.end());
    has_vectors_ = true;
  }

  Status move_on(std::vector<InterestReport>& interests) override {
    const float* row = vectors_.data();
    for (std::size_t i = 0; i < persons_.size(); ++i) {
      if (!is_moved(i)) continue;
      interests[i].vector =
          searched_vector(adapter_, std::span(row, adapter_.dim()), searcher_.metric());
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
    has_vectors_ = false;
    return {};
  }

 private:
  /// Without items there is nothing to encode: the interest keeps its vector.
  [[nodiscard]] bool is_moved(std::size_t i) const { return persons_[i].history_count > 0; }

  const Adapter& adapter_;
  Searcher& searcher_;
  std::vector<Person> persons_;
  Encoding encoding_;  ///< Of those that are moved.
  adapter::Scratch scratch_;
  adapter::Values vectors_;   ///< Theirs, in this round.
  bool has_vectors_ = false;  ///< Whether this round's are there.
};

class Recorder final : public Mover {
 public:
  Recorder(Mover& mover, RoundVectors& rounds) : mover_(mover), rounds_(rounds) {}
  [[nodiscard]] const Encoding* encoding() const override { return mover_.encoding(); }
  void take_vectors(std::span<const float> rows) override { mover_.take_vectors(rows); }
  Status move_on(std::vector<InterestReport>& interests) override {
    TESSERA_RETURN_IF_ERROR(mover_.move_on(interests));
    auto& vectors = rounds_.emplace_back();
    for (const InterestReport& interest : interests) vectors.push_back(interest.vector);
    return {};
  }
  Status read(const std::vector<InterestHit>& hits) override { return mover_.read(hits); }

 private:
  Mover& mover_;
  RoundVectors& rounds_;
};

class Player final : public Mover {
 public:
  explicit Player(RoundVectors rounds) : rounds_(std::move(rounds)) {}
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
  RoundVectors rounds_;
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

std::unique_ptr<Mover> make_adapter_mover(const Adapter& adapter, const AdaptedPersons& persons,
                                          const std::vector<InterestReport>* first,
                                          Searcher& searcher) {
  auto mover = std::make_unique<AdapterMover>(adapter, persons, searcher);
  if (first != nullptr) mover->begin(*first);
  return mover;
}

std::unique_ptr<Mover> make_recorder(Mover& mover, RoundVectors& rounds) {
  return std::make_unique<Recorder>(mover, rounds);
}

std::unique_ptr<Mover> make_player(RoundVectors rounds) {
  return std::make_unique<Player>(std::move(rounds));
}

Status encode(const Encoding& encoding, const adapter::Check& check, adapter::Scratch& scratch,
              adapter::Values& rows) {
  const std::vector<const Person*> persons(encoding.persons.begin(), encoding.persons.end());
  TESSERA_RETURN_IF_ERROR(encoding.adapter->vectors(persons, check, scratch, rows));
  encoding.adapter->remember(encoding.persons, rows, scratch);
  return {};
}

}  // namespace tessera::retrieval
