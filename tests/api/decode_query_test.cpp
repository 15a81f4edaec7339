#include <catch2/catch.hpp>

#include "api/decode.h"
#include "support.h"

using namespace tessera;
using namespace tessera::api;
using namespace tessera::engine;

namespace {

QueryRequest good(const std::string& body) {
  auto decoded = decode(body, decode_query);
  INFO(body);
  INFO(decoded.status.to_string());
  REQUIRE(decoded.status.ok());
  return *std::move(decoded.value);
}

InterestsQuery good_interests(const std::string& members) {
  return std::get<InterestsQuery>(good(R"({"query":{"interests":{)" + members + "}}}").query);
}

RefineQuery good_refine(const std::string& members) {
  return std::get<RefineQuery>(good(R"({"query":{"refine":{)" + members + "}}}").query);
}

using Floats = std::vector<float>;

}  // namespace

TEST_CASE("decode query: defaults of the dialect", "[unit]") {
  const QueryRequest request = good("{}");
  CHECK(std::holds_alternative<NoQuery>(request.query));
  CHECK(request.using_vector.empty());
  CHECK(request.limit == 10);
  CHECK(request.offset == 0);
  CHECK(request.with_payload.kind == PayloadSelector::Kind::kNone);
  CHECK(request.with_vector.none());
  CHECK_FALSE(request.filter);
  CHECK_FALSE(request.score_threshold);
  CHECK_FALSE(request.params.hnsw_ef);
  CHECK_FALSE(request.params.exact);
  CHECK_FALSE(request.explain);
  CHECK(std::holds_alternative<NoQuery>(good(R"({"query":null})").query));
}

TEST_CASE("decode query: a vector, an id, or nearest with either", "[unit]") {
  const auto input = [](const std::string& query) {
    return std::get<VectorInput>(good("{\"query\":" + query + "}").query);
  };
  CHECK(std::get<Floats>(input("[1, 2.5]")) == Floats{1, 2.5F});
  CHECK(std::get<Floats>(input(R"({"nearest":[1]})")) == Floats{1});
  CHECK(std::get<PointId>(input("7")) == PointId(7));
  CHECK(std::get<PointId>(input(R"({"nearest":7})")) == PointId(7));
  CHECK(std::get<PointId>(input("\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\"")).is_uuid());
  CHECK(std::get<PointId>(input(R"({"nearest":7,"mmr":null})")) == PointId(7));
}

TEST_CASE("decode query: every field arrives", "[unit]") {
  const QueryRequest request = good(R"({"query":[1],"using":"text","limit":18446744073709551615,
      "offset":3,"score_threshold":1,"filter":{"must":{"has_id":[1]}},
      "params":{"hnsw_ef":128,"exact":true,"indexed_only":true,"nprobe":9,"quantization":null,
                "acorn":{"enable":false}},
      "with_payload":["a"],"with_vector":true,"explain":true,"prefetch":[],"lookup_from":null,
      "shard_key":null})");
  CHECK(request.using_vector == "text");
  CHECK(request.limit == UINT64_MAX);
  CHECK(request.offset == 3);
  CHECK(request.score_threshold == 1.0F);
  CHECK(request.filter->must.size() == 1);
  CHECK(request.params.hnsw_ef == 128);
  CHECK(request.params.exact);
  CHECK(request.params.indexed_only);
  CHECK(request.params.probe_count == 9);
  CHECK(request.with_payload.kind == PayloadSelector::Kind::kInclude);
  CHECK(request.with_vector.all);
  CHECK(request.explain);
}

TEST_CASE("decode query: the older search names its vector", "[unit]") {
  auto decoded =
      decode(R"({"vector":{"name":"a","vector":[1,2]},"limit":3,"offset":1})", decode_search);
  REQUIRE(decoded.status.ok());
  CHECK(decoded.value->using_vector == "a");
  CHECK(decoded.value->limit == 3);
  CHECK(decoded.value->offset == 1);
  CHECK(std::get<Floats>(std::get<VectorInput>(decoded.value->query)) == Floats{1, 2});
  decoded = decode(R"({"vector":[1],"limit":1})", decode_search);
  REQUIRE(decoded.status.ok());
  CHECK(decoded.value->using_vector.empty());
}

TEST_CASE("decode query: a batch keeps its order", "[unit]") {
  const auto decoded =
      decode(R"({"searches":[{"query":1},{"query":2,"limit":2}]})", decode_query_batch);
  REQUIRE(decoded.status.ok());
  REQUIRE(decoded.value->size() == 2);
  CHECK(decoded.value->at(1).limit == 2);
}

TEST_CASE("decode interests: a history of ids, vectors and objects", "[unit]") {
  const auto query = good_interests(R"("history":[17, "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
      [0.1, 0.7], {"id": 9, "weight": 2, "at": "1970-01-01T00:00:10.5Z"},
      {"vector": [1], "at": 20}])");
  REQUIRE(query.history.size() == 5);
  CHECK(std::get<PointId>(query.history[0].item) == PointId(17));
  CHECK(std::get<PointId>(query.history[1].item).is_uuid());
  CHECK(std::get<Floats>(query.history[2].item) == Floats{0.1F, 0.7F});
  CHECK(query.history[2].weight == 1);
  CHECK_FALSE(query.history[2].at_seconds);
  CHECK(std::get<PointId>(query.history[3].item) == PointId(9));
  CHECK(query.history[3].weight == 2);
  CHECK(query.history[3].at_seconds == 10.5);
  CHECK(std::get<Floats>(query.history[4].item) == Floats{1});
  CHECK(query.history[4].at_seconds == 20.0);
}

TEST_CASE("decode interests: the defaults and every setting", "[unit]") {
  const auto plain = good_interests(R"("history":[1],"user":null,"smoothing":null,
      "clustering":"global","scope":"global")");
  CHECK(plain.max_components == 5);
  CHECK(plain.min_quota == 1);
  CHECK(plain.quota_power == 1);
  CHECK(plain.represent == retrieval::Represent::kCentroid);
  CHECK(plain.blend == 0);
  CHECK(plain.allocation == retrieval::Allocation::kProportional);
  CHECK(plain.merge == retrieval::MergeOrder::kInterleave);
  CHECK(plain.page == 0);
  CHECK_FALSE(plain.page_blend);
  CHECK(plain.exclude_history);
  CHECK(plain.scope == retrieval::Scope::kGlobal);
  CHECK(good_interests(R"("history":[1],"scope":"cluster")").scope == retrieval::Scope::kCluster);
  CHECK_FALSE(plain.half_life_seconds);
  const auto full = good_interests(R"("components":[
      {"vector":[1,0],"weight":0.5,"filter":{"must":{"has_id":[1]}}},{"vector":[0,1]}],
      "vector":[0.3,0.1],"max_components":256,"min_quota":0,"quota_power":1.5,
      "represent":"medoid","blend":1,"blend_with":"history","allocation":"equal",
      "seed":18446744073709551615,"merge":"score",
      "page":20,"page_blend":0.25,"exclude_history":false,"half_life":"1.5d")");
  REQUIRE(full.components.size() == 2);
  CHECK(full.components[0].weight == 0.5);
  CHECK(full.components[0].filter->must.size() == 1);
  CHECK(full.components[1].weight == 1);
  CHECK_FALSE(full.components[1].filter);
  CHECK(full.vector == Floats{0.3F, 0.1F});
  CHECK(full.max_components == 256);
  CHECK(full.min_quota == 0);
  CHECK(full.quota_power == 1.5);
  CHECK(full.represent == retrieval::Represent::kMedoid);
  CHECK(full.blend == 1);
  CHECK(full.blend_with == retrieval::BlendWith::kHistory);
  CHECK(full.allocation == retrieval::Allocation::kEqual);
  CHECK(full.seed == UINT64_MAX);
  CHECK(full.merge == retrieval::MergeOrder::kScore);
  CHECK(full.page == 20);
  CHECK(full.page_blend == 0.25);
  CHECK_FALSE(full.exclude_history);
  CHECK(full.half_life_seconds == 129'600.0);
}

TEST_CASE("decode query: prefetches nest, alone or in lists", "[unit]") {
  const QueryRequest alone = good(R"({"query":[1],"prefetch":{"query":7}})");
  REQUIRE(alone.prefetch.size() == 1);
  CHECK(alone.prefetch[0].limit == 10);
  CHECK(std::get<PointId>(std::get<VectorInput>(alone.prefetch[0].query)) == PointId(7));
  const QueryRequest nested = good(
      R"({"query":{"fusion":"rrf"},"limit":5,"prefetch":[
          {"query":{"interests":{"history":[1]}},"limit":30,"using":"a","score_threshold":0.5},
          {"prefetch":[{"filter":{"must":[{"has_id":[1]}]}}],"query":{"fusion":"dbsf"}},
          {"query":{"refine":{"query":[1]}},"params":{"exact":true}}]})");
  CHECK(nested.limit == 5);
  const auto& fusion = std::get<FusionQuery>(nested.query);
  CHECK(std::get<retrieval::ReciprocalRank>(fusion).k == 2);
  CHECK(std::get<retrieval::ReciprocalRank>(fusion).weights.empty());
  REQUIRE(nested.prefetch.size() == 3);
  CHECK(std::holds_alternative<InterestsQuery>(nested.prefetch[0].query));
  CHECK(nested.prefetch[0].limit == 30);
  CHECK(nested.prefetch[0].using_vector == "a");
  CHECK(nested.prefetch[0].score_threshold == 0.5F);
  CHECK(std::holds_alternative<ScoreFusion>(std::get<FusionQuery>(nested.prefetch[1].query)));
  REQUIRE(nested.prefetch[1].prefetch.size() == 1);
  CHECK(nested.prefetch[1].prefetch[0].filter);
  CHECK(std::holds_alternative<NoQuery>(nested.prefetch[1].prefetch[0].query));
  CHECK(nested.prefetch[2].params.exact);
  const QueryRequest weighted =
      good(R"({"query":{"rrf":{"k":60,"weights":[2,0.5]}},"prefetch":[{"query":1},{"query":2}]})");
  const auto& rule = std::get<retrieval::ReciprocalRank>(std::get<FusionQuery>(weighted.query));
  CHECK(rule.k == 60);
  CHECK(rule.weights == std::vector<double>{2, 0.5});
}

TEST_CASE("decode query: what is wrong about prefetches and fusions is named", "[unit]") {
  const auto text_of = [](const std::string& body) {
    return decode(body, decode_query).status.message();
  };
  using Catch::Contains;
  CHECK_THAT(text_of(R"({"prefetch":{"query":1}})"),
             Contains("A query is needed to merge the prefetches."));
  CHECK_THAT(text_of(R"({"query":1,"prefetch":{"prefetch":{"query":1}}})"),
             Contains("A query is needed to merge the prefetches."));
  CHECK_THAT(text_of(R"({"query":1,"prefetch":{"score_threshold":1}})"),
             Contains("A query is needed to use the score_threshold."));
  CHECK_THAT(text_of(R"({"query":{"fusion":"rrf"}})"), Contains("Prefetches are needed"));
  CHECK(text_of(R"({"query":{"fusion":"rrf"},"using":"a","prefetch":{"query":1}})") ==
        "Fusion queries cannot be combined with the 'using' field.");
  CHECK_THAT(text_of(R"({"query":{"fusion":"sum"},"prefetch":{"query":1}})"),
             Contains("query.fusion"));
  CHECK_THAT(text_of(R"({"query":{"rrf":{"k":0}},"prefetch":{"query":1}})"),
             Contains("internal.query.rrf.k: value 0 invalid, must be 1 or larger"));
  CHECK_THAT(text_of(R"({"query":{"rrf":{"weights":[-1]}},"prefetch":{"query":1}})"),
             Contains("internal.query.rrf.weights[0]"));
  CHECK_THAT(text_of(R"({"query":{"rrf":{"weights":[1]}},"prefetch":[{"query":1},{"query":2}]})"),
             Contains("internal.query.rrf.weights: must be as many as there are prefetches, 2"));
  CHECK_THAT(text_of(R"({"query":1,"prefetch":7})"), Contains("a prefetch or a list of them"));
  CHECK_THAT(text_of(R"({"query":1,"prefetch":[{"query":1},{"query":[]}]})"),
             Contains("prefetch[1].query"));
  CHECK_THAT(text_of(R"({"query":1,"prefetch":{"query":{"interests":{"history":[1]}},"limit":0}})"),
             Contains("internal.prefetch.limit: value 0 invalid"));
}

TEST_CASE("decode groups: every field arrives", "[unit]") {
  const auto decoded = decode(
      R"({"query":{"interests":{"history":[1]}},"group_by":"a.b[]","group_size":7,"limit":4,
          "with_payload":true,"prefetch":[{"query":1}],
          "with_lookup":{"collection":"shops","with_payload":["name"],"with_vectors":true}})",
      decode_query_groups);
  REQUIRE(decoded.status.ok());
  const GroupsRequest& request = *decoded.value;
  CHECK(request.groups.group_by.text == "a.b[]");
  CHECK(request.groups.group_size == 7);
  CHECK(request.groups.limit == 4);
  CHECK(request.groups.query.prefetch.size() == 1);
  CHECK(request.lookup->collection == "shops");
  CHECK(request.lookup->with_vector.all);
  CHECK(request.lookup->with_payload.kind == PayloadSelector::Kind::kInclude);
  const auto plain =
      decode(R"({"query":[1],"group_by":"a","with_lookup":"shops"})", decode_query_groups);
  REQUIRE(plain.status.ok());
  CHECK(plain.value->groups.group_size == 3);
  CHECK(plain.value->groups.limit == 10);
  CHECK(plain.value->lookup->with_payload.kind == PayloadSelector::Kind::kAll);
  CHECK(plain.value->lookup->with_vector.none());
  const auto text_of = [](const std::string& body) {
    return decode(body, decode_query_groups).status.message();
  };
  using Catch::Contains;
  CHECK_THAT(text_of(R"({"query":[1]})"), Contains("group_by"));
  CHECK_THAT(text_of(R"({"query":[1],"group_by":"a["})"), Contains("group_by"));
  CHECK_THAT(text_of(R"({"query":[1],"group_by":"a","group_size":0})"),
             Contains("internal.group_size: value 0 invalid, must be 1 or larger"));
  CHECK_THAT(text_of(R"({"query":{"interests":{"history":[1]}},"group_by":"a","limit":0})"),
             Contains("internal.limit: value 0 invalid, must be 1 or larger"));
  CHECK_THAT(text_of(R"({"query":[1],"group_by":"a","with_lookup":{}})"), Contains("collection"));
}

TEST_CASE("decode interests: a limit of 0 asks for the profile, and is refused elsewhere",
          "[unit]") {
  CHECK(good(R"({"query":{"interests":{"history":[1]}},"limit":0})").limit == 0);
  for (const char* body : {R"({"query":[1],"limit":0})", R"({"limit":0})",
                           R"({"query":{"refine":{"query":{"interests":{"history":[1]}}}},
                               "limit":0})"}) {
    CHECK(decode(body, decode_query).status.message() ==
          "Validation error in JSON body: [internal.limit: value 0 invalid, must be 1 or larger]");
  }
}

TEST_CASE("decode interests: a history clustered by itself, with or without a threshold",
          "[unit]") {
  using retrieval::Clustering;
  CHECK(good_interests(R"("history":[1])").clustering == Clustering::kGlobal);
  const auto plain = good_interests(R"("history":[1],"clustering":"ward")");
  CHECK(plain.clustering == Clustering::kWard);
  CHECK_FALSE(plain.ward_threshold);
  const auto cut = good_interests(R"("history":[1],"clustering":{"ward":{"threshold":0.5}})");
  CHECK(cut.clustering == Clustering::kWard);
  CHECK(cut.ward_threshold == 0.5);
  CHECK(good_interests(R"("history":[1],"clustering":{"ward":{}})").clustering ==
        Clustering::kWard);
  const auto text_of = [](const std::string& clustering) {
    const std::string body =
        R"({"query":{"interests":{"history":[1],"clustering":)" + clustering + "}}}";
    return decode(body, decode_query).status.message();
  };
  using Catch::Contains;
  CHECK_THAT(text_of("\"kmeans\""), Contains("interests.clustering"));
  CHECK_THAT(text_of("7"), Contains("interests.clustering"));
  CHECK_THAT(text_of("{}"), Contains("interests.clustering"));
  CHECK_THAT(text_of(R"({"ward":{"treshold":1}})"), Contains("treshold"));
  CHECK_THAT(text_of(R"({"ward":{"threshold":-1}})"), Contains("clustering.ward.threshold"));
}

TEST_CASE("decode interests: diversity by similarity or by category", "[unit]") {
  const auto mmr = [](const std::string& members) {
    const auto query = good_interests(R"("history":[1],"diversity":{"mmr":{)" + members + "}}");
    CHECK_FALSE(query.category_field);
    return *query.diversity;
  };
  CHECK(std::get<retrieval::Mmr>(mmr("").rule).lambda == 0.5);
  CHECK(std::get<retrieval::Mmr>(mmr(R"("lambda":0.25)").rule).lambda == 0.25);
  CHECK(std::get<retrieval::Mmr>(mmr(R"("diversity":0.25)").rule).lambda == 0.75);
  CHECK(mmr("").candidates == 0);
  CHECK(mmr(R"("candidates":500)").candidates == 500);
  const auto category = good_interests(
      R"("history":[1],"diversity":{"category":{"field":"a.b[]","lambda":0.1,"candidates":7}})");
  CHECK(std::get<retrieval::CategoryPenalty>(category.diversity->rule).lambda == 0.1);
  CHECK(category.diversity->candidates == 7);
  CHECK(category.category_field->text == "a.b[]");
  CHECK_FALSE(good_interests(R"("history":[1],"diversity":null)").diversity);
  const auto text_of = [](const std::string& diversity) {
    const std::string body =
        R"({"query":{"interests":{"history":[1],"diversity":)" + diversity + "}}}";
    return decode(body, decode_query).status.message();
  };
  using Catch::Contains;
  CHECK_THAT(text_of("{}"), Contains("exactly one of `mmr` and `category`"));
  CHECK_THAT(text_of(R"({"dpp":{}})"), Contains("dpp"));
  CHECK_THAT(text_of(R"({"mmr":{"lambda":2}})"), Contains("diversity.mmr.lambda"));
  CHECK_THAT(text_of(R"({"mmr":{"lambda":1,"diversity":0}})"), Contains("at most one of"));
  CHECK_THAT(text_of(R"({"mmr":{"candidates":0}})"), Contains("diversity.mmr.candidates"));
  CHECK_THAT(text_of(R"({"mmr":{"candidates":10001}})"), Contains("diversity.mmr.candidates"));
  CHECK_THAT(text_of(R"({"category":{"lambda":1}})"), Contains("field"));
  CHECK_THAT(text_of(R"({"category":{"field":"a"}})"), Contains("lambda"));
  CHECK_THAT(text_of(R"({"category":{"field":"a[","lambda":1}})"), Contains("category.field"));
  CHECK_THAT(text_of(R"({"category":{"field":"a","lambda":-1}})"), Contains("category.lambda"));
}

TEST_CASE("decode interests: half-lives in every unit", "[unit]") {
  const std::pair<const char*, double> times[] = {{"\"30d\"", 2'592'000}, {"\"12h\"", 43'200},
                                                  {"\"90m\"", 5'400},     {"\"45s\"", 45},
                                                  {"3600", 3600},         {"0.5", 0.5}};
  for (const auto& [text, seconds] : times) {
    CAPTURE(text);
    CHECK(good_interests("\"history\":[1],\"half_life\":" + std::string(text)).half_life_seconds ==
          seconds);
  }
}

TEST_CASE("decode interests: long lists are refused before they are decoded", "[unit]") {
  const auto text_of = [](const std::string& member, std::size_t count) {
    std::string body = R"({"query":{"interests":{")" + member + "\":[";
    for (std::size_t i = 0; i < count; ++i) body += i == 0 ? "\"x\"" : ",\"x\"";
    return decode(body + "]}}}", decode_query).status.message();
  };
  CHECK(text_of("history", kHistoryCountMax + 1) ==
        "Validation error in JSON body: [internal.query.interests.history: length 10001 invalid, "
        "must be 10000 or smaller]");
  CHECK(text_of("components", kComponentCountMax + 1) ==
        "Validation error in JSON body: [internal.query.interests.components: length 257 invalid, "
        "must be 256 or smaller]");
  std::string ids = "\"history\":[1";
  for (std::size_t i = 1; i < kHistoryCountMax; ++i) ids += ",1";
  CHECK(good_interests(ids + "]").history.size() == kHistoryCountMax);
}

TEST_CASE("decode refine: every strategy with its defaults and settings", "[unit]") {
  const auto plain = good_refine(R"("query":[1,2])");
  CHECK(plain.rounds == 5);
  CHECK(std::get<Floats>(std::get<VectorInput>(plain.query)) == Floats{1, 2});
  CHECK(std::get<retrieval::Explore>(plain.strategy).beta == 0.5);
  const auto explore =
      good_refine(R"("query":{"nearest":7},"rounds":100,"strategy":{"explore":{"beta":0}})");
  CHECK(std::get<PointId>(std::get<VectorInput>(explore.query)) == PointId(7));
  CHECK(explore.rounds == 100);
  CHECK(std::get<retrieval::Explore>(explore.strategy).beta == 0);
  const auto rocchio = std::get<retrieval::Rocchio>(
      good_refine(R"("query":7,"strategy":{"rocchio":{"alpha":1,"beta":0.2,"feedback":10}})")
          .strategy);
  CHECK(rocchio.alpha == 1);
  CHECK(rocchio.beta == 0.2);
  CHECK(rocchio.feedback == 10);
  const auto attention = std::get<retrieval::Attention>(
      good_refine(R"("query":7,"strategy":{"attention":{}})").strategy);
  CHECK(attention.gamma == 0.3);
  CHECK(attention.temperature == 0.1);
}

TEST_CASE("decode refine: composes with interests and a history", "[unit]") {
  const auto refine =
      good_refine(R"("query":{"interests":{"history":[1,2]}},"history":[3,[1]],"rounds":1)");
  CHECK(std::get<InterestsQuery>(refine.query).history.size() == 2);
  CHECK(refine.history.size() == 2);
  CHECK(refine.rounds == 1);
}
