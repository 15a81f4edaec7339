#include "adapter/backbone.h"

#include <algorithm>
#include <numeric>

#include "adapter/kernels.h"
#include "adapter/matrix.h"

namespace tessera::adapter {
namespace {

/// Values of the feed-forward layers that are kept at once, so that they stay in the cache; but
/// never so few rows that reading the weights takes longer than multiplying.
constexpr std::size_t kInnerValuesMax = 1U << 15;
constexpr std::size_t kInnerRowsMin = 64;

std::size_t total(std::span<const std::size_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

void mean(const Weights& weights, const Histories& histories, Values& out) {
  const std::size_t dim = weights.dim;
  out.assign(histories.counts.size() * dim, 0);
  const float* row = histories.rows.data();
  for (std::size_t user = 0; user < histories.counts.size(); ++user) {
    float* const sum = out.data() + user * dim;
    for (std::size_t i = 0; i < histories.counts[user]; ++i, row += dim) {
      kernels().add(sum, row, dim);
    }
    for (std::size_t d = 0; d < dim; ++d) sum[d] /= static_cast<float>(histories.counts[user]);
  }
}

/// All users go on together, each from its oldest item, until its history ends.
Status gru4rec(const Weights& weights, const Histories& histories, const Check& check,
               Scratch& scratch, Values& out) {
  const Gru& gru = weights.backbone_gru;
  const std::size_t hidden = gru.state.in;
  const std::size_t user_count = histories.counts.size();
  Values& inputs = scratch.products;
  apply(gru.input, histories.rows.data(), total(histories.counts), inputs);
  Values& states = scratch.states;
  states.assign(user_count * hidden, 0);
  const std::size_t longest = *std::max_element(histories.counts.begin(), histories.counts.end());
  for (std::size_t step = 0; step < longest; ++step) {
    TESSERA_RETURN_IF_ERROR(check());
    apply(gru.state, states.data(), user_count, scratch.gates);
    std::size_t begin = 0;
    for (std::size_t user = 0; user < user_count; begin += histories.counts[user++]) {
      if (step >= histories.counts[user]) continue;
      kernels().gru_step(inputs.data() + (begin + step) * 3 * hidden,
                         scratch.gates.data() + user * 3 * hidden, states.data() + user * hidden,
                         hidden);
    }
  }
  apply(weights.backbone_dense, states.data(), user_count, out);
  return {};
}

/// The transformer over the positions of all users at once. Only the last position of the last
/// layer is wanted, so that layer computes its keys and values for all positions and the rest for
/// the last ones.
class Transformer {
 public:
  Transformer(const Weights& weights, const Histories& histories, Scratch& scratch)
      : weights_(weights),
        counts_(histories.counts),
        row_count_(total(histories.counts)),
        dim_(weights.dim),
        head_dim_(weights.dim / weights.head_count),
        scratch_(scratch) {
    x_ = histories.rows;
    add_positions();
  }

  Status run(const Check& check, Values& out) {
    for (std::size_t i = 0; i + 1 < weights_.layers.size(); ++i) {
      TESSERA_RETURN_IF_ERROR(check());
      whole_layer(weights_.layers[i]);
    }
    TESSERA_RETURN_IF_ERROR(check());
    last_layer(weights_.layers.back(), out);
    return {};
  }

 private:
  /// norm(x + position); the newest item has the last position.
  void add_positions() {
    float* row = x_.data();
    for (const std::size_t count : counts_) {
      const float* const position =
          weights_.position.data() + (weights_.max_history - count) * dim_;
      kernels().add_and_norm(row, position, weights_.position_norm.weight.data(),
                             weights_.position_norm.bias.data(), count, dim_,
                             weights_.layer_norm_eps);
      row += count * dim_;
    }
  }

  void whole_layer(const TransformerLayer& layer) {
    apply(layer.query, x_.data(), row_count_, scratch_.gathered);
    apply(layer.key_value, x_.data(), row_count_, scratch_.products);
    Values& attended = scratch_.attended;
    fit(attended, row_count_ * dim_);
    const std::size_t stride = 2 * dim_;
    std::size_t begin = 0;
    for (const std::size_t count : counts_) {
      for (std::size_t head = 0; head < weights_.head_count; ++head) {
        const std::size_t place = begin * dim_ + head * head_dim_;
        const float* const key = scratch_.products.data() + begin * stride + head * head_dim_;
        kernels().attend({scratch_.gathered.data() + place, dim_, count, key, key + dim_, stride,
                          count, head_dim_, attended.data() + place, dim_},
                         scratch_.scores);
      }
      begin += count;
    }
    finish(layer, attended, x_, row_count_);
  }

  void last_layer(const TransformerLayer& layer, Values& out) {
    const std::size_t user_count = counts_.size();
    fit(out, user_count * dim_);
    std::size_t begin = 0;
    for (std::size_t user = 0; user < user_count; ++user) {
      begin += counts_[user];
      std::copy_n(x_.data() + (begin - 1) * dim_, dim_, out.data() + user * dim_);
    }
    Values& queries = scratch_.gathered;
    apply(layer.query, out.data(), user_count, queries);
    apply(layer.key_value, x_.data(), row_count_, scratch_.products);
    Values& attended = scratch_.attended;
    fit(attended, user_count * dim_);
    const std::size_t stride = 2 * dim_;
    begin = 0;
    for (std::size_t user = 0; user < user_count; begin += counts_[user++]) {
      const float* const products = scratch_.products.data() + begin * stride;
      for (std::size_t head = 0; head < weights_.head_count; ++head) {
        const float* const key = products + head * head_dim_;
        const std::size_t place = user * dim_ + head * head_dim_;
        kernels().attend({queries.data() + place, dim_, 1, key, key + dim_, stride, counts_[user],
                          head_dim_, attended.data() + place, dim_},
                         scratch_.scores);
      }
    }
    finish(layer, attended, out, user_count);
  }

  /// What follows the attention, for the positions in `x`.
  void finish(const TransformerLayer& layer, const Values& attended, Values& x,
              std::size_t row_count) {
    Values& projected = scratch_.gathered;
    apply(layer.output, attended.data(), row_count, projected);
    norm(x, projected, layer.attention_norm, row_count);
    // The inner rows are the widest, so there are few of them at a time.
    const std::size_t block = std::max(kInnerRowsMin, kInnerValuesMax / layer.inner.out);
    for (std::size_t begin = 0; begin < row_count; begin += block) {
      const std::size_t rows = std::min(block, row_count - begin);
      apply(layer.inner, x.data() + begin * dim_, rows, scratch_.inner);
      kernels().activate(weights_.activation, scratch_.inner.data(), scratch_.inner.size());
      kernels().apply(layer.outer, scratch_.inner.data(), rows, projected.data() + begin * dim_);
    }
    norm(x, projected, layer.feed_forward_norm, row_count);
  }

  void norm(Values& x, const Values& added, const Norm& norm, std::size_t row_count) const {
    kernels().add_and_norm(x.data(), added.data(), norm.weight.data(), norm.bias.data(), row_count,
                           dim_, weights_.layer_norm_eps);
  }

  const Weights& weights_;
  const std::span<const std::size_t> counts_;
  const std::size_t row_count_;
  const std::size_t dim_;
  const std::size_t head_dim_;
  Scratch& scratch_;
  Values x_;
};

}  // namespace

std::size_t Scratch::bytes() const {
  std::size_t values = 0;
  for (const Values* buffer : {&rewritten, &products, &attended, &inner, &scores, &gathered,
                               &states, &fused, &hidden, &gates, &encoded}) {
    values += buffer->capacity();
  }
  return values * sizeof(float);
}

Status encode_histories(const Weights& weights, const Histories& histories, const Check& check,
                        Scratch& scratch, Values& out) {
  switch (weights.backbone) {
    case Backbone::kMean:
      mean(weights, histories, out);
      return {};
    case Backbone::kGru4rec:
      return gru4rec(weights, histories, check, scratch, out);
    case Backbone::kSasrec:
      return Transformer(weights, histories, scratch).run(check, out);
  }
  return {};
}

}  // namespace tessera::adapter
