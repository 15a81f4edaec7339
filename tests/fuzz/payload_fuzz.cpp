// A line with a path, a line with changes, then a payload -> merge, remove, select, extract. What
// comes out is in the stored form, and removing and selecting do what they say.

#include <algorithm>

#include "engine/payload.h"
#include "tests/fuzz/seeds.h"

namespace tessera::fuzz {
namespace {

using engine::PayloadPath;
using engine::PayloadSelector;
using index::PayloadIndexType;

constexpr PayloadIndexType kTypes[] = {PayloadIndexType::kKeyword, PayloadIndexType::kInteger,
                                       PayloadIndexType::kFloat, PayloadIndexType::kBool,
                                       PayloadIndexType::kDatetime};

/// The stored form parses and stays as it is, so it keeps to the limit of depth too.
std::string stored(const Result<std::string>& payload) {
  TESSERA_ASSERT(payload.has_value());
  const Result<std::string> again = engine::canonical_payload(*payload);
  TESSERA_ASSERT(again.has_value());
  TESSERA_ASSERT(*again == *payload);
  return *payload;
}

void check_merge(const std::string& payload, std::string_view changes,
                 const std::optional<PayloadPath>& key) {
  const Result<std::string> merged = engine::merge_payload(payload, changes, key);
  if (merged.has_value()) {
    const std::string once = stored(merged);
    // Doing it again changes nothing, unless an element number means another place by now.
    if (!key) TESSERA_ASSERT(*engine::merge_payload(once, changes, key) == once);
    return;
  }
  const Code code = merged.error().code();
  TESSERA_ASSERT(code == Code::kFormat || code == Code::kInvalidArgument);
}

void check_path(const std::string& payload, const PayloadPath& path) {
  const auto select = [&](const std::string& from, PayloadSelector::Kind kind) {
    return stored(engine::select_payload(from, {kind, {path}}));
  };
  const std::string removed = stored(engine::remove_payload_keys(payload, {path}));
  TESSERA_ASSERT(select(payload, PayloadSelector::Kind::kExclude) == removed);
  const std::string included = select(payload, PayloadSelector::Kind::kInclude);
  TESSERA_ASSERT(select(payload, PayloadSelector::Kind::kAll) == payload);

  const bool has_element_number = std::any_of(
      path.steps.begin(), path.steps.end(),
      [](const PayloadPath::Step& step) { return step.kind == PayloadPath::Step::Kind::kElement; });
  for (const PayloadIndexType type : kTypes) {
    const auto values = engine::extract_values(payload, path, type);
    TESSERA_ASSERT(values.has_value());
    if (has_element_number) continue;
    TESSERA_ASSERT(*engine::extract_values(included, path, type) == *values);
    TESSERA_ASSERT(engine::extract_values(removed, path, type)->empty());
  }
  if (has_element_number) return;
  TESSERA_ASSERT(stored(engine::remove_payload_keys(removed, {path})) == removed);
  TESSERA_ASSERT(select(included, PayloadSelector::Kind::kInclude) == included);
}

void check_payload(std::string_view input) {
  std::string_view text = input;
  const Result<PayloadPath> path = engine::parse_payload_path(take_line(text));
  const std::string_view changes = take_line(text);
  const Result<std::string> payload = engine::canonical_payload(text);
  if (payload.has_error()) {
    const Code code = payload.error().code();
    TESSERA_ASSERT(code == Code::kFormat || code == Code::kInvalidArgument);
    return;
  }
  (void)stored(payload);
  check_merge(*payload, changes, std::nullopt);
  if (path.has_error()) return;
  check_merge(*payload, changes, *path);
  check_path(*payload, *path);
}

}  // namespace

std::vector<std::string> seeds() {
  const std::string payload =
      R"({"a":{"b":[1,{"c":2},[3,4]],"d":null},"n":-0.5e3,"t":"2026-01-05","u":"é\u0000"})";
  std::vector<std::string> inputs;
  for (const char* path :
       {"a.b", "a.b[]", "a.b[1].c", "a.b[2][0]", "a", "\"n\"", "x.y[3].z", "t"}) {
    inputs.push_back(std::string(path) + "\n{\"k\":[true,18446744073709551616]}\n" + payload);
  }
  inputs.push_back("\n[]\n{}");
  return inputs;
}

}  // namespace tessera::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  tessera::fuzz::check_payload(tessera::fuzz::text_of(data, size));
  return 0;
}
