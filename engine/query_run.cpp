#include "engine/query_run.h"

#include <algorithm>
#include <cmath>

#include "engine/payload.h"
#include "index/kernels.h"

namespace tessera::engine {
namespace {

/// What is said of interests is said of those that the rounds begin with. The fields are named
/// where nothing is known of rounds; this puts the whole path in front, and decides nothing else.
Status in_refine(const Status& status) {
  if (status.message().rfind("query.interests", 0) != 0) return status;
  return {status.code(), "query.refine." + status.message()};
}

}  // namespace

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
  needs_history_ = false;
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
  const bool keeps_vectors =
      refine != nullptr || (interests != nullptr && interests->reads_found());
  const InterestsQuery* mixture = interests_of(request_.query);
  if (mixture != nullptr && mixture->category_field) {
    scope_.categories_of = [this, mixture](std::span<const std::uint32_t> slots) {
      return scalars_of(slots, *mixture->category_field);
    };
  }
  if (!sources_.empty()) restrict_to_prefetched();
  searcher_.emplace(*field_->vectors, collection_.slots_, scope_, keeps_vectors);
  if (refine != nullptr) return in_refine(start_refine(*refine));
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
