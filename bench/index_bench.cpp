// HNSW beside stock FAISS: build time and queries per second against recall@10, both with the same
// M and efConstruction, in the same run.
//
//   index_bench --data mnist|clustered|text-768 [--rows N] [--queries N] [--threads N] [--json]
//               [--skip-stock]
//
// Building uses --threads threads (2), searching one. "clustered" is 200,000 x 128 unit vectors
// around 1,000 centres. Speeds at recall 0.95 and 0.99 are interpolated between the measured ef.
// Speeds and the comparison of builds go by CPU time, which other programs on the machine disturb
// less than the wall clock; on an idle machine a search's two times are the same.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include <faiss/IndexHNSW.h>
#include <omp.h>

#include "index/ann_index.h"
#include "index/kernels.h"
#include "tests/datasets/dataset.h"

namespace {

using namespace tessera;
using testing::Matrix;

constexpr std::size_t kK = 10;
constexpr std::uint32_t kM = 16;
constexpr std::uint32_t kEfConstruct = 100;
constexpr double kRecallLevels[] = {0.95, 0.99};
constexpr std::size_t kEfs[] = {10, 12, 14, 16,  20,  24,  32,  40,
                                48, 64, 96, 128, 192, 256, 384, 512};

struct Arguments {
  std::string data = "clustered";
  std::size_t row_count_max = 200000;
  std::size_t query_count = 1000;
  unsigned thread_count = 2;
  bool is_json = false;
  bool has_stock = true;
};

struct DataSet {
  Metric metric = Metric::kEuclid;
  Matrix rows;
  Matrix queries;
  std::vector<std::vector<float>> bounds;  ///< A query's k-th smallest distance is the last.
};

struct Point {
  std::size_t ef = 0;
  double recall = 0;
  double queries_per_second = 0;
};

struct Outcome {
  double build_seconds = 0;      ///< By the wall clock.
  double build_cpu_seconds = 0;  ///< Of all threads together.
  std::size_t memory_bytes = 0;
  std::vector<Point> points;
};

/// CPU time that all threads of the process have used.
double cpu_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

[[noreturn]] void fail(const std::string& message) {
  std::cerr << "index_bench: " << message << "\n";
  std::exit(1);
}

template <class Value>
Value value_or_fail(Result<Value> result) {
  if (result.has_error()) fail(result.error().to_string());
  return std::move(*result);
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= argc) fail(name + " needs a value");
      return argv[++i];
    };
    const auto number = [&] {
      const std::string text = value();
      char* end = nullptr;
      const unsigned long parsed = std::strtoul(text.c_str(), &end, 10);
      if (parsed == 0 || *end != '\0') fail(name + ": \"" + text + "\" is not a positive number");
      return parsed;
    };
    if (name == "--data") {
      arguments.data = value();
    } else if (name == "--rows") {
      arguments.row_count_max = number();
    } else if (name == "--queries") {
      arguments.query_count = number();
    } else if (name == "--threads") {
      arguments.thread_count = static_cast<unsigned>(number());
    } else if (name == "--json") {
      arguments.is_json = true;
    } else if (name == "--skip-stock") {
      arguments.has_stock = false;
    } else {
      fail("unknown argument " + name);
    }
  }
  return arguments;
}

index::VectorSpan span_of(const Matrix& matrix) {
  return {matrix.values.data(), matrix.row_count, matrix.dim};
}

DataSet load_vectors(const Arguments& arguments) {
  DataSet data;
  if (arguments.data == "clustered") {
    testing::ClusterShape shape;
    shape.row_count = arguments.row_count_max;
    shape.dim = 128;
    shape.cluster_count = 1000;
    shape.spread = 0.5F;
    shape.is_unit = true;
    data.rows = testing::clustered_rows(shape);
    shape.row_count = arguments.query_count;
    shape.sample = 1;
    data.queries = testing::clustered_rows(shape);
    return data;
  }
  const auto directory = testing::data_directory();
  if (!directory) fail("there is no data directory; set TESSERA_DATA_DIR");
  if (arguments.data == "mnist") {
    data.rows = value_or_fail(
        testing::read_idx_images(*directory / "mnist" / "train-images-reconstructed-idx3-ubyte.gz",
                                 arguments.row_count_max));
    data.queries = value_or_fail(testing::read_idx_images(
        *directory / "mnist" / "t10k-images-idx3-ubyte.gz", arguments.query_count));
  } else if (arguments.data == "text-768") {
    data.metric = Metric::kCosine;
    data.rows = value_or_fail(
        testing::read_npy(*directory / "text-768" / "base.npy", arguments.row_count_max));
    data.queries = value_or_fail(
        testing::read_npy(*directory / "text-768" / "queries.npy", arguments.query_count));
    for (Matrix* matrix : {&data.rows, &data.queries}) {
      for (std::size_t i = 0; i < matrix->row_count; ++i) {
        index::normalise({matrix->row(i), matrix->dim});
      }
    }
  } else {
    fail("--data: \"" + arguments.data + "\" is not one of mnist, clustered, text-768");
  }
  return data;
}

using SearchFunction = std::function<void(const float*, std::size_t, std::vector<std::uint32_t>&)>;

SearchFunction searcher_of(const index::AnnIndex& ann) {
  return [&ann](const float* query, std::size_t ef, std::vector<std::uint32_t>& found) {
    std::vector<index::RowHit> hits;
    index::SearchStats stats;
    index::SearchOptions options;
    options.k = kK;
    options.ef = ef;
    if (const Status status = ann.search(query, options, {}, hits, stats); !status.ok()) {
      fail(status.to_string());
    }
    for (const index::RowHit& hit : hits) found.push_back(hit.row);
  };
}

/// True distances of the nearest kK rows of each query, by an exact scan.
void compute_truth(DataSet& data) {
  index::IndexSpec spec;
  spec.type = index::IndexType::kFlat;
  const auto flat = value_or_fail(index::build_index(spec, data.metric, span_of(data.rows), {}));
  for (std::size_t q = 0; q < data.queries.row_count; ++q) {
    std::vector<index::RowHit> hits;
    index::SearchStats stats;
    index::SearchOptions options;
    options.k = kK;
    if (!flat->search(data.queries.row(q), options, {}, hits, stats).ok()) fail("exact scan");
    std::vector<float>& bounds = data.bounds.emplace_back();
    for (const index::RowHit& hit : hits) bounds.push_back(hit.distance);
  }
}

Point measure(const DataSet& data, std::size_t ef, const SearchFunction& search) {
  std::vector<std::vector<std::uint32_t>> found(data.queries.row_count);
  // Warms caches, and repeats short runs until the clock can be trusted.
  std::vector<std::uint32_t> ignored;
  search(data.queries.row(0), ef, ignored);
  std::size_t run_count = 0;
  const double start = cpu_seconds();
  do {
    for (std::size_t q = 0; q < data.queries.row_count; ++q) {
      found[q].clear();
      search(data.queries.row(q), ef, found[q]);
    }
    ++run_count;
  } while (cpu_seconds() - start < 0.5);
  const double seconds = cpu_seconds() - start;
  std::size_t near_count = 0;
  for (std::size_t q = 0; q < data.queries.row_count; ++q) {
    for (const std::uint32_t row : found[q]) {
      const float distance =
          index::distance(data.metric, data.queries.row(q), data.rows.row(row), data.rows.dim);
      near_count += distance <= data.bounds[q].back() ? 1 : 0;
    }
  }
  Point point;
  point.ef = ef;
  point.recall = static_cast<double>(near_count) / static_cast<double>(data.queries.row_count * kK);
  point.queries_per_second = static_cast<double>(run_count * data.queries.row_count) / seconds;
  return point;
}

std::vector<Point> measure_all(const DataSet& data, const SearchFunction& search) {
  std::vector<Point> points;
  for (const std::size_t ef : kEfs) {
    points.push_back(measure(data, ef, search));
    if (points.back().recall >= 0.998) break;
  }
  return points;
}

/// Speed at `recall`, log-linear between the two points around it.
std::optional<double> speed_at(const std::vector<Point>& points, double recall) {
  for (std::size_t i = 1; i < points.size(); ++i) {
    const Point &a = points[i - 1], &b = points[i];
    if (a.recall > recall || b.recall < recall || a.recall == b.recall) continue;
    const double share = (recall - a.recall) / (b.recall - a.recall);
    return std::exp(std::log(a.queries_per_second) * (1 - share) +
                    std::log(b.queries_per_second) * share);
  }
  if (!points.empty() && points.front().recall >= recall) {
    return points.front().queries_per_second;
  }
  return std::nullopt;
}

Outcome run_ours(const DataSet& data, const Arguments& arguments) {
  index::IndexSpec spec;
  spec.m = kM;
  spec.ef_construct = kEfConstruct;
  index::BuildControl control;
  control.thread_count = arguments.thread_count;
  Outcome outcome;
  const double cpu_start = cpu_seconds();
  const auto start = std::chrono::steady_clock::now();
  const auto built =
      value_or_fail(index::build_index(spec, data.metric, span_of(data.rows), control));
  outcome.build_seconds = seconds_since(start);
  outcome.build_cpu_seconds = cpu_seconds() - cpu_start;
  outcome.memory_bytes = built->memory_bytes();
  outcome.points = measure_all(data, searcher_of(*built));
  return outcome;
}

Outcome run_stock(const DataSet& data, const Arguments& arguments) {
  omp_set_num_threads(static_cast<int>(arguments.thread_count));
  faiss::IndexFlat storage(
      static_cast<faiss::Index::idx_t>(data.rows.dim),
      data.metric == Metric::kEuclid ? faiss::METRIC_L2 : faiss::METRIC_INNER_PRODUCT);
  faiss::IndexHNSW hnsw(&storage, kM);
  hnsw.hnsw.efConstruction = kEfConstruct;
  Outcome outcome;
  const double cpu_start = cpu_seconds();
  const auto start = std::chrono::steady_clock::now();
  hnsw.add(static_cast<faiss::Index::idx_t>(data.rows.row_count), data.rows.values.data());
  outcome.build_seconds = seconds_since(start);
  outcome.build_cpu_seconds = cpu_seconds() - cpu_start;
  outcome.memory_bytes = hnsw.hnsw.neighbors.capacity() * sizeof(hnsw.hnsw.neighbors[0]) +
                         hnsw.hnsw.offsets.capacity() * sizeof(hnsw.hnsw.offsets[0]) +
                         hnsw.hnsw.levels.capacity() * sizeof(hnsw.hnsw.levels[0]);
  omp_set_num_threads(1);
  const SearchFunction search = [&hnsw](const float* query, std::size_t ef,
                                        std::vector<std::uint32_t>& found) {
    float distances[kK];
    faiss::Index::idx_t labels[kK];
    hnsw.hnsw.efSearch = static_cast<int>(ef);
    hnsw.search(1, query, kK, distances, labels);
    for (const auto label : labels) {
      if (label >= 0) found.push_back(static_cast<std::uint32_t>(label));
    }
  };
  outcome.points = measure_all(data, search);
  return outcome;
}

void print_table(const char* name, const Outcome& outcome, std::size_t row_count) {
  std::printf("%s: build %.1f s (CPU %.1f s), links %.1f bytes a row\n", name,
              outcome.build_seconds, outcome.build_cpu_seconds,
              static_cast<double>(outcome.memory_bytes) / static_cast<double>(row_count));
  std::printf("  %6s %10s %12s\n", "ef", "recall@10", "queries/s");
  for (const Point& point : outcome.points) {
    std::printf("  %6zu %10.4f %12.0f\n", point.ef, point.recall, point.queries_per_second);
  }
}

void print_comparison(const Outcome& ours, const Outcome& stock) {
  std::printf("build: %.2f of stock's CPU time\n",
              ours.build_cpu_seconds / stock.build_cpu_seconds);
  for (const double level : kRecallLevels) {
    const auto a = speed_at(ours.points, level), b = speed_at(stock.points, level);
    if (!a || !b) {
      std::printf("recall %.2f: not reached by %s\n", level, a ? "stock" : "ours");
      continue;
    }
    std::printf("recall %.2f: ours %.0f/s, stock %.0f/s, %.2f x\n", level, *a, *b, *a / *b);
  }
}

void print_json(const char* name, const Outcome& outcome) {
  std::printf(
      "\"%s\": {\"build_seconds\": %.3f, \"build_cpu_seconds\": %.3f, \"memory_bytes\": %zu, "
      "\"points\": [",
      name, outcome.build_seconds, outcome.build_cpu_seconds, outcome.memory_bytes);
  for (std::size_t i = 0; i < outcome.points.size(); ++i) {
    const Point& point = outcome.points[i];
    std::printf("%s{\"ef\": %zu, \"recall\": %.5f, \"queries_per_second\": %.1f}",
                i == 0 ? "" : ", ", point.ef, point.recall, point.queries_per_second);
  }
  std::printf("]}");
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  index::initialise_libraries();
  DataSet data = load_vectors(arguments);
  if (data.rows.row_count < kK) fail("--rows: fewer rows than neighbours are asked for");
  compute_truth(data);
  const Outcome ours = run_ours(data, arguments);
  const std::optional<Outcome> stock =
      arguments.has_stock ? std::optional(run_stock(data, arguments)) : std::nullopt;
  if (arguments.is_json) {
    std::printf("{\"data\": \"%s\", \"rows\": %zu, \"dim\": %zu, \"cpu\": \"%s\", ",
                arguments.data.c_str(), data.rows.row_count, data.rows.dim, index::cpu_level());
    print_json("ours", ours);
    if (stock) {
      std::printf(", ");
      print_json("stock", *stock);
    }
    std::printf("}\n");
    return 0;
  }
  std::printf("%s: %zu x %zu, %s, M %u, efConstruction %u, %u build threads, CPU level %s\n",
              arguments.data.c_str(), data.rows.row_count, data.rows.dim, metric_name(data.metric),
              kM, kEfConstruct, arguments.thread_count, index::cpu_level());
  print_table("ours", ours, data.rows.row_count);
  if (stock) {
    print_table("stock FAISS", *stock, data.rows.row_count);
    print_comparison(ours, *stock);
  }
  return 0;
}
