#include "bench/support/http_suite.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "bench/support/connection.h"

namespace tessera::bench {
namespace {

using nlohmann::json;

constexpr std::size_t kBatchRowCount = 100;
constexpr std::size_t kEfMax = 2048;
constexpr unsigned kLoadConnectionCount = 2;
constexpr std::size_t kInterestCount = 5;
constexpr std::size_t kBucketCount = 10;
constexpr char kQueryTarget[] = "/collections/bench/points/query";
constexpr char kFilter[] = R"("filter": {"must": [{"key": "bucket", "match": {"value": "b3"}}]})";

json parse(const std::string& text) {
  json document = json::parse(text, nullptr, false);
  if (document.is_discarded()) throw Failure("not JSON: " + text.substr(0, 200));
  return document;
}

std::string ef_params(std::size_t ef) {
  return R"("params": {"hnsw_ef": )" + std::to_string(ef) + "}";
}

std::string connections_label(unsigned count) {
  return std::to_string(count) + (count == 1 ? " connection" : " connections");
}

}  // namespace

HttpSuite::HttpSuite(Daemon& daemon, Workload& workload, const Effort& effort, const Watch& watch,
                     Report& report)
    : daemon_(daemon),
      workload_(workload),
      effort_(effort),
      watch_(watch),
      report_(report),
      empty_resident_bytes_(daemon.resident_bytes()) {}

std::string HttpSuite::call(const std::string& method, const std::string& target,
                            const std::string& body) const {
  return Connection(daemon_.port()).send_ok(http_request(method, target, body));
}

void HttpSuite::create_collection(const std::string& name, bool is_indexed) const {
  json body;
  body["vectors"] = {{"size", workload_.rows.dim}, {"distance", metric_name(workload_.metric)}};
  body["hnsw_config"] = {{"m", 16}, {"ef_construct", 100}};
  if (!is_indexed) body["optimizers_config"] = {{"indexing_threshold", 0}};
  call("PUT", "/collections/" + name, body.dump());
}

std::vector<std::string> HttpSuite::upsert_requests(const std::string& collection,
                                                    std::size_t row_count) const {
  const std::string target = "/collections/" + collection + "/points?wait=true";
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

/// Sends each request once (seconds 0), or round and round.
HttpSuite::Measured HttpSuite::run(const std::vector<std::string>& requests, unsigned connections,
                                   double seconds) const {
  std::vector<std::shared_ptr<Connection>> opened(connections);
  const double cpu_start = daemon_.cpu_seconds();
  const LoopOptions options = {connections, requests.size(), seconds};
  Measured measured;
  measured.rate = run_closed_loop(watch_, options, [&](unsigned thread) {
    opened[thread] = std::make_shared<Connection>(daemon_.port());
    return [&requests, connection = opened[thread]](std::size_t item) {
      connection->send_ok(requests[item]);
    };
  });
  measured.daemon_cpu_us = (daemon_.cpu_seconds() - cpu_start) * 1e6 /
                           static_cast<double>(std::max<std::size_t>(1, measured.rate.count));
  return measured;
}

void HttpSuite::measure_upserts() {
  const std::size_t row_count = std::min(effort_.upsert_row_count, workload_.rows.row_count);
  const auto requests = upsert_requests("upserts", row_count);
  for (const unsigned connections : kConnectionCounts) {
    say_progress("upserts over " + connections_label(connections));
    create_collection("upserts", false);
    const Measured measured = run(requests, connections, 0);
    call("DELETE", "/collections/upserts", "");
    const std::string key = "connections_" + std::to_string(connections);
    const std::string label = "batches of 100, wait=true, " + connections_label(connections);
    report_.add("upsert", {key + "_rows_per_s", label,
                           static_cast<double>(row_count) / measured.rate.seconds, "rows/s", 0});
    report_.add("upsert", {key + "_p99_ms", "  p99 of a batch", measured.rate.p99_ms, "ms", 1});
    report_.add("upsert", {key + "_daemon_cpu_us", "  CPU of the daemon, a row",
                           measured.daemon_cpu_us / kBatchRowCount, "us", 1});
  }
}

bool HttpSuite::is_settled() const {
  const json info = parse(call("GET", "/collections/bench", ""))["result"];
  if (info["status"] == "red") throw Failure("the collection's status is red");
  return info["status"] == "green" && info["indexed_vectors_count"] == workload_.rows.row_count;
}

void HttpSuite::load() {
  say_progress("loading " + std::to_string(workload_.rows.row_count) + " rows");
  create_collection("bench", true);
  call("PUT", "/collections/bench/index?wait=true",
       R"({"field_name": "bucket", "field_schema": "keyword"})");
  const double cpu_start = daemon_.cpu_seconds();
  const auto start = Watch::Clock::now();
  {
    const auto requests = upsert_requests("bench", workload_.rows.row_count);
    const auto serialised = Watch::Clock::now();
    run(requests, kLoadConnectionCount, 0);
    report_.add("upsert", {"load_s", "all rows, 2 connections, while they are being indexed",
                           seconds_since(serialised), "s", 1});
    // The rest, too few for a graph by the default settings, is to be indexed too.
    call("PATCH", "/collections/bench", R"({"optimizers_config": {"indexing_threshold": 1}})");
    say_progress("waiting until all rows are indexed");
    while (!is_settled()) watch_.wait(std::chrono::milliseconds(50));
    report_.add("upsert", {"indexed_s", "from the first upsert until every row is indexed",
                           seconds_since(serialised), "s", 1});
  }
  // Segments are merged once writes have paused; that is done when nothing happens for a while.
  auto quiet_since = Watch::Clock::now();
  double cpu_before = daemon_.cpu_seconds();
  while (seconds_since(quiet_since) < 2) {
    watch_.wait(std::chrono::milliseconds(250));
    const double cpu_now = daemon_.cpu_seconds();
    if (!is_settled() || cpu_now - cpu_before > 0.1) quiet_since = Watch::Clock::now();
    cpu_before = cpu_now;
  }
  say_progress("indexed, merged and quiet after " +
               std::to_string(static_cast<int>(seconds_since(start))) + " s");
  report_.add("upsert", {"load_cpu_s", "CPU of the daemon for loading, indexing and merging",
                         daemon_.cpu_seconds() - cpu_start, "s", 1});
  add_memory("loaded", "after loading");
}

void HttpSuite::add_memory(const std::string& key, const std::string& label) const {
  const double rows = static_cast<double>(workload_.rows.row_count);
  const double raw = static_cast<double>(workload_.rows.dim * sizeof(float));
  const double grown =
      static_cast<double>(daemon_.resident_bytes()) - static_cast<double>(empty_resident_bytes_);
  report_.add("memory", {key + "_bytes_per_vector", "resident bytes a vector, " + label,
                         grown / rows, "bytes", 0});
  report_.add("memory",
              {key + "_over_raw", "  over its raw float32 bytes", grown / rows / raw, "x", 2});
}

std::vector<std::string> HttpSuite::query_requests(std::size_t query_count,
                                                   const std::string& rest) const {
  std::vector<std::string> requests;
  for (std::size_t i = 0; i < std::min(query_count, workload_.queries.row_count); ++i) {
    std::string body = R"({"query": )";
    append_vector(body, workload_.queries.row(i), workload_.queries.dim);
    requests.push_back(http_request("POST", kQueryTarget, body + ", " + rest + "}"));
  }
  return requests;
}

std::vector<std::string> HttpSuite::interest_requests(std::size_t query_count,
                                                      std::size_t ef) const {
  std::vector<std::string> requests;
  for (std::size_t i = 0; i < query_count; ++i) {
    std::string body = R"({"query": {"interests": {"components": [)";
    for (std::size_t part = 0; part < kInterestCount; ++part) {
      const std::size_t query = (i * kInterestCount + part) % workload_.queries.row_count;
      body += part == 0 ? R"({"vector": )" : R"(, {"vector": )";
      append_vector(body, workload_.queries.row(query), workload_.queries.dim);
      body += R"(, "weight": )" + std::to_string(kInterestCount - part) + "}";
    }
    body += R"(]}}, "limit": 100, )" + ef_params(ef) + "}";
    requests.push_back(http_request("POST", kQueryTarget, body));
  }
  return requests;
}

std::vector<std::vector<std::uint32_t>> HttpSuite::found_ids(
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

double HttpSuite::recall_at(std::size_t ef) const {
  return workload_.recall(found_ids(query_requests(effort_.recall_query_count, ef_params(ef))));
}

std::size_t HttpSuite::smallest_ef(double recall) const {
  std::size_t low = kRecallK, high = kRecallK;
  while (recall_at(high) < recall) {
    if (high >= kEfMax) throw Failure("the recall wanted is not reached with ef 2048");
    low = high + 1;
    high = std::min(high * 2, kEfMax);
  }
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (recall_at(middle) < recall) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return high;
}

void HttpSuite::add_rate(const std::string& group, const std::string& key, const std::string& label,
                         const Measured& measured) const {
  report_.add(group, {key + "_per_s", label, measured.rate.per_second, "queries/s", 0});
  report_.add(group, {key + "_p50_ms", "    p50", measured.rate.p50_ms, "ms", 3});
  report_.add(group, {key + "_p99_ms", "    p99", measured.rate.p99_ms, "ms", 3});
  report_.add(group, {key + "_daemon_cpu_us", "    CPU of the daemon, a query",
                      measured.daemon_cpu_us, "us", 0});
}

std::vector<QueryFigures> HttpSuite::measure_queries() {
  std::vector<QueryFigures> all;
  for (const double target : kRecallTargets) {
    QueryFigures figures;
    figures.ef = smallest_ef(target);
    figures.recall = recall_at(figures.ef);
    const std::string key = "recall_" + std::to_string(static_cast<int>(target * 100 + 0.5));
    const std::string name = "recall@10 >= 0." + key.substr(7);
    report_.add("query", {key + "_ef", name + ": hnsw_ef", static_cast<double>(figures.ef), "", 0});
    report_.add("query", {key + "_recall", "  recall@10 measured", figures.recall, "", 4});
    const auto requests = query_requests(workload_.queries.row_count, ef_params(figures.ef));
    for (std::size_t i = 0; i < std::size(kConnectionCounts); ++i) {
      const unsigned connections = kConnectionCounts[i];
      say_progress("queries at recall " + key.substr(7) + " % over " +
                   connections_label(connections));
      const Measured measured = run(requests, connections, effort_.seconds);
      figures.per_second[i] = measured.rate.per_second;
      if (i == 0) figures.daemon_cpu_us = measured.daemon_cpu_us;
      add_rate("query", key + "_connections_" + std::to_string(connections),
               "  " + connections_label(connections), measured);
    }
    all.push_back(figures);
  }
  return all;
}

void HttpSuite::find_truth() {
  say_progress("exact answers to " + std::to_string(effort_.recall_query_count) + " queries");
  const auto exact =
      found_ids(query_requests(effort_.recall_query_count, R"("params": {"exact": true})"));
  workload_.bounds = workload_.bounds_of(exact);
}

void HttpSuite::measure_special(std::size_t ef) {
  say_progress("filtered queries");
  const std::string filtered = ef_params(ef) + ", " + kFilter;
  const auto exact = found_ids(query_requests(
      effort_.recall_query_count, R"("params": {"exact": true}, )" + std::string(kFilter)));
  const auto found = found_ids(query_requests(effort_.recall_query_count, filtered));
  const double recall = workload_.recall(found, workload_.bounds_of(exact));
  const std::size_t count = workload_.queries.row_count;
  const Measured one = run(query_requests(count, filtered), 1, effort_.seconds);
  add_rate("special", "filtered", "keyword filter that 10 % of the rows pass, limit 10", one);
  report_.add("special", {"filtered_recall", "    recall@10", recall, "", 4});

  say_progress("interests");
  const Measured plain =
      run(query_requests(count, R"("limit": 100, )" + ef_params(ef)), 1, effort_.seconds);
  const Measured interests = run(interest_requests(count, ef), 1, effort_.seconds);
  add_rate("special", "plain_100", "plain query, limit 100", plain);
  add_rate("special", "interests", "interests, 5 components, limit 100", interests);
  report_.add_ratio("ratio", "interests_over_plain_cpu",
                    "CPU of 5 interests, limit 100 / a plain query, limit 100",
                    interests.daemon_cpu_us, plain.daemon_cpu_us);
  report_.add_ratio("ratio", "interests_over_plain",
                    "time of 5 interests, limit 100 / a plain query, limit 100",
                    plain.rate.per_second, interests.rate.per_second);
}

void HttpSuite::check_answers_after_restart() const {
  const json count = parse(call("POST", "/collections/bench/points/count", "{}"));
  if (count["result"]["count"] != workload_.rows.row_count) {
    throw Failure("points are missing after a restart: " + count.dump());
  }
  if (!is_settled()) throw Failure("a restart has lost indexes");
}

void HttpSuite::measure_restarts() {
  say_progress("restarts");
  const double stop_seconds = daemon_.stop();
  const double start_seconds = daemon_.start();
  check_answers_after_restart();
  daemon_.kill();
  const double recovery_seconds = daemon_.start();
  check_answers_after_restart();
  report_.add("restart", {"stop_s", "SIGTERM until the process is gone", stop_seconds, "s", 2});
  report_.add("restart", {"start_s", "start until /readyz answers 200", start_seconds, "s", 2});
  report_.add("restart", {"recovery_s", "the same after SIGKILL", recovery_seconds, "s", 2});
  run(query_requests(workload_.queries.row_count, ef_params(100)), 2, 1);
  add_memory("restarted", "after a restart and a second of queries");
}

}  // namespace tessera::bench
