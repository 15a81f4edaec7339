#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tessera::metrics {

using Labels = std::map<std::string, std::string>;

/// A value that only grows. Thread rule: safe from any thread.
class Counter {
 public:
  virtual ~Counter() = default;
  virtual void add(double amount = 1) = 0;
};
/// A value that goes up and down. Thread rule: safe from any thread.
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void set(double value) = 0;
  virtual void add(double amount) = 0;
};
/// Counts of observations by bucket. Thread rule: safe from any thread.
class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void observe(double value) = 0;
};

/// All metrics of one daemon. A metric lives as long as its registry; asking again for the same
/// name and labels gives the same object. Names are snake_case with a unit last, prefix "tessera_".
/// Thread rule: safe from any thread; keep the reference, the lookup takes a lock.
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  Counter& counter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  /// `bounds`: upper bucket bounds, ascending; the last bucket (+Inf) is implied.
  Histogram& histogram(const std::string& name, const std::string& help,
                       const std::vector<double>& bounds, const Labels& labels = {});
  /// Prometheus text exposition format 0.0.4.
  [[nodiscard]] std::string expose() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Bucket bounds for request and job times, in seconds: 0.5 ms to 60 s.
const std::vector<double>& latency_bounds_seconds();

}  // namespace tessera::metrics
