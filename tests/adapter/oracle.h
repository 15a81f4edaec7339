#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "tests/adapter/made_adapter.h"

namespace tessera::adapter::testing {

/// The formulas of docs/adapters.md, word for word and in double precision: one person, one value
/// at a time, nothing kept from one round to the next.
class Oracle {
 public:
  using Row = std::vector<double>;
  using Rows = std::vector<Row>;

  Oracle(const MadeAdapter& made, MadeShape shape, double eps = 1e-12)
      : made_(made), shape_(std::move(shape)), eps_(eps) {}

  /// u_t from the history, oldest first, the items of rounds 1..t-1 and u_1..u_(t-1).
  [[nodiscard]] Row vector(Rows history, const std::vector<Rows>& rounds,
                           const Rows& vectors) const {
    if (history.size() > shape_.max_history) {
      history.erase(history.begin(),
                    history.end() - static_cast<std::ptrdiff_t>(shape_.max_history));
    }
    Rows context;
    for (const Rows& round : rounds) {
      for (Row& f : filtered(round)) context.push_back(std::move(f));
    }
    if (!context.empty()) {
      for (Row& h : history) h = attended(h, context);
    }
    const Row v = encoded(history);
    if (vectors.empty()) return v;
    Row memory(shape_.dim, 0);
    for (const Row& u : vectors) memory = gru_step("gru", u, memory);
    Row joined = v;
    joined.insert(joined.end(), memory.begin(), memory.end());
    Row hidden = linear("fuse.hidden", joined);
    for (double& value : hidden) value = std::max(value, 0.0);
    return norm("fuse.norm", sum(linear("fuse.output", hidden), v));
  }

 private:
  [[nodiscard]] const std::vector<float>& tensor(const std::string& name) const {
    return made_.tensors.at(name).values;
  }
  static Row sum(Row a, const Row& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
  }
  static double dot(const Row& a, const Row& b) {
    double total = 0;
    for (std::size_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
    return total;
  }
  [[nodiscard]] Row product(const std::string& weight, const Row& x) const {
    const auto& w = tensor(weight);
    Row y(w.size() / x.size(), 0);
    for (std::size_t i = 0; i < y.size(); ++i) {
      for (std::size_t j = 0; j < x.size(); ++j) y[i] += w[i * x.size() + j] * x[j];
    }
    return y;
  }
  [[nodiscard]] Row biased(const std::string& bias, Row y) const {
    const auto found = made_.tensors.find(bias);
    if (found == made_.tensors.end()) return y;
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += found->second.values[i];
    return y;
  }
  [[nodiscard]] Row linear(const std::string& name, const Row& x) const {
    return biased(name + ".bias", product(name + ".weight", x));
  }
  [[nodiscard]] Row norm(const std::string& name, Row x) const {
    double mean = 0;
    for (const double value : x) mean += value / static_cast<double>(x.size());
    double variance = 0;
    for (const double value : x) {
      variance += (value - mean) * (value - mean) / static_cast<double>(x.size());
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = (x[i] - mean) / std::sqrt(variance + eps_) * tensor(name + ".weight")[i] +
             tensor(name + ".bias")[i];
    }
    return x;
  }
  static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
  [[nodiscard]] Row gru_step(const std::string& name, const Row& x, const Row& state) const {
    const Row input = biased(name + ".bias_ih", product(name + ".weight_ih", x));
    const Row gates = biased(name + ".bias_hh", product(name + ".weight_hh", state));
    const std::size_t hidden = state.size();
    Row next(hidden);
    for (std::size_t i = 0; i < hidden; ++i) {
      const double reset = sigmoid(input[i] + gates[i]);
      const double update = sigmoid(input[hidden + i] + gates[hidden + i]);
      const double fresh = std::tanh(input[2 * hidden + i] + reset * gates[2 * hidden + i]);
      next[i] = (1 - update) * fresh + update * state[i];
    }
    return next;
  }

  /// A round padded to K, its filter, and of that the places of real items.
  [[nodiscard]] Rows filtered(Rows items) const {
    const std::size_t size = shape_.context_size;
    if (items.size() > size) items.resize(size);
    const std::size_t real = items.size();
    items.resize(size, Row(shape_.dim, 0));
    Rows result;
    for (std::size_t n = 0; n < real; ++n) {
      Row z(shape_.dim, 0);
      for (std::size_t m = 0; m < size; ++m) {
        for (std::size_t d = 0; d < shape_.dim; ++d) {
          z[d] += tensor("filter.kernel")[((n + size - m) % size) * shape_.dim + d] * items[m][d];
        }
      }
      result.push_back(norm("filter.norm", sum(linear("filter.linear", z), items[n])));
    }
    return result;
  }

  /// The values by the softmax of scale * (query . key).
  static Row weighted(const Row& query, const Rows& keys, const Rows& values, double scale) {
    std::vector<double> weights;
    double largest = -1e300;
    for (const Row& key : keys) {
      weights.push_back(dot(query, key) * scale);
      largest = std::max(largest, weights.back());
    }
    double total = 0;
    for (double& weight : weights) total += weight = std::exp(weight - largest);
    Row result(values.front().size(), 0);
    for (std::size_t i = 0; i < values.size(); ++i) {
      for (std::size_t d = 0; d < result.size(); ++d) {
        result[d] += weights[i] / total * values[i][d];
      }
    }
    return result;
  }
  [[nodiscard]] Row attended(const Row& h, const Rows& context) const {
    const double scale = 1 / std::sqrt(static_cast<double>(shape_.dim));
    return norm("attention.norm", sum(weighted(h, context, context, scale), h));
  }

  [[nodiscard]] Row encoded(const Rows& history) const {
    if (shape_.backbone == "mean") {
      Row v(shape_.dim, 0);
      for (const Row& h : history) v = sum(v, h);
      for (double& value : v) value /= static_cast<double>(history.size());
      return v;
    }
    if (shape_.backbone == "gru4rec") {
      Row state(shape_.hidden, 0);
      for (const Row& h : history) state = gru_step("backbone.gru", h, state);
      return linear("backbone.dense", state);
    }
    Rows x;
    for (std::size_t i = 0; i < history.size(); ++i) {
      const std::size_t place = shape_.max_history - history.size() + i;
      Row position;
      for (std::size_t d = 0; d < shape_.dim; ++d) {
        position.push_back(tensor("backbone.position.weight")[place * shape_.dim + d]);
      }
      x.push_back(norm("backbone.norm", sum(history[i], position)));
    }
    for (std::size_t i = 0; i < shape_.layer_count; ++i) {
      x = layer("backbone.layers." + std::to_string(i), x);
    }
    return x.back();
  }

  [[nodiscard]] Rows layer(const std::string& name, const Rows& x) const {
    const std::size_t head_dim = shape_.dim / shape_.head_count;
    Rows queries, keys, values;
    for (const Row& row : x) {
      queries.push_back(linear(name + ".attention.query", row));
      keys.push_back(linear(name + ".attention.key", row));
      values.push_back(linear(name + ".attention.value", row));
    }
    const auto part = [&](const Row& row, std::size_t head) {
      const auto begin = row.begin() + static_cast<std::ptrdiff_t>(head * head_dim);
      return Row(begin, begin + static_cast<std::ptrdiff_t>(head_dim));
    };
    Rows next;
    for (std::size_t i = 0; i < x.size(); ++i) {
      Row heads;
      for (std::size_t head = 0; head < shape_.head_count; ++head) {
        Rows seen_keys, seen_values;
        for (std::size_t j = 0; j <= i; ++j) {
          seen_keys.push_back(part(keys[j], head));
          seen_values.push_back(part(values[j], head));
        }
        const Row one = weighted(part(queries[i], head), seen_keys, seen_values,
                                 1 / std::sqrt(static_cast<double>(head_dim)));
        heads.insert(heads.end(), one.begin(), one.end());
      }
      const Row a =
          norm(name + ".attention.norm", sum(linear(name + ".attention.output", heads), x[i]));
      Row inner = linear(name + ".feed_forward.inner", a);
      for (double& value : inner) value = activated(value);
      next.push_back(
          norm(name + ".feed_forward.norm", sum(linear(name + ".feed_forward.output", inner), a)));
    }
    return next;
  }
  [[nodiscard]] double activated(double x) const {
    if (shape_.activation == "relu") return std::max(x, 0.0);
    if (shape_.activation == "gelu") return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    return x * sigmoid(x);
  }

  const MadeAdapter& made_;
  const MadeShape shape_;
  const double eps_;
};

}  // namespace tessera::adapter::testing
