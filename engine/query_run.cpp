#include "engine/query_run.h"

#include <algorithm>
#include <cmath>

#include "engine/payload.h"
#include "index/kernels.h"

namespace tessera::engine {

Result<QueryResult> CollectionImpl::query(const QueryRequest& request,
                                          const CancelToken& cancel) const {
  TESSERA_RETURN_IF_ERROR(check_open());
  QueryRun run(*this, request, cancel);
  return run.run();
}

bool QueryRun::is_scroll() const {
  return !is_found_only_ && std::holds_alternative<NoQuery>(request_.query);
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

Status QueryRun::check_vector(const std::vector<float>& vector, const std::string& what) const {
  const std::uint32_t dim = field_->vectors->identity().dim;
  if (vector.size() != dim) {
    // Of a plain query the text is the dialect's.
    return {Code::kInvalidArgument,
            (what == "query" ? "" : what + ": ") + "Vector dimension error: expected dim: " +
                std::to_string(dim) + ", got " + std::to_string(vector.size())};
  }
  for (const float value : vector) {
    if (!std::isfinite(value)) {
      return {Code::kInvalidArgument, what + ": a value is not finite"};
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

Status QueryRun::prepare_filter() {
  if (request_.filter && !request_.filter->empty()) {
    TESSERA_ASSIGN_OR_RETURN(scope_.allowed, bits_of(*request_.filter));
  }
  if (parent_ == nullptr || !parent_->scope_.allowed) return {};
  if (scope_.allowed) {
    scope_.allowed->intersect(*parent_->scope_.allowed);
  } else {
    scope_.allowed = *parent_->scope_.allowed;
  }
  return {};
}

Status QueryRun::prepare() {
  TESSERA_ASSIGN_OR_RETURN(field_, collection_.field(request_.using_vector));
  rows_ = field_->vectors->row_count();
  TESSERA_RETURN_IF_ERROR(check_params(request_.params, field_->vectors->identity().dim));
  TESSERA_RETURN_IF_ERROR(prepare_limits(rows_));
  SharedLock lock(field_->clusters_mutex);
  clusters_ = field_->clusters;
  items_ = field_->items;
  return {};
}

Status QueryRun::prepare_limits(std::size_t row_count) {
  // A quota is a share of what was asked for, so the limit stays as it is even when there are fewer
  // rows; only what no answer could hold is cut.
  constexpr std::size_t kWantedMax = 1'000'000;
  const std::size_t most = std::max(row_count, kWantedMax);
  wanted_ = std::min(request_.limit, most) + std::min(request_.offset, most);
  scope_.params = request_.params;
  scope_.score_threshold = request_.score_threshold;
  scope_.explains = request_.explain;
  scope_.cancel = &cancel_;
  return prepare_filter();
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
  const auto place = [what](std::size_t i) {
    return std::string(what) + "[" + std::to_string(i) + "]";
  };
  for (std::size_t i = 0; i < history.size(); ++i) {
    items[i].weight = history[i].weight;
    items[i].at_seconds = history[i].at_seconds;
    if (const auto* id = std::get_if<PointId>(&history[i].item)) {
      const auto slot = slot_of(*id);
      if (slot.has_error()) return slot.error().with_context(place(i));
      items[i].slot = *slot;
      slots.push_back(*items[i].slot);
      positions.push_back(i);
      continue;
    }
    items[i].vector = std::get<std::vector<float>>(history[i].item);
    TESSERA_RETURN_IF_ERROR(check_vector(items[i].vector, place(i)));
    if (field_->vectors->identity().metric == Metric::kCosine) {
      (void)index::normalise(items[i].vector);
    }
  }
  auto vectors = field_->vectors->vectors_of(slots);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (vectors[i].empty()) {
      const PointId& id = std::get<PointId>(history[positions[i]].item);
      return Status(Code::kNotFound, place(positions[i]) + ": point " + id.to_string() +
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
    TESSERA_RETURN_IF_ERROR(check_vector(
        component.vector,
        "query.interests.components[" + std::to_string(request.components.size()) + "]"));
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
  // Bounds the memory: payloads are far larger than what is taken of them.
  constexpr std::size_t kBlock = 256;
  std::vector<std::vector<std::string>> values(slots.size());
  for (std::size_t begin = 0; begin < slots.size(); begin += kBlock) {
    TESSERA_RETURN_IF_ERROR(cancel_.check());
    const auto block = slots.subspan(begin, std::min(kBlock, slots.size() - begin));
    TESSERA_ASSIGN_OR_RETURN(const auto payloads,
                             collection_.shared_.store.get_payloads(collection_.number_, block));
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (!payloads[i]) continue;
      TESSERA_ASSIGN_OR_RETURN(values[begin + i], extract_scalars(*payloads[i], field));
    }
  }
  return values;
}

Status QueryRun::start_vector(const VectorInput& input) {
  TESSERA_ASSIGN_OR_RETURN(vector_, resolve(input, "query"));
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

Status QueryRun::start_interests(const InterestsQuery& query) {
  TESSERA_ASSIGN_OR_RETURN(auto request, resolve_interests(query));
  interests_ = std::make_unique<retrieval::InterestsRequest>(std::move(request));
  // A page of no points asks for the profile: what the interests are, and no search.
  const std::size_t limit = request_.limit == 0 ? 0 : wanted_;
  TESSERA_ASSIGN_OR_RETURN(
      interests_run_, retrieval::InterestsRun::begin(*interests_, limit, excluded_, *searcher_));
  release_people(*interests_);
  return {};
}

Result<std::vector<ScoredPoint>> QueryRun::points_of(std::span<const Found> hits,
                                                     std::vector<bool>* exists) const {
  std::vector<std::uint32_t> slots;
  std::vector<Record> records;
  for (const Found& found : hits) {
    slots.push_back(found.hit.slot);
    records.emplace_back().id = collection_.slots_.id_of(found.hit.slot);
  }
  TESSERA_ASSIGN_OR_RETURN(
      auto is_there, collection_.fill_records(slots, request_.with_payload, request_.with_vector,
                                              cancel_, records));
  std::vector<ScoredPoint> points;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!is_there[i]) continue;
    ScoredPoint& point = points.emplace_back();
    point.record = std::move(records[i]);
    point.version = collection_.slots_.version_of(slots[i]);
    point.score = hits[i].hit.score;
    point.interest = hits[i].interest;
    point.round = hits[i].round;
    if (searcher_) point.contributions = searcher_->contributions_of(slots[i]);
  }
  if (request_.explain) name_dimensions(points);
  if (exists != nullptr) *exists = std::move(is_there);
  return points;
}

void QueryRun::name_dimensions(std::vector<ScoredPoint>& points) const {
  if (field_ == nullptr) return;
  SharedLock lock(collection_.config_mutex_);
  const auto& names = collection_.config_.vectors.at(request_.using_vector).dimension_names;
  if (names.empty()) return;
  for (ScoredPoint& point : points) {
    for (Contribution& contribution : point.contributions) {
      contribution.name = names[contribution.dim];
    }
  }
}

Status QueryRun::start() {
  if (is_scroll()) return {};
  const bool has_vector = !std::holds_alternative<FusionQuery>(request_.query) &&
                          !std::holds_alternative<NoQuery>(request_.query);
  TESSERA_RETURN_IF_ERROR(has_vector ? prepare() : prepare_limits(collection_.point_count()));
  TESSERA_RETURN_IF_ERROR(run_prefetches());
  if (const auto* fusion = std::get_if<FusionQuery>(&request_.query)) return fuse(*fusion);
  if (std::holds_alternative<NoQuery>(request_.query)) return find_first();

  const auto* interests = std::get_if<InterestsQuery>(&request_.query);
  const auto* refine = std::get_if<RefineQuery>(&request_.query);
  const bool keeps_vectors = refine != nullptr || (interests != nullptr && interests->diversity);
  if (interests != nullptr && interests->category_field) {
    scope_.categories_of = [this, interests](std::span<const std::uint32_t> slots) {
      return scalars_of(slots, *interests->category_field);
    };
  }
  if (!sources_.empty()) restrict_to_prefetched();
  searcher_.emplace(*field_->vectors, collection_.slots_, scope_, keeps_vectors);
  if (refine != nullptr) return start_refine(*refine);
  if (interests != nullptr) return start_interests(*interests);
  return start_vector(std::get<VectorInput>(request_.query));
}

Status QueryRun::find() {
  is_found_only_ = true;
  TESSERA_RETURN_IF_ERROR(drive());
  return conclude();
}

Status QueryRun::fetch() {
  const std::size_t first = std::min(request_.offset, found_.size());
  const std::size_t count = std::min(request_.limit, found_.size() - first);
  TESSERA_ASSIGN_OR_RETURN(result_.points,
                           points_of(std::span<const Found>(found_).subspan(first, count)));
  return {};
}

Result<QueryResult> QueryRun::finish() {
  if (is_scroll()) return run_scroll();
  TESSERA_RETURN_IF_ERROR(conclude());
  TESSERA_RETURN_IF_ERROR(fetch());
  return std::move(result_);
}

Result<QueryResult> QueryRun::run() {
  TESSERA_RETURN_IF_ERROR(drive());
  return finish();
}

}  // namespace tessera::engine
