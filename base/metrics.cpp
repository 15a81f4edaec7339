#include "base/metrics.h"

#include <exception>
#include <utility>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"

namespace tessera::metrics {
namespace {

class PrometheusCounter final : public Counter {
 public:
  explicit PrometheusCounter(prometheus::Counter& counter) : counter_(counter) {}
  void add(double amount) override { counter_.Increment(amount); }

 private:
  prometheus::Counter& counter_;
};

class PrometheusGauge final : public Gauge {
 public:
  explicit PrometheusGauge(prometheus::Gauge& gauge) : gauge_(gauge) {}
  void set(double value) override { gauge_.Set(value); }
  void add(double amount) override { gauge_.Increment(amount); }

 private:
  prometheus::Gauge& gauge_;
};

class PrometheusHistogram final : public Histogram {
 public:
  explicit PrometheusHistogram(prometheus::Histogram& histogram) : histogram_(histogram) {}
  void observe(double value) override { histogram_.Observe(value); }

 private:
  prometheus::Histogram& histogram_;
};

template <class Metric>
using Table = std::map<std::pair<std::string, Labels>, std::unique_ptr<Metric>>;

/// The metric of that name and labels, made by `make` on the first request. A name that Prometheus
/// refuses, or one used for two kinds of metric, is a bug of the caller.
template <class Metric, class Make>
Metric& find_or_make(Table<Metric>& table, const std::string& name, const Labels& labels,
                     const Make& make) {
  const auto found = table.find({name, labels});
  if (found != table.end()) return *found->second;
  try {
    return *table.emplace(std::pair(name, labels), make()).first->second;
  } catch (const std::exception& error) {
    log::error("metric refused", {{"name", name}, {"reason", error.what()}});
  }
  assertion_failed("a metric has a valid name, used for one kind only", __FILE__, __LINE__);
}

}  // namespace

struct Registry::Impl {
  prometheus::Registry registry;  // Locks itself.
  mutable Mutex mutex;
  Table<Counter> counters TESSERA_GUARDED_BY(mutex);
  Table<Gauge> gauges TESSERA_GUARDED_BY(mutex);
  Table<Histogram> histograms TESSERA_GUARDED_BY(mutex);
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

Counter& Registry::counter(const std::string& name, const std::string& help, const Labels& labels) {
  const Lock lock(impl_->mutex);
  return find_or_make(impl_->counters, name, labels, [&] {
    auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry);
    return std::make_unique<PrometheusCounter>(family.Add(labels));
  });
}

Gauge& Registry::gauge(const std::string& name, const std::string& help, const Labels& labels) {
  const Lock lock(impl_->mutex);
  return find_or_make(impl_->gauges, name, labels, [&] {
    auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry);
    return std::make_unique<PrometheusGauge>(family.Add(labels));
  });
}

Histogram& Registry::histogram(const std::string& name, const std::string& help,
                               const std::vector<double>& bounds, const Labels& labels) {
  const Lock lock(impl_->mutex);
  return find_or_make(impl_->histograms, name, labels, [&] {
    auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->registry);
    return std::make_unique<PrometheusHistogram>(
        family.Add(labels, prometheus::Histogram::BucketBoundaries(bounds)));
  });
}

std::string Registry::expose() const {
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

const std::vector<double>& latency_bounds_seconds() {
  static const std::vector<double> bounds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                             0.25,   0.5,   1,      2.5,   5,    10,    30,   60};
  return bounds;
}

}  // namespace tessera::metrics
