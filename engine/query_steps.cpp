#include "engine/query_run.h"
#include "retrieval/diversity.h"

namespace tessera::engine {

/// The components are made, so that the vectors they were made of are needed no more. Many queries
/// of a batch wait at the same time.
void QueryRun::release_people(retrieval::InterestsRequest& request) {
  request.history = {};
  request.neighbors = {};
}

std::size_t QueryRun::held_bytes() const {
  std::size_t values = 0;
  const auto add = [&values](const std::vector<retrieval::HistoryItem>& history) {
    for (const retrieval::HistoryItem& item : history) values += item.vector.size();
  };
  const auto add_interests = [&](const retrieval::InterestsRequest& request) {
    add(request.history);
    for (const auto& neighbor : request.neighbors) add(neighbor.history);
  };
  if (interests_ != nullptr) add_interests(*interests_);
  if (refine_ != nullptr) {
    add(refine_->history);
    const auto* interests = std::get_if<retrieval::InterestsRequest>(&refine_->query);
    if (interests != nullptr) add_interests(*interests);
  }
  // Whose hits are read again, and how many.
  std::size_t kept_count = refine_ != nullptr ? wanted_ : 0;
  if (interests_ != nullptr && interests_->diversity) {
    kept_count = interests_->page > 0 ? wanted_
                                      : retrieval::candidate_count(*interests_->diversity, wanted_);
  }
  if (field_ != nullptr) values += std::min(kept_count, rows_) * field_->vectors->identity().dim;
  if (const auto* waiting = encoding()) {
    for (const adapter::Person* person : waiting->persons) {
      values += person->history.size() + person->context.size();
    }
  }
  return values * sizeof(float);
}

std::vector<retrieval::Search> QueryRun::wanted() {
  if (refine_run_ != nullptr) return refine_run_->wanted();
  if (interests_run_) return interests_run_->wanted();
  if (!vector_) return {};
  return {retrieval::Search{*vector_, std::min(wanted_, rows_), &excluded_, -1}};
}

Status QueryRun::accept(std::vector<std::vector<retrieval::Hit>> answers) {
  if (refine_run_ != nullptr) return refine_run_->accept(std::move(answers));
  if (interests_run_) return interests_run_->accept(std::move(answers));
  if (!vector_ || answers.size() != 1) {
    return {Code::kInternal, "another number of searches was answered than was asked for"};
  }
  vector_.reset();
  for (const retrieval::Hit& hit : answers.front()) {
    found_.push_back({hit, std::nullopt, std::nullopt});
  }
  return {};
}

Status QueryRun::conclude() {
  if (interests_run_) {
    TESSERA_ASSIGN_OR_RETURN(const auto answer, interests_run_->finish());
    interests_run_.reset();
    for (const retrieval::InterestHit& hit : answer.hits) {
      found_.push_back({hit.hit, HitInterest{hit.component, hit.rank, hit.hit.score}, {}});
    }
    report_interests(answer.interests);
  } else if (refine_run_ != nullptr) {
    conclude_refine();
  } else if (std::holds_alternative<VectorInput>(request_.query)) {
    keep_prefetched_places();
  }
  if (request_.explain) result_.plan = plan();
  return {};
}

/// By buffers that are kept for the thread's next query, unless they are large.
Status QueryRun::encode() {
  constexpr std::size_t kKeptBytesMax = 4U << 20;
  thread_local adapter::Scratch scratch;
  adapter::Values rows;
  const Status status = retrieval::encode(
      *encoding(), [this] { return cancel_.check(); }, scratch, rows);
  if (scratch.bytes() > kKeptBytesMax) scratch = {};
  return status.ok() ? accept_vectors(rows) : status;
}

Status QueryRun::drive() {
  TESSERA_RETURN_IF_ERROR(start());
  while (true) {
    if (encoding() != nullptr) {
      TESSERA_RETURN_IF_ERROR(encode());
      continue;
    }
    const auto searches = wanted();
    if (searches.empty()) return {};
    TESSERA_ASSIGN_OR_RETURN(auto answers, searcher_->search_many(searches));
    TESSERA_RETURN_IF_ERROR(accept(std::move(answers)));
  }
}

}  // namespace tessera::engine
