// The products beside plain loops, for every shape their blocks and panels can take.

#include "adapter/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

namespace tessera::adapter {
namespace {

constexpr std::uint64_t kSeed = 11;

Values random_values(std::size_t count, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  Values values(count);
  for (float& value : values) value = normal(random);
  return values;
}

struct Case {
  std::size_t out = 0;
  std::size_t in = 0;
  std::size_t row_count = 0;
};

/// The first value that is not W x + b, or -1. A value behind the last row has to stay as it is.
std::ptrdiff_t first_wrong(const Case& shape, std::mt19937_64& random) {
  const auto [out, in, row_count] = shape;
  const Values weight = random_values(out * in, random);
  const Values bias = random_values(out, random);
  const Values rows = random_values(row_count * in, random);
  const Linear linear = make_linear(out, in, weight, bias);
  constexpr float kUntouched = 12345;
  Values products(row_count * out + 1, kUntouched);
  kernels().apply(linear, rows.data(), row_count, products.data());
  if (products.back() != kUntouched) return static_cast<std::ptrdiff_t>(row_count * out);
  Values alone(out);
  for (std::size_t row = 0; row < row_count; ++row) {
    kernels().apply(linear, rows.data() + row * in, 1, alone.data());
    for (std::size_t column = 0; column < out; ++column) {
      double sum = bias[column];
      double size = std::fabs(sum);
      for (std::size_t k = 0; k < in; ++k) {
        const double part = double{weight[column * in + k]} * rows[row * in + k];
        sum += part;
        size += std::fabs(part);
      }
      const float product = products[row * out + column];
      const bool is_right = std::fabs(product - sum) <= 1e-6 * size;
      if (!is_right || product != alone[column]) {
        return static_cast<std::ptrdiff_t>(row * out + column);
      }
    }
  }
  return -1;
}

TEST_CASE("adapter kernels: products are those of loops, whatever rows are beside each other") {
  CAPTURE(kSeed);
  std::mt19937_64 random(kSeed);
  for (const std::size_t out : {1, 31, 32, 33, 64, 96, 100, 128, 160, 224, 250}) {
    for (const std::size_t in : {1, 7, 64}) {
      for (std::size_t row_count = 0; row_count <= 40; ++row_count) {
        CAPTURE(out, in, row_count);
        REQUIRE(first_wrong({out, in, row_count}, random) == -1);
      }
    }
  }
}

TEST_CASE("adapter kernels: a softmax is that of a loop and touches nothing else") {
  CAPTURE(kSeed);
  std::mt19937_64 random(kSeed);
  for (std::size_t count = 1; count <= 70; ++count) {
    CAPTURE(count);
    const Values values = random_values(count + 1, random);
    const float scale = 3;
    Values made = values;
    kernels().softmax(made.data(), count, scale);
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += std::exp(double{scale} * values[i]);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const double expected = std::exp(double{scale} * values[i]) / sum;
      if (!(std::fabs(made[i] - expected) <= 1e-5 * expected)) ++wrong;
    }
    REQUIRE(wrong == 0);
    REQUIRE(made[count] == values[count]);
  }
}

/// Attention of one query, a value after the other.
std::vector<double> attended(const AttentionHead& head, std::size_t query) {
  const std::size_t seen = head.key_count - head.query_count + query + 1;
  std::vector<double> weights;
  double total = 0;
  for (std::size_t j = 0; j < seen; ++j) {
    double product = 0;
    for (std::size_t d = 0; d < head.dim; ++d) {
      product += double{head.query[query * head.query_stride + d]} *
                 double{head.key[j * head.key_stride + d]};
    }
    weights.push_back(std::exp(product / std::sqrt(static_cast<double>(head.dim))));
    total += weights.back();
  }
  std::vector<double> out(head.dim, 0);
  for (std::size_t j = 0; j < seen; ++j) {
    for (std::size_t d = 0; d < head.dim; ++d) {
      out[d] += weights[j] / total * double{head.value[j * head.key_stride + d]};
    }
  }
  return out;
}

/// Values that are not those of loops, and values beside the head's that were touched.
std::size_t wrong_count(std::size_t dim, std::size_t query_count, std::size_t key_count,
                        std::mt19937_64& random) {
  constexpr float kUntouched = 12345;
  const std::size_t stride = dim + 3;
  const Values queries = random_values(query_count * stride, random);
  const Values keys = random_values(key_count * stride, random);
  const Values values = random_values(key_count * stride, random);
  Values out(query_count * stride, kUntouched);
  Values scratch;
  const AttentionHead head{queries.data(), stride,    query_count, keys.data(), values.data(),
                           stride,         key_count, dim,         out.data(),  stride};
  kernels().attend(head, scratch);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < query_count; ++i) {
    const auto expected = attended(head, i);
    for (std::size_t d = 0; d < stride; ++d) {
      const float made = out[i * stride + d];
      const bool is_right = d < dim ? std::fabs(made - expected[d]) <= 1e-5 : made == kUntouched;
      if (!is_right) ++wrong;
    }
  }
  return wrong;
}

TEST_CASE("adapter kernels: attention sees no later key, whatever the shapes") {
  CAPTURE(kSeed);
  std::mt19937_64 random(kSeed);
  for (const std::size_t dim : {1, 7, 8, 16, 21}) {
    for (std::size_t key_count = 1; key_count <= 50; ++key_count) {
      for (const std::size_t query_count :
           {std::size_t{1}, std::min<std::size_t>(5, key_count), (key_count + 1) / 2, key_count}) {
        CAPTURE(dim, query_count, key_count);
        REQUIRE(wrong_count(dim, query_count, key_count, random) == 0);
      }
    }
  }
}

}  // namespace
}  // namespace tessera::adapter
