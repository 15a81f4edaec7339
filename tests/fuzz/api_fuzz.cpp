// A line "METHOD target", then the body -> the service over the fake database of tests/api. Every
// answer is well-formed, none is a 500, and padding behind the body changes nothing.

#include <fstream>
#include <sstream>

#include "tests/api/support.h"
#include "tests/datasets/source_tree.h"
#include "tests/fuzz/seeds.h"

namespace tessera::fuzz {
namespace {

using api::Answer;
using api::Method;

constexpr std::size_t kPaddingBytes = 64;

Method method_named(std::string_view name) {
  static constexpr std::pair<std::string_view, Method> kMethods[] = {
      {"GET", Method::kGet},        {"HEAD", Method::kHead},   {"POST", Method::kPost},
      {"PUT", Method::kPut},        {"PATCH", Method::kPatch}, {"DELETE", Method::kDelete},
      {"OPTIONS", Method::kOptions}};
  for (const auto& [text, method] : kMethods) {
    if (name == text) return method;
  }
  return Method::kOther;
}

/// The service with its collection "c" as new, whatever the request before did.
class Target {
 public:
  Target() : collection_(under_test_.database.collections.at("c")) {}

  Answer ask(Method method, std::string_view target, std::string_view body,
             std::size_t padding_bytes) {
    reset();
    Answer answer = send({.method = method,
                          .target = target,
                          .content_type = "application/json",
                          .body = body,
                          .body_padding_bytes = padding_bytes});
    check_collections();
    return answer;
  }

 private:
  Answer send(const api::HttpRequest& request) {
    const api::HttpResponse response = under_test_.service.handle(request);
    const Answer answer = {response.status, response.body, response.content_type, response.headers};
    TESSERA_ASSERT(answer.status >= 200 && answer.status < 600 && answer.status != 500);
    if (answer.content_type != "application/json") return answer;
    TESSERA_ASSERT(api::is_json(answer.body));
    if (answer.status >= 400) {
      TESSERA_ASSERT(answer.error() != "<no error>" && !answer.error().empty());
      TESSERA_ASSERT(answer.at("/time") != "<none>");
      TESSERA_ASSERT(answer.at("/result") == "<none>");
    }
    return answer;
  }

  /// Whatever was created can be shown.
  void check_collections() {
    for (const std::string& name : under_test_.database.collection_names()) {
      if (name == "c") continue;
      std::string target = "/collections/";
      constexpr const char* kDigits = "0123456789ABCDEF";
      for (const unsigned char byte : name) {
        target += {'%', kDigits[byte / 16], kDigits[byte % 16]};
      }
      TESSERA_ASSERT(send({.method = Method::kGet, .target = target}).status == 200);
    }
  }

  void reset() {
    *collection_ = api::FakeCollection("c");
    const engine::Record record = {
        PointId(1), R"({"city":"Berlin","sizes":[1,2.5,null]})", {{"", {1, 2}}, {"image", {3}}}};
    collection_->records = {record, {*PointId::parse_uuid(kUuid), {}, {}}};
    collection_->next_offset = PointId(2);
    collection_->query_answer.points = {
        {.record = record, .version = 3, .score = 0.5F, .interest = {{1, 0, 0.5F}}, .round = 2}};
    collection_->query_answer.interests = {{.component = 1, .weight = 1, .quota = 1}};
    under_test_.database.collections = {{"c", collection_}};
    under_test_.database.updates.clear();
    under_test_.database.cancelled.clear();
    under_test_.database.job_list = {{.id = 1, .kind = "index", .collection = "c"}};
  }

  static constexpr std::string_view kUuid = "550e8400-e29b-41d4-a716-446655440000";
  api::ServiceUnderTest under_test_;
  const std::shared_ptr<api::FakeCollection> collection_;
};

void check_request(std::string_view input) {
  static Target service;
  std::string_view body = input;
  const std::string_view head = take_line(body);
  const std::size_t space = head.find(' ');
  const Method method = method_named(head.substr(0, space));
  const std::string_view target =
      space == std::string_view::npos ? std::string_view() : head.substr(space + 1);
  const Answer bare = service.ask(method, target, body, 0);

  // What lies behind the body must not be read as a part of it.
  const std::string padded_body = std::string(body) + std::string(kPaddingBytes, '1');
  const Answer padded = service.ask(
      method, target, std::string_view(padded_body).substr(0, body.size()), kPaddingBytes);
  TESSERA_ASSERT(padded.status == bare.status);
  if (bare.status >= 400) TESSERA_ASSERT(padded.error() == bare.error());
}

/// Requests of two lines, head and body. Those of tests/api have a third and an empty one.
void read_requests(const std::string& path, std::vector<std::string>& requests) {
  std::ifstream file(testing::source_tree().string() + path);
  TESSERA_ASSERT(file.is_open());
  for (std::string head, body, other; std::getline(file, head) && std::getline(file, body);) {
    std::istringstream words(head);
    std::string method, target;
    words >> method >> target;
    requests.push_back(method + " " + target + "\n" + (body == "<none>" ? "" : body));
    while (std::getline(file, other) && !other.empty()) {
    }
  }
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> requests;
  read_requests("/tests/fuzz/requests.txt", requests);
  for (const char* name : {"targets", "collections", "points", "filters", "queries"}) {
    read_requests("/tests/api/malformed/" + std::string(name) + ".txt", requests);
  }
  return requests;
}

}  // namespace tessera::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  tessera::fuzz::check_request(tessera::fuzz::text_of(data, size));
  return 0;
}
