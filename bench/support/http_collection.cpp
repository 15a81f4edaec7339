#include "bench/support/http_collection.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <nlohmann/json.hpp>

#include "bench/support/connection.h"

namespace tessera::bench {
namespace {

using nlohmann::json;

constexpr std::size_t kBucketCount = 10;

json parse(const std::string& text) {
  json document = json::parse(text, nullptr, false);
  if (document.is_discarded()) throw Failure("not JSON: " + text.substr(0, 200));
  return document;
}

}  // namespace

std::string ef_params(std::size_t ef) {
  return R"("params": {"hnsw_ef": )" + std::to_string(ef) + "}";
}

std::string connections_text(unsigned count) {
  return std::to_string(count) + (count == 1 ? " connection" : " connections");
}

HttpCollection::HttpCollection(const Daemon& daemon, const Workload& workload, const Watch& watch,
                               const std::string& name)
    : daemon_(daemon), workload_(workload), watch_(watch), path_("/collections/" + name) {}

std::string HttpCollection::call(const std::string& method, const std::string& target,
                                 const std::string& body) const {
  return Connection(daemon_.port()).send_ok(http_request(method, path_ + target, body));
}

std::string HttpCollection::request(const std::string& target, const std::string& body) const {
  return http_request("POST", path_ + target, body);
}

void HttpCollection::create(const GraphShape& shape, bool is_indexed) const {
  json body;
  body["vectors"] = {{"size", workload_.rows.dim}, {"distance", metric_name(workload_.metric)}};
  body["hnsw_config"] = {{"m", shape.m}, {"ef_construct", shape.ef_construct}};
  if (!is_indexed) body["optimizers_config"] = {{"indexing_threshold", 0}};
  call("PUT", "", body.dump());
}

void HttpCollection::remove() const {
  call("DELETE", "", "");
}

std::vector<std::string> HttpCollection::upsert_requests(std::size_t row_count) const {
  const std::string target = path_ + "/points?wait=true";
  std::vector<std::string> requests;
  for (std::size_t begin = 0; begin < row_count; begin += kBatchRowCount) {
    std::string body = R"({"points":[)";
    for (std::size_t row = begin; row < std::min(begin + kBatchRowCount, row_count); ++row) {
      if (row > begin) body += ',';
      body += R"({"id":)" + std::to_string(row) + R"(,"payload":{"bucket":"b)" +
              std::to_string(row % kBucketCount) + R"("},"vector":)";
      append_vector(body, workload_.rows.row(row), workload_.rows.dim);
      body += '}';
    }
    requests.push_back(http_request("PUT", target, body + "]}"));
  }
  return requests;
}

std::vector<std::string> HttpCollection::query_requests(const std::string& rest) const {
  std::vector<std::string> requests;
  for (std::size_t i = 0; i < workload_.queries.row_count; ++i) {
    std::string body = R"({"query": )";
    append_vector(body, workload_.queries.row(i), workload_.queries.dim);
    requests.push_back(http_request("POST", path_ + "/points/query", body + ", " + rest + "}"));
  }
  return requests;
}

std::vector<std::string> HttpCollection::interest_requests(std::size_t interest_count,
                                                           const std::string& rest) const {
  std::vector<std::string> requests;
  for (std::size_t i = 0; i < workload_.queries.row_count; ++i) {
    std::string body = R"({"query": {"interests": {"components": [)";
    for (std::size_t part = 0; part < interest_count; ++part) {
      const std::size_t query = (i * interest_count + part) % workload_.queries.row_count;
      body += part == 0 ? R"({"vector": )" : R"(, {"vector": )";
      append_vector(body, workload_.queries.row(query), workload_.queries.dim);
      body += R"(, "weight": )" + std::to_string(interest_count - part) + "}";
    }
    body += "]}}, " + rest + "}";
    requests.push_back(http_request("POST", path_ + "/points/query", body));
  }
  return requests;
}

std::vector<std::vector<std::uint32_t>> HttpCollection::found_ids(
    const std::vector<std::string>& requests) const {
  Connection connection(daemon_.port());
  std::vector<std::vector<std::uint32_t>> found(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    watch_.check();
    const json answer = parse(connection.send_ok(requests[i]));
    for (const json& point : answer["result"]["points"]) {
      const auto id = point["id"].get<std::uint32_t>();
      if (id >= workload_.rows.row_count) throw Failure("an answer holds an id never stored");
      found[i].push_back(id);
    }
  }
  return found;
}

bool HttpCollection::is_settled() const {
  const json info = parse(call("GET", "", ""))["result"];
  if (info["status"] == "red") throw Failure("the collection's status is red");
  return info["status"] == "green" && info["indexed_vectors_count"] == workload_.rows.row_count;
}

void HttpCollection::wait_until_settled() const {
  while (!is_settled()) watch_.wait(std::chrono::milliseconds(50));
}

void HttpCollection::wait_until_quiet() const {
  constexpr double kQuietSeconds = 2;
  constexpr double kNoticedCpuSeconds = 0.1;
  auto quiet_since = Watch::Clock::now();
  double cpu_before = daemon_.cpu_seconds();
  while (seconds_since(quiet_since) < kQuietSeconds) {
    watch_.wait(std::chrono::milliseconds(250));
    const double cpu_now = daemon_.cpu_seconds();
    if (!is_settled() || cpu_now - cpu_before > kNoticedCpuSeconds) {
      quiet_since = Watch::Clock::now();
    }
    cpu_before = cpu_now;
  }
}

HttpRate HttpCollection::run(const std::vector<std::string>& requests, unsigned connections,
                             double seconds) const {
  std::vector<std::shared_ptr<Connection>> opened(connections);
  const LoopOptions options = {connections, requests.size(), seconds};
  const double cpu_start = daemon_.cpu_seconds();
  HttpRate result;
  result.rate = run_closed_loop(watch_, options, [&](unsigned thread) {
    opened[thread] = std::make_shared<Connection>(daemon_.port());
    return [&requests, connection = opened[thread]](std::size_t item) {
      connection->send_ok(requests[item]);
    };
  });
  result.daemon_cpu_us = (daemon_.cpu_seconds() - cpu_start) * 1e6 /
                         static_cast<double>(std::max<std::size_t>(1, result.rate.count));
  return result;
}

}  // namespace tessera::bench
