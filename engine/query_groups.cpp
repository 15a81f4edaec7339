#include <algorithm>
#include <unordered_map>

#include <nlohmann/json.hpp>

#include "engine/query_run.h"

namespace tessera::engine {
namespace {

using nlohmann::json;

/// A query that is no plain one is asked for at most so many times as many hits as there is room
/// for in the groups.
constexpr std::size_t kGrowth = 4;
constexpr std::size_t kWantedFactorMax = 64;

std::size_t saturating_product(std::size_t a, std::size_t b) {
  return a != 0 && b > SIZE_MAX / a ? SIZE_MAX : a * b;
}

bool is_group_value(const std::string& json) {
  return json != "true" && json != "false";
}

/// What a filter compares with; nothing for integers that no filter can name.
std::optional<MatchScalar> scalar_of(const std::string& text) {
  const json value = json::parse(text, nullptr, false);
  if (value.is_string()) return MatchScalar(value.get<std::string>());
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) return std::nullopt;
  if (value.is_number_integer()) return MatchScalar(value.get<std::int64_t>());
  return std::nullopt;
}

/// One grouped query. Thread rule: confined to the request.
class GroupsRun {
 public:
  GroupsRun(const CollectionImpl& collection, const QueryGroupsRequest& request,
            const CancelToken& cancel)
      : collection_(collection), request_(request), cancel_(cancel), query_(request.query) {
    room_ = saturating_product(std::min(request.limit, kRoomMax),
                               std::min(request.group_size, kRoomMax));
  }

  Result<QueryGroupsResult> run() {
    const bool is_plain = std::holds_alternative<VectorInput>(request_.query.query) &&
                          request_.query.prefetch.empty();
    query_.offset = 0;
    query_.limit = std::max<std::size_t>(1, room_);
    std::size_t wanted_max =
        is_plain ? SIZE_MAX : saturating_product(query_.limit, kWantedFactorMax);
    const InterestsQuery* interests = interests_of(request_.query.query);
    if (interests != nullptr && interests->reads_found()) {
      // More candidates than that are refused.
      wanted_max = std::min(wanted_max, std::max(query_.limit, retrieval::kDiversityCandidatesMax));
    }
    while (true) {
      TESSERA_ASSIGN_OR_RETURN(const bool is_exhausted, collect(false));
      const bool has_groups = groups_.size() >= request_.limit;
      if (is_exhausted || query_.limit >= wanted_max || (has_groups && (is_plain || is_full()))) {
        if (!is_exhausted && is_plain && !is_full()) TESSERA_RETURN_IF_ERROR(complete());
        return answer();
      }
      query_.limit = std::min(wanted_max, saturating_product(query_.limit, kGrowth));
    }
  }

 private:
  static constexpr std::size_t kRoomMax = 1'000'000;
  struct Group {
    std::string value;
    std::vector<QueryRun::Found> hits;
  };

  [[nodiscard]] bool is_full() const {
    return std::all_of(groups_.begin(), groups_.end(), [&](const Group& group) {
      return group.hits.size() >= request_.group_size;
    });
  }

  /// Groups what the query finds, from the beginning. `only_known`: of the groups that there are
  /// those that are not full are filled. Whether there is nothing more to find.
  Result<bool> collect(bool only_known) {
    run_ = std::make_unique<QueryRun>(collection_, query_, cancel_);
    TESSERA_RETURN_IF_ERROR(run_->find());
    const std::vector<QueryRun::Found>& found = run_->found();
    std::vector<std::uint32_t> unknown;
    for (const QueryRun::Found& hit : found) {
      if (values_.try_emplace(hit.hit.slot).second) unknown.push_back(hit.hit.slot);
    }
    TESSERA_ASSIGN_OR_RETURN(auto values, run_->scalars_of(unknown, request_.group_by));
    for (std::size_t i = 0; i < unknown.size(); ++i) values_[unknown[i]] = std::move(values[i]);
    std::vector<bool> is_filled;
    if (only_known) {
      for (const Group& group : groups_) {
        is_filled.push_back(group.hits.size() >= request_.group_size);
      }
      for (std::size_t i = 0; i < groups_.size(); ++i) {
        if (!is_filled[i]) groups_[i].hits.clear();
      }
    } else {
      groups_.clear();
      places_.clear();
    }
    for (const QueryRun::Found& hit : found) {
      for (const std::string& value : values_[hit.hit.slot]) {
        if (is_group_value(value)) add(value, hit, is_filled);
      }
    }
    return found.size() < query_.limit;
  }

  void add(const std::string& value, const QueryRun::Found& hit,
           const std::vector<bool>& is_filled) {
    auto place = places_.find(value);
    if (place == places_.end()) {
      if (!is_filled.empty() || groups_.size() >= request_.limit) return;
      place = places_.emplace(value, groups_.size()).first;
      groups_.push_back({value, {}});
    }
    if (!is_filled.empty() && is_filled[place->second]) return;
    Group& group = groups_[place->second];
    if (group.hits.size() < request_.group_size) group.hits.push_back(hit);
  }

  /// The groups are known, but some have room: their other hits are farther away than all that was
  /// looked at, so that they are looked for among the points of these groups alone.
  Status complete() {
    FieldCondition condition;
    condition.path = request_.group_by;
    MatchAny any;
    for (const Group& group : groups_) {
      if (group.hits.size() >= request_.group_size) continue;
      if (auto scalar = scalar_of(group.value)) any.values.push_back(std::move(*scalar));
    }
    if (any.values.empty()) return {};
    condition.test = std::move(any);
    Filter filter;
    if (query_.filter && !query_.filter->empty()) {
      filter.must.emplace_back(SubFilter{{std::move(*query_.filter)}});
    }
    filter.must.emplace_back(std::move(condition));
    query_.filter = std::move(filter);
    query_.limit = std::max<std::size_t>(1, room_);
    while (true) {
      TESSERA_ASSIGN_OR_RETURN(const bool is_exhausted, collect(true));
      if (is_exhausted || is_full()) return {};
      query_.limit = saturating_product(query_.limit, kGrowth);
    }
  }

  Result<QueryGroupsResult> answer() {
    QueryGroupsResult result;
    std::vector<QueryRun::Found> hits;
    for (const Group& group : groups_) {
      hits.insert(hits.end(), group.hits.begin(), group.hits.end());
    }
    std::vector<bool> exists;
    TESSERA_ASSIGN_OR_RETURN(auto points, run_->points_of(hits, &exists));
    std::size_t next_hit = 0, next_point = 0;
    for (Group& group : groups_) {
      PointGroup& shown = result.groups.emplace_back();
      shown.value = std::move(group.value);
      for (std::size_t i = 0; i < group.hits.size(); ++i) {
        if (!exists[next_hit++]) continue;
        shown.points.push_back(std::move(points[next_point++]));
        // Hits of earlier searches have none.
        shown.points.back().contributions.clear();
      }
      if (shown.points.empty()) result.groups.pop_back();
    }
    QueryResult reports = run_->take_reports();
    result.interests = std::move(reports.interests);
    report_shares(result);
    result.rounds = std::move(reports.rounds);
    result.plan = std::move(reports.plan);
    return result;
  }

  /// More hits may have been asked for than the groups have room for: the quotas are those of the
  /// room, and what returned is what the groups show.
  void report_shares(QueryGroupsResult& result) const {
    if (result.interests.empty()) return;
    std::vector<double> quotas;
    for (const InterestInfo& interest : result.interests) {
      quotas.push_back(static_cast<double>(interest.quota));
    }
    if (query_.limit != room_ && room_ > 0) {
      const auto shares = retrieval::largest_remainder(quotas, room_);
      for (std::size_t i = 0; i < shares.size(); ++i) result.interests[i].quota = shares[i];
    }
    for (InterestInfo& interest : result.interests) interest.returned = 0;
    for (const PointGroup& group : result.groups) {
      for (const ScoredPoint& point : group.points) {
        if (point.interest) ++result.interests[point.interest->component].returned;
      }
    }
  }

  const CollectionImpl& collection_;
  const QueryGroupsRequest& request_;
  const CancelToken& cancel_;
  QueryRequest query_;             ///< The one that is run.
  std::size_t room_ = 0;           ///< Hits in all groups together.
  std::unique_ptr<QueryRun> run_;  ///< The last one; it borrows query_.
  std::vector<Group> groups_;
  std::unordered_map<std::string, std::size_t> places_;                 ///< In groups_.
  std::unordered_map<std::uint32_t, std::vector<std::string>> values_;  ///< Of slots.
};

}  // namespace

Result<QueryGroupsResult> CollectionImpl::query_groups(const QueryGroupsRequest& request,
                                                       const CancelToken& cancel) const {
  TESSERA_RETURN_IF_ERROR(check_open());
  return GroupsRun(*this, request, cancel).run();
}

}  // namespace tessera::engine
