#include "base/metrics.h"

#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

namespace tessera::metrics {
namespace {

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST_CASE("metrics: counters, gauges and histograms are exposed as Prometheus text", "[unit]") {
  Registry registry;
  registry.counter("tessera_writes_total", "Writes answered.", {{"kind", "upsert"}}).add(2);
  registry.counter("tessera_writes_total", "Writes answered.", {{"kind", "delete"}}).add();
  Gauge& gauge = registry.gauge("tessera_segments", "Open segments.");
  gauge.set(7);
  gauge.add(-3);
  Histogram& histogram = registry.histogram("tessera_wait_seconds", "Waits.", {0.1, 1});
  histogram.observe(0.05);
  histogram.observe(0.5);
  histogram.observe(5);

  const std::string text = registry.expose();
  CAPTURE(text);
  CHECK(has_line(text, "# HELP tessera_writes_total Writes answered."));
  CHECK(has_line(text, "# TYPE tessera_writes_total counter"));
  CHECK(has_line(text, "tessera_writes_total{kind=\"upsert\"} 2"));
  CHECK(has_line(text, "tessera_writes_total{kind=\"delete\"} 1"));
  CHECK(has_line(text, "tessera_segments 4"));
  CHECK(has_line(text, "tessera_wait_seconds_bucket{le=\"0.1\"} 1"));
  CHECK(has_line(text, "tessera_wait_seconds_bucket{le=\"1\"} 2"));
  CHECK(has_line(text, "tessera_wait_seconds_bucket{le=\"+Inf\"} 3"));
  CHECK(has_line(text, "tessera_wait_seconds_count 3"));
}

TEST_CASE("metrics: the same name and labels give the same metric", "[unit]") {
  Registry registry;
  Counter& first = registry.counter("tessera_a_total", "A.", {{"x", "1"}});
  CHECK(&registry.counter("tessera_a_total", "A.", {{"x", "1"}}) == &first);
  CHECK(&registry.counter("tessera_a_total", "A.", {{"x", "2"}}) != &first);
  CHECK(&registry.histogram("tessera_b_seconds", "B.", latency_bounds_seconds()) ==
        &registry.histogram("tessera_b_seconds", "B.", latency_bounds_seconds()));
}

TEST_CASE("metrics: label values are escaped", "[unit]") {
  Registry registry;
  registry.gauge("tessera_rows", "Rows.", {{"collection", "a\"b\\c\nd"}}).set(1);
  CHECK(has_line(registry.expose(), R"(tessera_rows{collection="a\"b\\c\nd"} 1)"));
}

TEST_CASE("metrics: counting from several threads loses nothing", "[unit]") {
  Registry registry;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&registry, t] {
      for (int i = 0; i < 1000; ++i) {
        registry.counter("tessera_n_total", "N.").add();
        registry.gauge("tessera_g", "G.", {{"thread", std::to_string(t)}}).add(1);
        if (i % 100 == 0) (void)registry.expose();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(has_line(registry.expose(), "tessera_n_total 4000"));
  CHECK(has_line(registry.expose(), "tessera_g{thread=\"3\"} 1000"));
}

TEST_CASE("metrics: the bounds of times ascend from half a millisecond to a minute", "[unit]") {
  const std::vector<double>& bounds = latency_bounds_seconds();
  CHECK(std::is_sorted(bounds.begin(), bounds.end()));
  CHECK(bounds.front() == 0.0005);
  CHECK(bounds.back() == 60);
}

}  // namespace
}  // namespace tessera::metrics
