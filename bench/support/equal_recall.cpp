#include "bench/support/equal_recall.h"

#include <algorithm>
#include <utility>

namespace tessera::bench {
namespace {

constexpr std::size_t kEfMax = 2048;

class HttpContender final : public Contender {
 public:
  HttpContender(const HttpCollection& collection, std::vector<unsigned> connection_counts)
      : Contender("http", "over HTTP", std::move(connection_counts)), collection_(collection) {}

  double recall_at(std::size_t ef) override {
    return collection_.workload().recall(
        collection_.found_ids(collection_.query_requests(ef_params(ef))));
  }

  LaneRate run(std::size_t ef, unsigned lane, double seconds) override {
    const HttpRate rate = collection_.run(collection_.query_requests(ef_params(ef)), lane, seconds);
    return {rate.rate.per_second, rate.daemon_cpu_us > 0 ? 1e6 / rate.daemon_cpu_us : 0,
            rate.rate.p50_ms, rate.rate.p99_ms};
  }

 private:
  const HttpCollection& collection_;
};

class InProcessContender final : public Contender {
 public:
  InProcessContender(std::string key, std::string name, std::unique_ptr<Searcher> searcher,
                     const Workload& workload, const Watch& watch)
      : Contender(std::move(key), std::move(name), {1, 2}),
        searcher_(std::move(searcher)),
        workload_(workload),
        watch_(watch) {}

  double recall_at(std::size_t ef) override {
    searcher_->set_knobs({ef, 1, false});
    std::vector<std::vector<std::uint32_t>> found(workload_.queries.row_count);
    for (std::size_t q = 0; q < found.size(); ++q) {
      searcher_->search(workload_.queries.row(q), found[q]);
    }
    return workload_.recall(found);
  }

  LaneRate run(std::size_t ef, unsigned lane, double seconds) override {
    searcher_->set_knobs({ef, 1, false});
    std::vector<std::vector<std::uint32_t>> found(lane);
    const Rate rate =
        run_closed_loop(watch_, {lane, workload_.queries.row_count, seconds}, [&](unsigned thread) {
          return [this, &target = found[thread]](std::size_t item) {
            searcher_->search(workload_.queries.row(item), target);
          };
        });
    return {rate.per_second, rate.cpu_us > 0 ? 1e6 / rate.cpu_us : 0, rate.p50_ms, rate.p99_ms};
  }

 private:
  const std::unique_ptr<Searcher> searcher_;
  const Workload& workload_;
  const Watch& watch_;
};

/// Remembers what was found with each ef.
class RecallBook {
 public:
  RecallBook(Contender& contender, const Watch& watch) : contender_(contender), watch_(watch) {}

  double at(std::size_t ef) {
    watch_.check();
    const auto known = recalls_.find(ef);
    if (known != recalls_.end()) return known->second;
    return recalls_[ef] = contender_.recall_at(ef);
  }

  std::size_t smallest_ef(double recall) {
    std::size_t low = kRecallK, high = kRecallK;
    while (at(high) < recall) {
      if (high >= kEfMax) {
        throw Failure(contender_.name + ": recall " + std::to_string(recall) +
                      " is not reached with ef 2048");
      }
      low = high + 1;
      high = std::min(high * 2, kEfMax);
    }
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (at(middle) < recall) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return high;
  }

 private:
  Contender& contender_;
  const Watch& watch_;
  std::map<std::size_t, double> recalls_;
};

/// Measures with the ef that reaches the recall and with the one before it.
void run_lane(Contender& contender, RecallBook& book, const Level& level, unsigned lane,
              double seconds, LevelFigures& figures) {
  const bool has_lower = figures.ef > kRecallK;
  const double share = has_lower ? seconds / 2 : seconds;
  const LaneRate reached = contender.run(figures.ef, lane, share);
  std::vector<CurvePoint> speeds = {{figures.recall, reached.per_second}};
  std::vector<CurvePoint> cpu_speeds = {{figures.recall, reached.per_cpu_second}};
  if (has_lower) {
    const double recall = book.at(figures.ef - 1);
    const LaneRate lower = contender.run(figures.ef - 1, lane, share);
    speeds.push_back({recall, lower.per_second});
    cpu_speeds.push_back({recall, lower.per_cpu_second});
  }
  LevelFigures::Lane& target = figures.lanes[lane];
  target.per_second.push_back(speed_at(speeds, level.recall).value_or(0));
  target.per_cpu_second.push_back(speed_at(cpu_speeds, level.recall).value_or(0));
  target.p50_ms.push_back(reached.p50_ms);
  target.p99_ms.push_back(reached.p99_ms);
}

std::string percent(double recall) {
  return std::to_string(static_cast<int>(recall * 100 + 0.5));
}

}  // namespace

std::unique_ptr<Contender> http_contender(const HttpCollection& collection,
                                          std::vector<unsigned> connection_counts) {
  return std::make_unique<HttpContender>(collection, std::move(connection_counts));
}

std::unique_ptr<Contender> in_process_contender(std::string key, std::string name,
                                                std::unique_ptr<Searcher> searcher,
                                                const Workload& workload, const Watch& watch) {
  return std::make_unique<InProcessContender>(std::move(key), std::move(name), std::move(searcher),
                                              workload, watch);
}

std::vector<Level> race_at_equal_recall(const std::vector<std::unique_ptr<Contender>>& contenders,
                                        const EqualRecallOptions& options, const Watch& watch) {
  std::vector<RecallBook> books;
  double common = 0;
  for (const auto& contender : contenders) {
    say_progress("recall " + contender->name);
    books.emplace_back(*contender, watch);
    common = std::max(common, books.back().at(kRecallK));
  }
  std::vector<Level> levels;
  for (const double recall : with_common(options.recalls, common)) {
    const bool is_common = levels.size() == options.recalls.size();
    levels.push_back({is_common ? "common" : percent(recall), recall, {}});
  }

  for (Level& level : levels) {
    std::size_t lane_count = 0;
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      LevelFigures figures;
      figures.ef = books[i].smallest_ef(level.recall);
      figures.recall = books[i].at(figures.ef);
      level.figures.push_back(std::move(figures));
      lane_count = std::max(lane_count, contenders[i]->lanes.size());
    }
    for (std::size_t round = 0; round < options.round_count; ++round) {
      say_progress("speeds at recall " + std::to_string(level.recall).substr(0, 5) + ", round " +
                   std::to_string(round + 1) + " of " + std::to_string(options.round_count));
      for (std::size_t lane = 0; lane < lane_count; ++lane) {
        for (std::size_t i = 0; i < contenders.size(); ++i) {
          if (lane >= contenders[i]->lanes.size()) continue;
          run_lane(*contenders[i], books[i], level, contenders[i]->lanes[lane],
                   options.slice_seconds, level.figures[i]);
        }
      }
    }
  }
  return levels;
}

}  // namespace tessera::bench
