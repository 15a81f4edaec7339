#include <algorithm>
#include <cmath>
#include <string>

#include "api/decode.h"
#include "api/json_writer.h"

namespace tessera::api {

using engine::NextRound;
using engine::SessionOptions;
using engine::StartSession;

namespace {

constexpr std::size_t kFeedbackCountMax = 10'000;  // Of each list.
constexpr double kFeedbackScoreMax = 1e6;

/// What of a session's beginning holds for all its rounds, and is stored as text.
constexpr std::string_view kOptions[] = {
    "using",       "filter",       "params",  "limit", "strategy",       "with_payload",
    "with_vector", "with_vectors", "history", "user",  "exclude_history"};
// What is stored beside them, and no member of a request.
constexpr const char* kComponentFilters = "component_filters";
constexpr const char* kHasQuery = "has_query";

retrieval::JudgedRocchio decode_rocchio(const Value& value) {
  retrieval::JudgedRocchio rocchio;
  const Object object(value);
  if (!object.ok()) return rocchio;
  object.refuse_unknown({"alpha", "beta", "gamma"});
  if (const auto alpha = object.given("alpha")) rocchio.alpha = alpha->number_from(0).value_or(0);
  if (const auto beta = object.given("beta")) rocchio.beta = beta->number_from(0).value_or(0);
  if (const auto gamma = object.given("gamma")) rocchio.gamma = gamma->number_from(0).value_or(0);
  if (rocchio.alpha == 0 && rocchio.beta == 0) {
    value.report_validation("`alpha` and `beta` can't be both 0");
  }
  return rocchio;
}

retrieval::SessionStrategy decode_session_strategy(const Value& value) {
  constexpr const char* kNames =
      "`rocchio`, `relevance_feedback`, `explore`, `attention`, `adapter`";
  const Object object(value);
  if (!object.ok()) return {};
  object.refuse_unknown({"rocchio", "relevance_feedback", "explore", "attention", "adapter"});
  if (object.member_count() != 1) {
    value.report_format(std::string("expected exactly one of ") + kNames);
    return {};
  }
  if (const auto rocchio = object.find("rocchio")) return decode_rocchio(*rocchio);
  if (const auto pairs = object.find("relevance_feedback")) {
    return decode_relevance_feedback(*pairs);
  }
  if (const auto explore = object.find("explore")) return decode_explore(*explore);
  if (const auto attention = object.find("attention")) return decode_attention(*attention);
  return {};
}

/// Whose history an adapter encodes; members that only adapters have.
void decode_adapter(const Object& object, SessionOptions& options) {
  for (const char* name : {"history", "user", "exclude_history"}) {
    const auto member = object.given(name);
    if (member && !options.adapter) {
      member->report_format("goes together with the strategy `adapter` only");
    }
  }
  if (!options.adapter) return;
  engine::SessionAdapter& adapter = *options.adapter;
  const auto history = object.given("history");
  const auto user = object.given("user");
  if (history && user) user->report_format("does not go together with `history`");
  if (history) adapter.history = decode_history(*history);
  if (user) {
    if (auto id = decode_user_id(*user)) adapter.user = std::move(*id);
  }
  if (const auto exclude = object.given("exclude_history")) {
    adapter.exclude_history = exclude->boolean().value_or(true);
  }
}

SessionOptions decode_options(const Object& object) {
  SessionOptions options;
  if (const auto name = object.given("using")) options.using_vector = name->string().value_or("");
  if (const auto filter = object.given("filter")) options.filter = decode_filter(*filter);
  if (const auto params = object.given("params")) options.params = decode_params(*params);
  if (const auto limit = object.given("limit")) {
    options.limit = limit->integer_in(1).value_or(options.limit);
  }
  if (const auto strategy = object.given("strategy")) {
    options.strategy = decode_session_strategy(*strategy);
    const Object kinds(*strategy);
    if (const auto name = kinds.ok() ? kinds.find("adapter") : std::nullopt) {
      options.adapter.emplace().name = name->string().value_or("");
    }
  }
  decode_adapter(object, options);
  if (const auto selector = object.given("with_payload")) {
    options.with_payload = decode_payload_selector(*selector);
  }
  options.with_vector = decode_with_vector(object);
  return options;
}

/// The filters of given components, as they are in the body.
void write_component_filters(const Value& query, JsonWriter& json) {
  if (!query.is(Value::Kind::kObject)) return;
  const Object kinds(query);
  const auto interests = kinds.given("interests");
  if (!interests || !interests->is(Value::Kind::kObject)) return;
  const Object members(*interests);
  const auto components = members.given("components");
  if (!components || !components->is(Value::Kind::kArray)) return;
  json.key(kComponentFilters);
  json.begin_array();
  components->each([&json](const Value& component) {
    if (!component.is(Value::Kind::kObject)) return json.null();
    const Object object(component);
    const auto filter = object.given("filter");
    const auto text = filter ? filter->compact_json() : std::nullopt;
    if (text) {
      json.raw(*text);
    } else {
      json.null();
    }
  });
  json.end_array();
}

/// Whose history the interests are of, for an adapter that is told no other.
void write_people(const Value& query, JsonWriter& json) {
  if (!query.is(Value::Kind::kObject)) return;
  const Object kinds(query);
  const auto interests = kinds.given("interests");
  if (!interests || !interests->is(Value::Kind::kObject)) return;
  const Object members(*interests);
  for (const char* name : {"history", "user"}) {
    const auto member = members.given(name);
    const auto compact = member ? member->compact_json() : std::nullopt;
    if (compact) json.raw_field(name, *compact);
  }
}

std::string options_text(const Object& object, const std::optional<Value>& query,
                         bool has_adapter) {
  std::string text;
  JsonWriter json(text);
  json.begin_object();
  for (const std::string_view name : kOptions) {
    const auto member = object.given(name);
    if (!member) continue;
    if (const auto compact = member->compact_json()) json.raw_field(name, *compact);
  }
  if (query) {
    const bool is_told = object.given("history") || object.given("user");
    if (has_adapter && !is_told) write_people(*query, json);
    write_component_filters(*query, json);
    if (has_adapter) json.field(kHasQuery, true);
  }
  json.end_object();
  return text;
}

}  // namespace

StartSession decode_start_session(const Value& body) {
  StartSession request;
  const Object object(body);
  if (!object.ok()) return request;
  object.refuse_unknown({"query", "using", "filter", "params", "limit", "strategy", "ttl",
                         "with_payload", "with_vector", "with_vectors", "history", "user",
                         "exclude_history", "shard_key"});
  refuse_shard_key(object);
  request.options = decode_options(object);
  // An adapter can make the first vector, too.
  const auto query = request.options.adapter ? object.given("query") : object.require("query");
  if (query) {
    std::visit([&request](auto&& first) { request.query = std::move(first); },
               decode_first_query(*query));
  } else {
    request.query = std::monostate();
  }
  if (request.options.adapter) request.options.adapter->has_query = query.has_value();
  if (auto* interests = std::get_if<engine::InterestsQuery>(&request.query)) {
    auto& adapter = request.options.adapter;
    if (adapter && adapter->history.empty() && !adapter->user) {
      adapter->history = interests->history;
      adapter->user = interests->user;
      adapter->exclude_history = interests->exclude_history && adapter->exclude_history;
    }
    for (engine::ComponentInput& component : interests->components) {
      request.options.component_filters.push_back(std::move(component.filter));
      component.filter.reset();
    }
  }
  if (const auto ttl = object.given("ttl")) {
    if (const auto seconds = decode_duration(*ttl)) {
      request.ttl_s = static_cast<std::uint32_t>(std::min(std::ceil(*seconds), double{UINT32_MAX}));
    }
  }
  request.options_text = options_text(object, query, request.options.adapter.has_value());
  return request;
}

Result<SessionOptions> read_session_options(std::string_view text) {
  Issues issues;
  const Document document(text, 0, issues);
  SessionOptions options;
  if (document.ok()) {
    const Value root = document.root();
    const Object object(root);
    options = decode_options(object);
    if (options.adapter) options.adapter->has_query = object.given(kHasQuery).has_value();
    if (const auto filters = object.given(kComponentFilters)) {
      filters->each([&options](const Value& filter) {
        auto& target = options.component_filters.emplace_back();
        if (!filter.is_null()) target = decode_filter(filter);
      });
    }
  }
  const Status status = issues.status();
  if (status.ok()) return options;
  return Status(Code::kCorrupt, "the options of the session cannot be read: " + status.message());
}

std::optional<std::uint32_t> decode_undo(const Value& body) {
  const Object object(body);
  if (!object.ok()) return std::nullopt;
  object.refuse_unknown({"round"});
  const auto round = object.given("round");
  if (!round) return std::nullopt;
  return static_cast<std::uint32_t>(round->integer_in(1, UINT32_MAX).value_or(1));
}

NextRound decode_next_round(const Value& body) {
  NextRound request;
  const Object object(body);
  if (!object.ok()) return request;
  object.refuse_unknown({"feedback", "limit", "round"});
  if (const auto limit = object.given("limit")) request.limit = limit->integer_in(1);
  if (const auto round = object.given("round")) {
    request.round = static_cast<std::uint32_t>(round->integer_in(1, UINT32_MAX).value_or(1));
  }
  const auto feedback = object.given("feedback");
  if (!feedback) return request;
  const Object lists(*feedback);
  if (!lists.ok()) return request;
  lists.refuse_unknown({"positive", "negative", "scores"});
  const auto positive = lists.given("positive");
  if (positive && is_within(*positive, kFeedbackCountMax)) {
    request.feedback.positive = decode_point_ids(*positive);
  }
  const auto negative = lists.given("negative");
  if (negative && is_within(*negative, kFeedbackCountMax)) {
    request.feedback.negative = decode_point_ids(*negative);
  }
  const auto scores = lists.given("scores");
  if (!scores || !is_within(*scores, kFeedbackCountMax)) return request;
  scores->each([&request](const Value& value) {
    const Object judgement(value);
    if (!judgement.ok()) return;
    judgement.refuse_unknown({"id", "score"});
    auto& [id, score] = request.feedback.scores.emplace_back();
    if (const auto given = judgement.require("id")) id = decode_point_id(*given).value_or(id);
    if (const auto given = judgement.require("score")) {
      score = given->number_in(-kFeedbackScoreMax, kFeedbackScoreMax).value_or(0);
    }
  });
  return request;
}

}  // namespace tessera::api
