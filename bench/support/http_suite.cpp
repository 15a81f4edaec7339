#include "bench/support/http_suite.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>

#include <nlohmann/json.hpp>

#include "bench/support/connection.h"

namespace tessera::bench {
namespace {

constexpr unsigned kUpsertConnectionCounts[] = {1, 2, 8};
constexpr unsigned kLoadConnectionCount = 2;
constexpr std::size_t kInterestCount = 8;
constexpr char kFilter[] = R"("filter": {"must": [{"key": "bucket", "match": {"value": "b3"}}]})";

/// One value of every round.
std::vector<double> each(const std::vector<HttpRate>& rounds,
                         const std::function<double(const HttpRate&)>& value) {
  std::vector<double> values;
  for (const HttpRate& rate : rounds) values.push_back(value(rate));
  return values;
}

double p50(const HttpRate& rate) {
  return rate.rate.p50_ms;
}
double p99(const HttpRate& rate) {
  return rate.rate.p99_ms;
}
double daemon_cpu(const HttpRate& rate) {
  return rate.daemon_cpu_us;
}

/// Replaces rows over one connection, round and round, until it ends. What goes wrong is thrown
/// by stop().
class Upserter {
 public:
  Upserter(const HttpCollection& collection, const std::vector<std::string>& requests)
      : thread_([this, &collection, &requests] {
          try {
            Connection connection(collection.daemon().port());
            while (!is_ending_) {
              collection.watch().check();
              connection.send_ok(requests[batch_count_ % requests.size()]);
              ++batch_count_;
            }
          } catch (...) {
            failure_ = std::current_exception();
          }
        }) {}
  ~Upserter() { is_ending_ = true; }
  Upserter(const Upserter&) = delete;
  Upserter& operator=(const Upserter&) = delete;

  /// Batches written.
  std::size_t stop() {
    is_ending_ = true;
    thread_.join();
    if (failure_) std::rethrow_exception(failure_);
    return batch_count_;
  }

 private:
  std::atomic<bool> is_ending_ = false;
  std::size_t batch_count_ = 0;
  std::exception_ptr failure_;
  std::jthread thread_;
};

}  // namespace

HttpSuite::HttpSuite(Daemon& daemon, const HttpCollection& collection, const Effort& effort,
                     const GraphShape& shape, Report& report)
    : daemon_(daemon),
      collection_(collection),
      workload_(collection.workload()),
      watch_(collection.watch()),
      effort_(effort),
      shape_(shape),
      report_(report),
      empty_resident_bytes_(daemon.resident_bytes()) {}

void HttpSuite::measure_upserts() {
  const std::size_t row_count = std::min(effort_.upsert_row_count, workload_.rows.row_count);
  const HttpCollection target(daemon_, workload_, watch_, "upserts");
  const auto requests = target.upsert_requests(row_count);
  for (const unsigned connections : kUpsertConnectionCounts) {
    say_progress("upserts over " + connections_text(connections));
    target.create(shape_, false);
    const HttpRate measured = target.run(requests, connections, 0);
    target.remove();
    const std::string key = "connections_" + std::to_string(connections);
    const std::string label = "batches of 100, wait=true, " + connections_text(connections);
    report_.add("upsert", {key + "_rows_per_s", label,
                           static_cast<double>(row_count) / measured.rate.seconds, "rows/s", 0});
    report_.add("upsert", {key + "_p99_ms", "  p99 of a batch", measured.rate.p99_ms, "ms", 1});
    report_.add("upsert", {key + "_daemon_cpu_us", "  CPU of the daemon, a row",
                           measured.daemon_cpu_us / HttpCollection::kBatchRowCount, "us", 1});
  }
}

LoadFigures HttpSuite::load() {
  say_progress("loading " + std::to_string(workload_.rows.row_count) + " rows");
  collection_.create(shape_, true);
  collection_.call("PUT", "/index?wait=true",
                   R"({"field_name": "bucket", "field_schema": "keyword"})");
  const auto requests = collection_.upsert_requests(workload_.rows.row_count);
  LoadFigures figures;
  const double cpu_start = daemon_.cpu_seconds();
  const auto start = Watch::Clock::now();
  collection_.run(requests, kLoadConnectionCount, 0);
  report_.add("upsert", {"load_s", "all rows, 2 connections, while they are being indexed",
                         seconds_since(start), "s", 1});
  // The rest, too few for a graph by the default settings, is to be indexed too.
  collection_.call("PATCH", "", R"({"optimizers_config": {"indexing_threshold": 1}})");
  say_progress("waiting until all rows are indexed");
  collection_.wait_until_settled();
  figures.indexed_seconds = seconds_since(start);
  report_.add("upsert", {"indexed_s", "from the first upsert until every row is indexed",
                         figures.indexed_seconds, "s", 1});
  // Segments are merged once writes have paused.
  collection_.wait_until_quiet();
  say_progress("indexed, merged and quiet after " +
               std::to_string(static_cast<int>(seconds_since(start))) + " s");
  figures.cpu_seconds = daemon_.cpu_seconds() - cpu_start;
  report_.add("upsert", {"load_cpu_s", "CPU of the daemon for loading, indexing and merging",
                         figures.cpu_seconds, "s", 1});
  add_memory("loaded", "after loading");
  return figures;
}

void HttpSuite::measure_cost() {
  constexpr std::size_t kTinyRowCount = 10;
  say_progress("cost of a request");
  const HttpCollection tiny(daemon_, workload_, watch_, "tiny");
  tiny.create(shape_, false);
  tiny.run(tiny.upsert_requests(kTinyRowCount), 1, 0);
  const std::vector<std::string> nothing = {http_request("GET", "/healthz", "")};
  const auto queries = tiny.query_requests(R"("limit": 10)");
  std::vector<double> idle, whole;
  for (std::size_t round = 0; round < effort_.round_count; ++round) {
    idle.push_back(tiny.run(nothing, 1, effort_.slice_seconds).daemon_cpu_us);
    whole.push_back(tiny.run(queries, 1, effort_.slice_seconds).daemon_cpu_us);
  }
  tiny.remove();
  report_.add("cost", {"request_us", "GET /healthz", median(idle), "us", 1});
  report_.add("cost", {"tiny_query_us", "query in a collection of 10 rows, limit 10", median(whole),
                       "us", 1});
  report_.add("cost",
              {"parse_and_write_us", "  parsing, planning and writing a query: the difference",
               median(whole) - median(idle), "us", 1});
}

void HttpSuite::add_rate(const std::string& group, const std::string& key, const std::string& label,
                         const std::vector<HttpRate>& rounds) const {
  const double rate = median(each(rounds, [](const HttpRate& one) { return one.rate.per_second; }));
  report_.add(group, {key + "_per_s", label, rate, "queries/s", 0});
  report_.add(group, {key + "_p50_ms", "    p50", median(each(rounds, p50)), "ms", 3});
  report_.add(group, {key + "_p99_ms", "    p99", median(each(rounds, p99)), "ms", 3});
  report_.add(group, {key + "_daemon_cpu_us", "    CPU of the daemon, a query",
                      median(each(rounds, daemon_cpu)), "us", 0});
}

void HttpSuite::measure_filtered(std::size_t ef) {
  say_progress("filtered queries");
  const auto exact = collection_.found_ids(
      collection_.query_requests(R"("params": {"exact": true}, )" + std::string(kFilter)));
  const auto requests = collection_.query_requests(ef_params(ef) + ", " + kFilter);
  const double recall =
      workload_.recall(collection_.found_ids(requests), workload_.bounds_of(exact));
  std::vector<HttpRate> rounds;
  for (std::size_t round = 0; round < effort_.round_count; ++round) {
    rounds.push_back(collection_.run(requests, 1, effort_.slice_seconds));
  }
  add_rate("special", "filtered", "keyword filter that 10 % of the rows pass, limit 10", rounds);
  report_.add("special", {"filtered_recall", "    recall@10", recall, "", 4});
}

void HttpSuite::measure_interests(std::size_t ef) {
  say_progress("interests");
  const std::string rest = R"("limit": 100, )" + ef_params(ef);
  const auto plain_requests = collection_.query_requests(rest);
  const auto interest_requests = collection_.interest_requests(kInterestCount, rest);
  std::vector<HttpRate> plain, interests;
  for (std::size_t round = 0; round < effort_.round_count; ++round) {
    plain.push_back(collection_.run(plain_requests, 1, effort_.slice_seconds));
    interests.push_back(collection_.run(interest_requests, 1, effort_.slice_seconds));
  }
  add_rate("special", "plain_100", "plain query, limit 100", plain);
  add_rate("special", "interests", "8 interests, limit 100", interests);
  report_.add_ratio("interests_p50", "8 interests, limit 100 / a plain query, limit 100: p50",
                    ratio_of(each(interests, p50), each(plain, p50)), Report::Better::kLower);
  report_.add_ratio("interests_cpu", "  the same by CPU of the daemon",
                    ratio_of(each(interests, daemon_cpu), each(plain, daemon_cpu)),
                    Report::Better::kLower);
}

void HttpSuite::measure_beside_upserts(std::size_t ef) {
  say_progress("queries beside upserts");
  const auto queries = collection_.query_requests(ef_params(ef));
  const auto upserts = collection_.upsert_requests(workload_.rows.row_count);
  std::vector<HttpRate> idle, busy;
  for (std::size_t round = 0; round < effort_.round_count; ++round) {
    idle.push_back(collection_.run(queries, 1, effort_.slice_seconds));
  }
  Upserter upserter(collection_, upserts);
  const auto start = Watch::Clock::now();
  for (std::size_t round = 0; round < effort_.round_count; ++round) {
    busy.push_back(collection_.run(queries, 1, effort_.slice_seconds));
  }
  const double seconds = seconds_since(start);
  const double row_count = static_cast<double>(upserter.stop() * HttpCollection::kBatchRowCount);
  add_rate("special", "idle", "queries, limit 10, nothing else happens", idle);
  report_.add("special", {"beside_upserts_p50_ms", "  while another client upserts: p50",
                          median(each(busy, p50)), "ms", 3});
  report_.add("special", {"beside_upserts_p99_ms", "    p99", median(each(busy, p99)), "ms", 3});
  report_.add("special", {"beside_upserts_rows_per_s", "    rows replaced meanwhile",
                          row_count / seconds, "rows/s", 0});
  report_.add_ratio("p99_beside_upserts", "p99 of queries while another client upserts / idle p99",
                    median(each(busy, p99)), median(each(idle, p99)), Report::Better::kLower);
  say_progress("waiting until the replaced rows are indexed");
  collection_.wait_until_settled();
  collection_.wait_until_quiet();
  report_.add("special", {"replaced_recall", "  recall@10 after the rows were replaced",
                          workload_.recall(collection_.found_ids(queries)), "", 4});
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

void HttpSuite::check_answers_after_restart() const {
  const auto count =
      nlohmann::json::parse(collection_.call("POST", "/points/count", "{}"), nullptr, false);
  if (count.is_discarded() || count["result"]["count"] != workload_.rows.row_count) {
    throw Failure("points are missing after a restart: " + count.dump());
  }
  if (!collection_.is_settled()) throw Failure("a restart has lost indexes");
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
  collection_.run(collection_.query_requests(ef_params(100)), 2, 1);
  add_memory("restarted", "after a restart and a second of queries");
}

}  // namespace tessera::bench
