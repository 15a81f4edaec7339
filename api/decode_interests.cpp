#include <charconv>
#include <cmath>
#include <string>

#include "api/decode.h"

namespace tessera::api {

using engine::ComponentInput;
using engine::HistoryInput;
using engine::InterestsQuery;
using engine::RefineQuery;
using engine::VectorInput;

namespace {

constexpr double kMicrosecondsPerSecond = 1e6;

}  // namespace

std::optional<double> decode_duration(const Value& value) {
  if (value.is_number()) return value.number_above(0);
  if (!value.is(Value::Kind::kString)) {
    value.report_expected(
        "a time such as \"30d\", \"12h\", \"90m\", \"45s\" or a number of seconds");
    return std::nullopt;
  }
  const std::string_view text = *value.string();
  double amount = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), amount, std::chars_format::fixed);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  double seconds = 0;
  if (unit == "s") seconds = 1;
  if (unit == "m") seconds = 60;
  if (unit == "h") seconds = 3600;
  if (unit == "d") seconds = 86'400;
  if (error != std::errc{} || seconds == 0 || !std::isfinite(amount * seconds)) {
    value.report_format("value " + value.shown() +
                        " is not a time such as \"30d\", \"12h\", \"90m\", \"45s\"");
    return std::nullopt;
  }
  if (!(amount > 0)) {
    value.report_validation("value " + shown_number(amount) + " invalid, must be larger than 0.0");
    return std::nullopt;
  }
  return amount * seconds;
}

namespace {

/// Unix seconds, or a date and time as text.
std::optional<double> decode_time(const Value& value) {
  if (value.is_number()) return value.number();
  const auto text = value.string();
  if (!text) return std::nullopt;
  const auto datetime = engine::parse_datetime(*text);
  if (!datetime) {
    value.report_format("value " + value.shown() + " is not a date and time");
    return std::nullopt;
  }
  return static_cast<double>(*datetime) / kMicrosecondsPerSecond;
}

/// An id, a vector, or {id | vector, weight?, at?}.
HistoryInput decode_history_item(const Value& value) {
  HistoryInput item;
  if (!value.is(Value::Kind::kObject)) {
    item.item = decode_vector_input(value);
    return item;
  }
  const Object object(value);
  if (!object.ok()) return item;
  object.refuse_unknown({"id", "vector", "weight", "at"});
  const auto id = object.given("id");
  const auto vector = object.given("vector");
  if (id.has_value() == vector.has_value()) {
    value.report_format("expected exactly one of `id` and `vector`");
  } else if (id) {
    item.item = decode_point_id(*id).value_or(PointId());
  } else {
    item.item = decode_dense(*vector);
  }
  if (const auto weight = object.given("weight")) {
    item.weight = weight->number_above(0).value_or(1);
  }
  if (const auto at = object.given("at")) item.at_seconds = decode_time(*at);
  return item;
}

ComponentInput decode_component(const Value& value) {
  ComponentInput component;
  const Object object(value);
  if (!object.ok()) return component;
  object.refuse_unknown({"vector", "weight", "filter"});
  if (const auto vector = object.require("vector")) component.vector = decode_dense(*vector);
  if (const auto weight = object.given("weight")) {
    component.weight = weight->number_above(0).value_or(1);
  }
  if (const auto filter = object.given("filter")) component.filter = decode_filter(*filter);
  return component;
}

/// "global", "ward", or {"ward": {"threshold"?}}.
void decode_clustering(const Value& value, InterestsQuery& query) {
  using retrieval::Clustering;
  if (!value.is(Value::Kind::kObject)) {
    query.clustering =
        value.one_of<Clustering>({{"global", Clustering::kGlobal}, {"ward", Clustering::kWard}})
            .value_or(query.clustering);
    return;
  }
  const Object object(value);
  if (!object.ok()) return;
  object.refuse_unknown({"ward"});
  const auto ward = object.require("ward");
  if (!ward) return;
  const Object settings(*ward);
  if (!settings.ok()) return;
  settings.refuse_unknown({"threshold"});
  query.clustering = Clustering::kWard;
  if (const auto threshold = settings.given("threshold")) {
    query.ward_threshold = threshold->number_from(0);
  }
}

retrieval::Mmr decode_mmr(const Value& value, const Object& object) {
  retrieval::Mmr mmr;
  object.refuse_unknown({"lambda", "diversity", "candidates"});
  const auto lambda = object.given("lambda");
  const auto diversity = object.given("diversity");
  if (lambda && diversity) value.report_format("expected at most one of `lambda`, `diversity`");
  if (lambda) mmr.lambda = lambda->number_in(0, 1).value_or(mmr.lambda);
  if (diversity) mmr.lambda = 1 - diversity->number_in(0, 1).value_or(mmr.lambda);
  return mmr;
}

/// {"mmr": {...}} or {"category": {...}}.
void decode_diversity(const Value& value, InterestsQuery& query) {
  const Object object(value);
  if (!object.ok()) return;
  object.refuse_unknown({"mmr", "category"});
  const auto mmr = object.find("mmr");
  const auto category = object.find("category");
  if (mmr.has_value() == category.has_value()) {
    value.report_format("expected exactly one of `mmr` and `category`");
    return;
  }
  const Value& inner = mmr ? *mmr : *category;
  const Object settings(inner);
  if (!settings.ok()) return;
  retrieval::Diversity& diversity = query.diversity.emplace();
  if (mmr) {
    diversity.rule = decode_mmr(inner, settings);
  } else {
    settings.refuse_unknown({"field", "lambda", "candidates"});
    retrieval::CategoryPenalty penalty;
    if (const auto field = settings.require("field")) {
      query.category_field = decode_payload_path(*field);
    }
    if (const auto lambda = settings.require("lambda")) {
      penalty.lambda = lambda->number_from(0).value_or(0);
    }
    diversity.rule = penalty;
  }
  if (const auto count = settings.given("candidates")) {
    diversity.candidates = count->integer_in(1, retrieval::kDiversityCandidatesMax).value_or(1);
    if (query.page > 0) count->report_format("does not go together with `page`");
  }
}

/// The choices of spelling.
void decode_choices(const Object& object, InterestsQuery& query) {
  using namespace retrieval;
  if (const auto clustering = object.given("clustering")) decode_clustering(*clustering, query);
  if (const auto scope = object.given("scope")) {
    query.scope = scope->one_of<Scope>({{"global", Scope::kGlobal}, {"cluster", Scope::kCluster}})
                      .value_or(query.scope);
  }
  if (const auto represent = object.given("represent")) {
    query.represent = represent
                          ->one_of<Represent>({{"centroid", Represent::kCentroid},
                                               {"medoid", Represent::kMedoid},
                                               {"cluster", Represent::kCluster}})
                          .value_or(query.represent);
  }
  if (const auto blend_with = object.given("blend_with")) {
    query.blend_with =
        blend_with
            ->one_of<BlendWith>({{"vector", BlendWith::kVector}, {"history", BlendWith::kHistory}})
            .value_or(query.blend_with);
  }
  if (const auto allocation = object.given("allocation")) {
    query.allocation = allocation
                           ->one_of<Allocation>({{"proportional", Allocation::kProportional},
                                                 {"equal", Allocation::kEqual},
                                                 {"sampled", Allocation::kSampled}})
                           .value_or(query.allocation);
  }
  if (const auto merge = object.given("merge")) {
    query.merge = merge
                      ->one_of<MergeOrder>(
                          {{"interleave", MergeOrder::kInterleave}, {"score", MergeOrder::kScore}})
                      .value_or(query.merge);
  }
}

retrieval::Rocchio decode_rocchio(const Value& value) {
  retrieval::Rocchio rocchio;
  const Object object(value);
  if (!object.ok()) return rocchio;
  object.refuse_unknown({"alpha", "beta", "feedback"});
  constexpr std::uint64_t kFeedbackMax = 10'000;
  if (const auto alpha = object.given("alpha")) rocchio.alpha = alpha->number_from(0).value_or(0);
  if (const auto beta = object.given("beta")) rocchio.beta = beta->number_from(0).value_or(0);
  if (rocchio.alpha == 0 && rocchio.beta == 0) {
    value.report_validation("`alpha` and `beta` can't be both 0");
  }
  if (const auto feedback = object.given("feedback")) {
    rocchio.feedback =
        static_cast<std::uint32_t>(feedback->integer_in(1, kFeedbackMax).value_or(1));
  }
  return rocchio;
}

/// Sets the strategy, or the name of the adapter.
void decode_strategy(const Value& value, RefineQuery& refine) {
  const Object object(value);
  if (!object.ok()) return;
  object.refuse_unknown({"explore", "rocchio", "attention", "adapter", "relevance_feedback"});
  if (object.member_count() != 1) {
    value.report_format(
        "expected exactly one of `explore`, `rocchio`, `attention`, `adapter`, "
        "`relevance_feedback`");
    return;
  }
  if (const auto pairs = object.find("relevance_feedback")) {
    refine.strategy = decode_relevance_feedback(*pairs);
  }
  if (const auto adapter = object.find("adapter")) refine.adapter = adapter->string().value_or("");
  if (const auto rocchio = object.given("rocchio")) refine.strategy = decode_rocchio(*rocchio);
  if (const auto attention = object.given("attention")) {
    refine.strategy = decode_attention(*attention);
  }
  if (const auto explore = object.find("explore")) refine.strategy = decode_explore(*explore);
}

/// What only adapters have.
void decode_adapter_members(const Object& object, RefineQuery& refine) {
  for (const char* name : {"exclude_history", "context_includes_history"}) {
    const auto member = object.given(name);
    if (!member) continue;
    if (!refine.adapter) {
      member->report_format("goes together with the strategy `adapter` only");
      continue;
    }
    const bool is_exclusion = std::string_view(name) == "exclude_history";
    bool& target = is_exclusion ? refine.exclude_history : refine.context_includes_history;
    target = member->boolean().value_or(target);
  }
}

void decode_refined(const Value& query, RefineQuery& refine) {
  std::visit([&refine](auto&& first) { refine.query = std::move(first); },
             decode_first_query(query));
}

}  // namespace

retrieval::Explore decode_explore(const Value& value) {
  retrieval::Explore explore;
  const Object object(value);
  if (!object.ok()) return explore;
  object.refuse_unknown({"beta"});
  if (const auto beta = object.given("beta")) explore.beta = beta->number_from(0).value_or(0);
  return explore;
}

retrieval::RelevanceFeedback decode_relevance_feedback(const Value& value) {
  retrieval::RelevanceFeedback relevance;
  const Object object(value);
  if (!object.ok()) return relevance;
  object.refuse_unknown({"a", "b", "c"});
  if (const auto a = object.require("a")) relevance.a = a->number().value_or(0);
  if (const auto b = object.require("b")) relevance.b = b->number_from(0).value_or(0);
  if (const auto c = object.require("c")) relevance.c = c->number().value_or(0);
  return relevance;
}

retrieval::Attention decode_attention(const Value& value) {
  retrieval::Attention attention;
  const Object object(value);
  if (!object.ok()) return attention;
  object.refuse_unknown({"gamma", "temperature"});
  if (const auto gamma = object.given("gamma")) attention.gamma = gamma->number_from(0).value_or(0);
  if (const auto temperature = object.given("temperature")) {
    attention.temperature = temperature->number_above(0).value_or(attention.temperature);
  }
  return attention;
}

std::vector<HistoryInput> decode_history(const Value& value) {
  std::vector<HistoryInput> history;
  if (!is_within(value, kHistoryCountMax)) return history;
  history.reserve(value.element_count());
  value.each([&history](const Value& item) { history.push_back(decode_history_item(item)); });
  return history;
}

InterestsQuery decode_interests(const Value& value) {
  InterestsQuery query;
  const Object object(value);
  if (!object.ok()) return query;
  object.refuse_unknown(
      {"user",        "history",    "components",     "vector",    "max_components", "min_quota",
       "quota_power", "clustering", "represent",      "half_life", "smoothing",      "blend",
       "blend_with",  "allocation", "seed",           "scope",     "merge",          "page",
       "page_blend",  "diversity",  "exclude_history"});
  const auto user = object.given("user");
  const auto history = object.given("history");
  const auto components = object.given("components");
  if (int{user.has_value()} + int{history.has_value()} + int{components.has_value()} != 1) {
    value.report_format("expected exactly one of `user`, `history`, `components`");
  } else if (user) {
    query.user = decode_user_id(*user);
  } else if (history) {
    query.history = decode_history(*history);
    if (history->is(Value::Kind::kArray) && history->element_count() == 0) {
      history->report_validation("value invalid, must not be empty");
    }
  } else if (components && is_within(*components, kComponentCountMax)) {
    components->each([&query](const Value& component) {
      query.components.push_back(decode_component(component));
    });
    if (query.components.empty()) {
      components->report_validation("value invalid, must not be empty");
    }
  }
  if (const auto vector = object.given("vector")) query.vector = decode_dense(*vector);
  if (const auto count = object.given("max_components")) {
    query.max_components =
        static_cast<std::uint32_t>(count->integer_in(1, kComponentCountMax).value_or(1));
  }
  if (const auto quota = object.given("min_quota")) {
    query.min_quota = static_cast<std::uint32_t>(quota->integer_in(0, UINT32_MAX).value_or(0));
  }
  if (const auto power = object.given("quota_power")) {
    query.quota_power = power->number_in(0, 10).value_or(1);
  }
  if (const auto page = object.given("page")) {
    query.page = static_cast<std::uint32_t>(page->integer_in(1, UINT32_MAX).value_or(1));
  }
  decode_choices(object, query);
  if (const auto half_life = object.given("half_life")) {
    query.half_life_seconds = decode_duration(*half_life);
  }
  if (const auto smoothing = object.given("smoothing")) {
    query.smoothing = decode_smoothing(*smoothing);
    if (components) smoothing->report_format("does not go together with `components`");
  }
  if (const auto blend = object.given("blend")) query.blend = blend->number_in(0, 1).value_or(0);
  if (const auto blend = object.given("page_blend")) {
    query.page_blend = blend->number_in(0, 1).value_or(0);
    if (query.page == 0) blend->report_format("goes together with `page` only");
  }
  if (const auto seed = object.given("seed")) query.seed = seed->unsigned_integer().value_or(0);
  if (const auto diversity = object.given("diversity")) decode_diversity(*diversity, query);
  if (const auto exclude = object.given("exclude_history")) {
    query.exclude_history = exclude->boolean().value_or(true);
  }
  return query;
}

std::variant<VectorInput, InterestsQuery> decode_first_query(const Value& value) {
  if (!value.is(Value::Kind::kObject)) return decode_vector_input(value);
  const Object kinds(value);
  kinds.refuse_unknown({"nearest", "interests"});
  const auto nearest = kinds.find("nearest");
  const auto interests = kinds.find("interests");
  if (nearest.has_value() == interests.has_value()) {
    value.report_format("expected exactly one of `nearest` and `interests`");
    return VectorInput();
  }
  if (nearest) return decode_vector_input(*nearest);
  return decode_interests(*interests);
}

RefineQuery decode_refine(const Value& value) {
  RefineQuery refine;
  const Object object(value);
  if (!object.ok()) return refine;
  object.refuse_unknown({"query", "user", "history", "rounds", "strategy", "exclude_history",
                         "context_includes_history"});
  if (const auto strategy = object.given("strategy")) decode_strategy(*strategy, refine);
  // An adapter can make the first vector, too.
  if (const auto query = refine.adapter ? object.given("query") : object.require("query")) {
    decode_refined(*query, refine);
  } else {
    refine.query = std::monostate();
  }
  const auto user = object.given("user");
  const auto history = object.given("history");
  if (user && history) value.report_format("expected at most one of `user` and `history`");
  if (user) {
    if (auto id = decode_user_id(*user)) refine.user = std::move(*id);
  }
  if (history) refine.history = decode_history(*history);
  if (const auto rounds = object.given("rounds")) {
    refine.rounds = static_cast<std::uint32_t>(rounds->integer_in(1, kRoundsMax).value_or(1));
  }
  decode_adapter_members(object, refine);
  return refine;
}

}  // namespace tessera::api
