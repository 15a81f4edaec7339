// A line with a filter, then a payload -> decoding and matching. A filter that was decoded answers
// for every payload that can be stored, and keeps to the laws of logic.

#include "api/decode.h"
#include "engine/payload.h"
#include "tests/fuzz/seeds.h"

namespace tessera::fuzz {
namespace {

using engine::Filter;
using engine::SubFilter;

bool answer(const Filter& filter, std::string_view payload) {
  const engine::PointFacts point = {PointId(7),
                                    [](std::string_view name) { return name == "image"; }};
  const Result<bool> matched = engine::matches(filter, point, payload);
  TESSERA_ASSERT(matched.has_value());
  return *matched;
}

void check_laws(const Filter& filter, const std::string& payload) {
  const bool truth = answer(filter, payload);
  const std::vector<engine::Condition> conditions = {SubFilter{{filter}}};
  TESSERA_ASSERT(answer({.must = conditions}, payload) == truth);
  TESSERA_ASSERT(answer({.should = conditions}, payload) == truth);
  TESSERA_ASSERT(answer({.must_not = conditions}, payload) != truth);
  TESSERA_ASSERT(answer({.min_should = {{conditions, 1}}}, payload) == truth);
}

void check_filter(std::string_view input) {
  std::string_view payload = input;
  const std::string_view text = take_line(payload);
  api::Issues issues;
  const api::Document document(text, 0, issues);
  if (!document.ok()) {
    TESSERA_ASSERT(!issues.status().ok());
    return;
  }
  const Filter filter = api::decode_filter(document.root());
  if (!issues.status().ok()) return;
  const Result<std::string> stored = engine::canonical_payload(payload);
  if (stored.has_value()) {
    check_laws(filter, *stored);
    return;
  }
  // No payload: an answer or an error, but no crash.
  const engine::PointFacts point = {PointId(7), [](std::string_view) { return false; }};
  const Result<bool> matched = engine::matches(filter, point, payload);
  if (matched.has_error()) TESSERA_ASSERT(matched.error().code() == Code::kCorrupt);
}

constexpr const char* kFilters[] = {
    R"({"must":[{"key":"a","match":{"value":1}},{"key":"b.c[].d","range":{"gte":-7.5}}]})",
    R"({"should":{"key":"a[]","match":{"any":["x","y"]}}})",
    R"({"must_not":[{"key":"a","match":{"except":[1,2]}},{"is_null":{"key":"a"}}]})",
    R"({"min_should":{"conditions":[{"is_empty":{"key":"z"}},{"has_id":[7]}],"min_count":2}})",
    R"({"must":[{"nested":{"key":"b.c","filter":{"must":{"key":"d","match":{"value":1}}}}}]})",
    R"({"must":[{"key":"at","range":{"lt":"2027-01-01","gt":"2026-01-05T09:59:59+01:00"}}]})",
    R"({"must":[{"key":"a","values_count":{"gt":2}},{"has_vector":"image"}]})",
    R"({"must":[{"key":"a[2]","match":{"text":"x y"}},{"must":{"key":"a","is_null":false}}]})",
};

}  // namespace

std::vector<std::string> seeds() {
  const std::string payload =
      R"({"a":[1,2.5,"x",true,null,[3]],"b":{"c":[{"d":1},{"d":-7}]},"at":"2026-01-05T10:00:00Z"})";
  std::vector<std::string> inputs;
  for (const char* filter : kFilters) {
    inputs.push_back(std::string(filter) + "\n" + payload);
  }
  return inputs;
}

}  // namespace tessera::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  tessera::fuzz::check_filter(tessera::fuzz::text_of(data, size));
  return 0;
}
