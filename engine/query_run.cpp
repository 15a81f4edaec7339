#include "engine/query_run.h"

#include <algorithm>
#include <cmath>

#include "engine/payload.h"
#include "index/kernels.h"

namespace tessera::engine {

Result<QueryResult> CollectionImpl::query(const QueryRequest& request,
                                          const CancelToken& cancel) const {
  TESSERA_RETURN_IF_ERROR(check_open());
  return QueryRun(*this, request, cancel).run();
}

Result<QueryResult> QueryRun::run_scroll() const {
  if (request_.score_threshold) {
    return Status(
        Code::kBadRequest,
        "A query is needed to use the score_threshold. Can't have score_threshold without "
        "defining a query.");
  }
  ScrollRequest scroll;
  scroll.filter = request_.filter;
  const std::size_t all = collection_.point_count();
  scroll.limit =
      std::min(all, request_.limit > all ? all : request_.limit + std::min(all, request_.offset));
  scroll.with_payload = request_.with_payload;
  scroll.with_vector = request_.with_vector;
  TESSERA_ASSIGN_OR_RETURN(ScrollPage page, collection_.scroll(scroll, cancel_));
  QueryResult result;
  for (std::size_t i = std::min(request_.offset, page.records.size()); i < page.records.size();
       ++i) {
    ScoredPoint& point = result.points.emplace_back();
    point.record = std::move(page.records[i]);
    SharedLock lock(collection_.state_mutex_);
    const auto slot = collection_.slots_.find(point.record.id);
    point.version = slot ? collection_.slots_.version_of(*slot) : 0;
  }
  if (request_.explain) {
    result.plan.emplace();
    result.plan->strategy = "scroll";
    result.plan->match_count = result.points.size();
  }
  return result;
}

Status QueryRun::check_vector(const std::vector<float>& vector, const char* what) const {
  const std::uint32_t dim = field_->vectors->identity().dim;
  if (vector.size() != dim) {
    return {Code::kInvalidArgument, "Vector dimension error: expected dim: " + std::to_string(dim) +
                                        ", got " + std::to_string(vector.size())};
  }
  for (const float value : vector) {
    if (!std::isfinite(value)) {
      return {Code::kInvalidArgument, std::string(what) + ": a value is not finite"};
    }
  }
  return {};
}

Result<std::uint32_t> QueryRun::slot_of(const PointId& id) const {
  SharedLock lock(collection_.state_mutex_);
  const auto slot = collection_.slots_.find(id);
  if (!slot) return Status(Code::kNotFound, "No point with id " + id.to_string() + " found");
  return *slot;
}

Result<SlotBits> QueryRun::bits_of(const Filter& filter) const {
  TESSERA_ASSIGN_OR_RETURN(const index::Bitmap slots, collection_.matching_slots(filter, cancel_));
  return SlotBits::from(slots, slots.isEmpty() ? 0 : std::size_t{slots.maximum()} + 1);
}

Status QueryRun::prepare() {
  TESSERA_ASSIGN_OR_RETURN(field_, collection_.field(request_.using_vector));
  rows_ = field_->vectors->row_count();
  // A quota is a share of what was asked for, so the limit stays as it is even when there are fewer
  // rows; only what no answer could hold is cut.
  constexpr std::size_t kWantedMax = 1'000'000;
  const std::size_t most = std::max(rows_, kWantedMax);
  wanted_ = std::min(request_.limit, most) + std::min(request_.offset, most);
  scope_.params = request_.params;
  scope_.score_threshold = request_.score_threshold;
  scope_.explains = request_.explain;
  scope_.cancel = &cancel_;
  TESSERA_RETURN_IF_ERROR(check_params(request_.params, field_->vectors->identity().dim));
  if (request_.filter && !request_.filter->empty()) {
    TESSERA_ASSIGN_OR_RETURN(scope_.allowed, bits_of(*request_.filter));
  }
  SharedLock lock(field_->clusters_mutex);
  clusters_ = field_->clusters;
  items_ = field_->items;
  return {};
}

Result<std::vector<float>> QueryRun::resolve(const VectorInput& input, const char* what) {
  std::vector<float> vector;
  if (const auto* id = std::get_if<PointId>(&input)) {
    TESSERA_ASSIGN_OR_RETURN(const std::uint32_t slot, slot_of(*id));
    std::vector<float> stored = std::move(field_->vectors->vectors_of({&slot, 1}).front());
    if (stored.empty()) {
      return Status(Code::kNotFound,
                    "Point " + id->to_string() + " has no vector `" + request_.using_vector + "`");
    }
    excluded_.add(slot);
    return stored;
  }
  vector = std::get<std::vector<float>>(input);
  TESSERA_RETURN_IF_ERROR(check_vector(vector, what));
  if (field_->vectors->identity().metric == Metric::kCosine) (void)index::normalise(vector);
  return vector;
}

Result<std::vector<retrieval::HistoryItem>> QueryRun::resolve_history(
    const std::vector<HistoryInput>& history, const char* what) const {
  std::vector<retrieval::HistoryItem> items(history.size());
  std::vector<std::uint32_t> slots;
  std::vector<std::size_t> positions;
  for (std::size_t i = 0; i < history.size(); ++i) {
    items[i].weight = history[i].weight;
    items[i].at_seconds = history[i].at_seconds;
    if (const auto* id = std::get_if<PointId>(&history[i].item)) {
      TESSERA_ASSIGN_OR_RETURN(items[i].slot, slot_of(*id));
      slots.push_back(*items[i].slot);
      positions.push_back(i);
      continue;
    }
    items[i].vector = std::get<std::vector<float>>(history[i].item);
    TESSERA_RETURN_IF_ERROR(check_vector(items[i].vector, what));
    if (field_->vectors->identity().metric == Metric::kCosine) {
      (void)index::normalise(items[i].vector);
    }
  }
  auto vectors = field_->vectors->vectors_of(slots);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (vectors[i].empty()) {
      const PointId& id = std::get<PointId>(history[positions[i]].item);
      return Status(Code::kNotFound, std::string(what) + ": point " + id.to_string() +
                                         " has no vector `" + request_.using_vector + "`");
    }
    items[positions[i]].vector = std::move(vectors[i]);
  }
  return items;
}

Status QueryRun::prepare_scope(const InterestsQuery& query) {
  if (query.scope == retrieval::Scope::kGlobal) return {};
  if (items_ == nullptr) {
    return {Code::kBadRequest,
            "query.interests.scope: \"cluster\" needs item clusters, and the collection has none "
            "for this vector yet: POST /collections/" +
                collection_.name() + "/clusters trains them"};
  }
  index::BuildControl control;
  control.cancel = &cancel_;
  TESSERA_RETURN_IF_ERROR(items_->catch_up(control));
  scope_.items = items_.get();
  return {};
}

Result<retrieval::InterestsRequest> QueryRun::resolve_interests(const InterestsQuery& query) {
  retrieval::InterestsRequest request;
  TESSERA_ASSIGN_OR_RETURN(request.history,
                           resolve_history(query.history, "query.interests.history"));
  TESSERA_RETURN_IF_ERROR(prepare_scope(query));
  request.clusters = clusters_ == nullptr ? nullptr : &clusters_->clusters;
  for (const ComponentInput& component : query.components) {
    TESSERA_RETURN_IF_ERROR(check_vector(component.vector, "query.interests.components"));
    retrieval::GivenComponent given;
    given.vector = component.vector;
    if (field_->vectors->identity().metric == Metric::kCosine) (void)index::normalise(given.vector);
    given.weight = component.weight;
    if (component.filter && !component.filter->empty()) {
      given.component_filter = static_cast<int>(scope_.component_bits.size());
      TESSERA_ASSIGN_OR_RETURN(auto bits, bits_of(*component.filter));
      scope_.component_bits.emplace_back(std::move(bits));
    }
    request.components.push_back(std::move(given));
  }
  if (!query.vector.empty()) {
    TESSERA_RETURN_IF_ERROR(check_vector(query.vector, "query.interests.vector"));
    request.vector = query.vector;
    if (field_->vectors->identity().metric == Metric::kCosine) {
      (void)index::normalise(request.vector);
    }
  }
  TESSERA_RETURN_IF_ERROR(resolve_people(query, request));
  if (items_ != nullptr) {
    name_clusters(*items_, request.history);
    for (auto& neighbor : request.neighbors) name_clusters(*items_, neighbor.history);
  }
  request.max_components = query.max_components;
  request.min_quota = query.min_quota;
  request.represent = query.represent;
  request.half_life_seconds = query.half_life_seconds;
  request.blend = query.blend;
  request.blend_with = query.blend_with;
  request.allocation = query.allocation;
  request.seed = query.seed;
  request.merge = query.merge;
  request.scope = query.scope;
  request.clustering = query.clustering;
  request.ward_threshold = query.ward_threshold;
  request.diversity = query.diversity;
  request.exclude_history = query.exclude_history;
  return request;
}

Result<std::vector<std::vector<std::string>>> QueryRun::scalars_of(
    std::span<const std::uint32_t> slots, const PayloadPath& field) const {
  TESSERA_ASSIGN_OR_RETURN(const auto payloads,
                           collection_.shared_.store.get_payloads(collection_.number_, slots));
  std::vector<std::vector<std::string>> values(slots.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (i % 256 == 0) TESSERA_RETURN_IF_ERROR(cancel_.check());
    if (!payloads[i]) continue;
    TESSERA_ASSIGN_OR_RETURN(values[i], extract_scalars(*payloads[i], field));
  }
  return values;
}

Status QueryRun::run_vector(FieldSearcher& searcher, const VectorInput& input) {
  TESSERA_ASSIGN_OR_RETURN(const auto vector, resolve(input, "query"));
  TESSERA_ASSIGN_OR_RETURN(const auto hits,
                           searcher.search({vector, std::min(wanted_, rows_), &excluded_, -1}));
  for (const retrieval::Hit& hit : hits) found_.push_back({hit, std::nullopt, std::nullopt});
  return {};
}

void QueryRun::report_interests(const std::vector<retrieval::InterestReport>& reports) {
  for (const retrieval::InterestReport& report : reports) {
    InterestInfo& info = result_.interests.emplace_back();
    info.component = report.component;
    info.cluster = report.cluster;
    info.weight = report.weight;
    info.quota = report.quota;
    info.returned = report.returned;
    if (report.medoid) info.medoid = collection_.slots_.id_of(*report.medoid);
    for (const retrieval::Slot slot : report.items) {
      info.items.push_back(collection_.slots_.id_of(slot));
    }
    if (!report.cluster || clusters_ == nullptr || clusters_->info.labels.empty()) continue;
    for (const LabelValue& value : clusters_->info.labels[*report.cluster]) {
      info.label.push_back(value.value);
    }
  }
}

Status QueryRun::run_interests(FieldSearcher& searcher, const InterestsQuery& query) {
  TESSERA_ASSIGN_OR_RETURN(const auto request, resolve_interests(query));
  // A page of no points asks for the profile: what the interests are, and no search.
  const std::size_t limit = request_.limit == 0 ? 0 : wanted_;
  TESSERA_ASSIGN_OR_RETURN(const auto answer,
                           retrieval::retrieve_interests(request, limit, excluded_, searcher));
  for (const retrieval::InterestHit& hit : answer.hits) {
    found_.push_back({hit.hit, std::pair(hit.component, hit.rank), std::nullopt});
  }
  report_interests(answer.interests);
  return {};
}

Status QueryRun::fetch(const FieldSearcher& searcher) {
  found_.erase(found_.begin(), found_.begin() + static_cast<std::ptrdiff_t>(
                                                    std::min(request_.offset, found_.size())));
  if (found_.size() > request_.limit) found_.resize(request_.limit);
  std::vector<std::uint32_t> slots;
  std::vector<Record> records;
  for (const Found& found : found_) {
    slots.push_back(found.hit.slot);
    records.emplace_back().id = collection_.slots_.id_of(found.hit.slot);
  }
  TESSERA_ASSIGN_OR_RETURN(const auto exists,
                           collection_.fill_records(slots, request_.with_payload,
                                                    request_.with_vector, cancel_, records));
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!exists[i]) continue;
    ScoredPoint& point = result_.points.emplace_back();
    point.record = std::move(records[i]);
    point.version = collection_.slots_.version_of(slots[i]);
    point.score = found_[i].hit.score;
    point.interest = found_[i].interest;
    point.round = found_[i].round;
    point.contributions = searcher.contributions_of(slots[i]);
  }
  if (request_.explain) name_dimensions();
  return {};
}

void QueryRun::name_dimensions() {
  SharedLock lock(collection_.config_mutex_);
  const auto& names = collection_.config_.vectors.at(request_.using_vector).dimension_names;
  if (names.empty()) return;
  for (ScoredPoint& point : result_.points) {
    for (Contribution& contribution : point.contributions) {
      contribution.name = names[contribution.dim];
    }
  }
}

Result<QueryResult> QueryRun::run() {
  if (std::holds_alternative<NoQuery>(request_.query)) return run_scroll();
  TESSERA_RETURN_IF_ERROR(prepare());

  const auto* vector = std::get_if<VectorInput>(&request_.query);
  const auto* interests = std::get_if<InterestsQuery>(&request_.query);
  const auto* refine = std::get_if<RefineQuery>(&request_.query);
  const bool keeps_vectors = refine != nullptr || (interests != nullptr && interests->diversity);
  if (interests != nullptr && interests->category_field) {
    scope_.categories_of = [this, interests](std::span<const std::uint32_t> slots) {
      return scalars_of(slots, *interests->category_field);
    };
  }
  FieldSearcher searcher(*field_->vectors, collection_.slots_, scope_, keeps_vectors);
  Status status;
  if (vector != nullptr) status = run_vector(searcher, *vector);
  if (interests != nullptr) status = run_interests(searcher, *interests);
  if (refine != nullptr) status = run_refine(searcher, *refine);
  TESSERA_RETURN_IF_ERROR(status);
  TESSERA_RETURN_IF_ERROR(fetch(searcher));
  if (request_.explain) result_.plan = searcher.plan();
  return std::move(result_);
}

}  // namespace tessera::engine
