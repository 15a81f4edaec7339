#include "adapter/kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

// This file compiles itself once for each instruction set. SVE has vectors of unknown size, which
// the tails below do not expect.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "adapter/kernels.cpp"
// The order matters: the last one is of the target that is being compiled.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tessera::adapter::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;
constexpr std::size_t kLanes = HWY_LANES(float);

HWY_INLINE Vector load(const float* from) {
  return hn::LoadU(Tag(), from);
}
#if HWY_TARGET <= HWY_AVX2
HWY_INLINE Vector load_tail(const float* from, std::size_t count, float filler) {
  const auto mask = hn::FirstN(Tag(), count);
  return hn::IfThenElse(mask, hn::MaskedLoad(mask, Tag(), from), hn::Set(Tag(), filler));
}
HWY_INLINE void store_tail(Vector vector, float* to, std::size_t count) {
  hn::BlendedStore(vector, hn::FirstN(Tag(), count), Tag(), to);
}
#else
// Elsewhere a masked access may touch what is masked out.
HWY_INLINE Vector load_tail(const float* from, std::size_t count, float filler) {
  HWY_ALIGN float buffer[kLanes];
  std::fill(buffer, buffer + kLanes, filler);
  std::memcpy(buffer, from, count * sizeof(float));
  return hn::Load(Tag(), buffer);
}
HWY_INLINE void store_tail(Vector vector, float* to, std::size_t count) {
  HWY_ALIGN float buffer[kLanes];
  hn::Store(vector, Tag(), buffer);
  std::memcpy(to, buffer, count * sizeof(float));
}
#endif

/// f(0) .. f(Count - 1), with numbers that are constants.
template <std::size_t Count, class Function>
HWY_INLINE void repeat(Function f) {
  [&]<std::size_t... I>(std::index_sequence<I...>) __attribute__((always_inline)) {
    (f(std::integral_constant<std::size_t, I>()), ...);
  }
  (std::make_index_sequence<Count>());
}

/// values[i] = op(values[i]).
template <class Op>
HWY_INLINE void transform(float* values, std::size_t count, Op op) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) hn::StoreU(op(load(values + i)), Tag(), values + i);
  if (i < count) store_tail(op(load_tail(values + i, count - i, 0)), values + i, count - i);
}

HWY_INLINE Vector sigmoid(Vector x) {
  const Tag tag;
  const Vector one = hn::Set(tag, 1.0F);
  const Vector e = hn::Exp(tag, hn::Neg(hn::Abs(x)));
  const Vector numerator = hn::IfThenElse(hn::Ge(x, hn::Zero(tag)), one, e);
  return hn::Div(numerator, hn::Add(one, e));
}

float sum_of(const float* values, std::size_t count) {
  const Tag tag;
  Vector sum = hn::Zero(tag);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) sum = hn::Add(sum, load(values + i));
  if (i < count) sum = hn::Add(sum, load_tail(values + i, count - i, 0));
  return hn::GetLane(hn::SumOfLanes(tag, sum));
}

float squares_around(const float* values, std::size_t count, float mean) {
  const Tag tag;
  const Vector centre = hn::Set(tag, mean);
  Vector sum = hn::Zero(tag);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Vector difference = hn::Sub(load(values + i), centre);
    sum = hn::MulAdd(difference, difference, sum);
  }
  if (i < count) {
    const Vector difference = hn::Sub(load_tail(values + i, count - i, mean), centre);
    sum = hn::MulAdd(difference, difference, sum);
  }
  return hn::GetLane(hn::SumOfLanes(tag, sum));
}

void add(float* a, const float* b, std::size_t count) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(hn::Add(load(a + i), load(b + i)), Tag(), a + i);
  }
  for (; i < count; ++i) a[i] += b[i];
}

void add_and_norm(float* values, const float* added, const float* gain, const float* bias,
                  std::size_t row_count, std::size_t dim, double eps) {
  const Tag tag;
  for (std::size_t row = 0; row < row_count; ++row) {
    float* const x = values + row * dim;
    add(x, added + row * dim, dim);
    const float mean = sum_of(x, dim) / static_cast<float>(dim);
    const double variance =
        static_cast<double>(squares_around(x, dim, mean)) / static_cast<double>(dim);
    const auto scale = static_cast<float>(1 / std::sqrt(variance + eps));
    const Vector centre = hn::Set(tag, mean);
    const Vector factor = hn::Set(tag, scale);
    std::size_t i = 0;
    for (; i + kLanes <= dim; i += kLanes) {
      const Vector unit = hn::Mul(hn::Sub(load(x + i), centre), factor);
      hn::StoreU(hn::MulAdd(unit, load(gain + i), load(bias + i)), tag, x + i);
    }
    for (; i < dim; ++i) x[i] = (x[i] - mean) * scale * gain[i] + bias[i];
  }
}

void softmax(float* values, std::size_t count, float scale) {
  const Tag tag;
  Vector most = hn::Set(tag, values[0]);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) most = hn::Max(most, load(values + i));
  if (i < count) most = hn::Max(most, load_tail(values + i, count - i, values[0]));
  const Vector shift = hn::MaxOfLanes(tag, most);
  const Vector factor = hn::Set(tag, scale);
  transform(values, count,
            [&](Vector x) { return hn::Exp(tag, hn::Mul(hn::Sub(x, shift), factor)); });
  const Vector part = hn::Set(tag, 1 / sum_of(values, count));
  transform(values, count, [&](Vector x) { return hn::Mul(x, part); });
}

void activate(Activation activation, float* values, std::size_t count) {
  const Tag tag;
  switch (activation) {
    case Activation::kSwish:
      transform(values, count, [](Vector x) { return hn::Mul(x, sigmoid(x)); });
      return;
    case Activation::kRelu:
      transform(values, count, [&](Vector x) { return hn::Max(x, hn::Zero(tag)); });
      return;
    case Activation::kGelu:
      for (std::size_t i = 0; i < count; ++i) {
        const double x = values[i];
        values[i] = static_cast<float>(0.5 * x * (1 + std::erf(x * 0.70710678118654752440)));
      }
      return;
  }
}

HWY_INLINE Vector next_state(Vector input_reset, Vector state_reset, Vector input_update,
                             Vector state_update, Vector input_new, Vector state_new,
                             Vector state) {
  const Tag tag;
  const Vector reset = sigmoid(hn::Add(input_reset, state_reset));
  const Vector update = sigmoid(hn::Add(input_update, state_update));
  const Vector fresh = hn::Tanh(tag, hn::MulAdd(reset, state_new, input_new));
  return hn::MulAdd(update, hn::Sub(state, fresh), fresh);
}

void gru_step(const float* input, const float* gates, float* state, std::size_t hidden) {
  std::size_t i = 0;
  for (; i + kLanes <= hidden; i += kLanes) {
    hn::StoreU(next_state(load(input + i), load(gates + i), load(input + hidden + i),
                          load(gates + hidden + i), load(input + 2 * hidden + i),
                          load(gates + 2 * hidden + i), load(state + i)),
               Tag(), state + i);
  }
  if (i == hidden) return;
  const std::size_t left = hidden - i;
  const auto tail = [&](const float* from) { return load_tail(from + i, left, 0); };
  store_tail(next_state(tail(input), tail(gates), tail(input + hidden), tail(gates + hidden),
                        tail(input + 2 * hidden), tail(gates + 2 * hidden), tail(state)),
             state + i, left);
}

void convolve(const float* kernel, std::size_t context_size, const float* items,
              std::size_t item_count, std::size_t dim, float* z) {
  const Tag tag;
  for (std::size_t n = 0; n < item_count; ++n) {
    float* const to = z + n * dim;
    // One strip of the dimensions at a time, so that its sum stays in a register.
    std::size_t i = 0;
    for (; i + kLanes <= dim; i += kLanes) {
      Vector sum = hn::Zero(tag);
      for (std::size_t m = 0; m < item_count; ++m) {
        const std::size_t row = n >= m ? n - m : n + context_size - m;
        sum = hn::MulAdd(load(kernel + row * dim + i), load(items + m * dim + i), sum);
      }
      hn::StoreU(sum, tag, to + i);
    }
    for (; i < dim; ++i) {
      float sum = 0;
      for (std::size_t m = 0; m < item_count; ++m) {
        const std::size_t row = n >= m ? n - m : n + context_size - m;
        sum += kernel[row * dim + i] * items[m * dim + i];
      }
      to[i] = sum;
    }
  }
}

/// The products of one query with `key_count` keys: rows of `stride` values. For few queries.
void score_rows(const AttentionHead& head, const float* query, std::size_t key_count,
                float* scores) {
  const Tag tag;
  for (std::size_t j = 0; j < key_count; ++j) {
    const float* const key = head.key + j * head.key_stride;
    Vector sum = hn::Zero(tag);
    std::size_t d = 0;
    for (; d + kLanes <= head.dim; d += kLanes) {
      sum = hn::MulAdd(load(query + d), load(key + d), sum);
    }
    float rest = 0;
    for (; d < head.dim; ++d) rest += query[d] * key[d];
    scores[j] = hn::GetLane(hn::SumOfLanes(tag, sum)) + rest;
  }
}

/// The sum of the value rows by their weights.
void weigh(const AttentionHead& head, const float* weights, std::size_t count, float* out) {
  const Tag tag;
  std::size_t d = 0;
  for (; d + kLanes <= head.dim; d += kLanes) {
    const float* value = head.value + d;
    // Sums that do not wait for each other.
    Vector even = hn::Zero(tag);
    Vector odd = hn::Zero(tag);
    std::size_t j = 0;
    for (; j + 2 <= count; j += 2, value += 2 * head.key_stride) {
      even = hn::MulAdd(hn::Set(tag, weights[j]), load(value), even);
      odd = hn::MulAdd(hn::Set(tag, weights[j + 1]), load(value + head.key_stride), odd);
    }
    if (j < count) even = hn::MulAdd(hn::Set(tag, weights[j]), load(value), even);
    hn::StoreU(hn::Add(even, odd), tag, out + d);
  }
  for (; d < head.dim; ++d) {
    float sum = 0;
    for (std::size_t j = 0; j < count; ++j) sum += weights[j] * head.value[j * head.key_stride + d];
    out[d] = sum;
  }
}

/// One query after the other.
void attend_rows(const AttentionHead& head, Values& scratch) {
  scratch.resize(head.key_count);
  float* const scores = scratch.data();
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(head.dim)));
  for (std::size_t i = 0; i < head.query_count; ++i) {
    const std::size_t seen = head.key_count - head.query_count + i + 1;
    score_rows(head, head.query + i * head.query_stride, seen, scores);
    softmax(scores, seen, scale);
    weigh(head, scores, seen, head.out + i * head.out_stride);
  }
}

/// DimCount dimensions of the sum of the value rows by the lanes' weights, times `part`.
template <std::size_t DimCount>
HWY_INLINE void weigh_lanes(const AttentionHead& head, std::size_t first, const float* weights,
                            std::size_t count, Vector part, float* turned) {
  const Tag tag;
  Vector sums[DimCount];
  repeat<DimCount>([&](auto d) __attribute__((always_inline)) { sums[d] = hn::Zero(tag); });
  const float* value = head.value + first;
  for (std::size_t j = 0; j < count; ++j, value += head.key_stride) {
    const Vector weight = hn::Load(tag, weights + j * kLanes);
    repeat<DimCount>([&](auto d) __attribute__((always_inline)) {
      sums[d] = hn::MulAdd(weight, hn::Set(tag, value[d]), sums[d]);
    });
  }
  repeat<DimCount>([&](auto d) __attribute__((always_inline)) {
    hn::Store(hn::Mul(sums[d], part), tag, turned + (first + d) * kLanes);
  });
}

/// A query a lane, from `first` on: nothing is added up or compared across lanes. `weights` has
/// room for a vector a key, `turned` for one a dimension.
void attend_lanes(const AttentionHead& head, std::size_t first, float* weights, float* turned) {
  const Tag tag;
  const std::size_t count = std::min(kLanes, head.query_count - first);
  for (std::size_t d = 0; d < head.dim; ++d) {
    float* const column = turned + d * kLanes;
    std::size_t lane = 0;
    for (; lane < count; ++lane) column[lane] = head.query[(first + lane) * head.query_stride + d];
    for (; lane < kLanes; ++lane) column[lane] = 0;
  }
  // The first lane sees so many keys, each lane after it one more.
  const std::size_t seen_by_all = head.key_count - head.query_count + first + 1;
  const std::size_t seen = seen_by_all + count - 1;
  const auto sees = [&](std::size_t key) {
    const auto least = static_cast<float>(key + 1) - static_cast<float>(seen_by_all);
    return hn::Ge(hn::Iota(tag, 0.0F), hn::Set(tag, least));
  };
  Vector most = hn::Set(tag, std::numeric_limits<float>::lowest());
  for (std::size_t j = 0; j < seen; ++j) {
    const float* const key = head.key + j * head.key_stride;
    // Sums that do not wait for each other.
    Vector even = hn::Zero(tag), odd = even;
    std::size_t d = 0;
    for (; d + 2 <= head.dim; d += 2) {
      even = hn::MulAdd(hn::Set(tag, key[d]), hn::Load(tag, turned + d * kLanes), even);
      odd = hn::MulAdd(hn::Set(tag, key[d + 1]), hn::Load(tag, turned + (d + 1) * kLanes), odd);
    }
    if (d < head.dim) {
      even = hn::MulAdd(hn::Set(tag, key[d]), hn::Load(tag, turned + d * kLanes), even);
    }
    const Vector score = hn::Add(even, odd);
    hn::Store(score, tag, weights + j * kLanes);
    most = hn::Max(most, j < seen_by_all ? score : hn::IfThenElse(sees(j), score, most));
  }
  const Vector scale =
      hn::Set(tag, static_cast<float>(1 / std::sqrt(static_cast<double>(head.dim))));
  Vector total = hn::Zero(tag);
  for (std::size_t j = 0; j < seen; ++j) {
    const Vector score = hn::Load(tag, weights + j * kLanes);
    Vector weight = hn::Exp(tag, hn::Mul(hn::Sub(score, most), scale));
    if (j >= seen_by_all) weight = hn::IfThenElseZero(sees(j), weight);
    total = hn::Add(total, weight);
    hn::Store(weight, tag, weights + j * kLanes);
  }
  const Vector part = hn::Div(hn::Set(tag, 1.0F), total);
  constexpr std::size_t kDims = 8;  // So many sums do not wait for each other.
  std::size_t d = 0;
  for (; d + kDims <= head.dim; d += kDims)
    weigh_lanes<kDims>(head, d, weights, seen, part, turned);
  for (; d < head.dim; ++d) weigh_lanes<1>(head, d, weights, seen, part, turned);
  for (std::size_t lane = 0; lane < count; ++lane) {
    float* const out = head.out + (first + lane) * head.out_stride;
    for (d = 0; d < head.dim; ++d) out[d] = turned[d * kLanes + lane];
  }
}

void attend(const AttentionHead& head, Values& scratch) {
  constexpr std::size_t kFewQueries = 4;  // For which turning them round does not pay.
  if (head.query_count <= kFewQueries) return attend_rows(head, scratch);
  scratch.resize((head.key_count + head.dim + 1) * kLanes);
  void* place = scratch.data();
  std::size_t space = scratch.size() * sizeof(float);
  constexpr std::size_t kVectorBytes = kLanes * sizeof(float);
  auto* const weights =
      static_cast<float*>(std::align(kVectorBytes, space - kVectorBytes, place, space));
  float* const turned = weights + head.key_count * kLanes;
  for (std::size_t first = 0; first < head.query_count; first += kLanes) {
    attend_lanes(head, first, weights, turned);
  }
}

constexpr std::size_t kPanelVectors = kPanelWidth / kLanes;
/// As many rows at once as the sums of a panel find registers.
constexpr std::size_t kBlockRows = kLanes >= 16 ? 9 : kLanes >= 8 ? 3 : 1;
/// Sums that are needed so that none waits for itself.
constexpr std::size_t kSumsMin = 8;

/// PanelCount panels from column `first` on for RowCount rows. Only one panel alone may have
/// columns that are not written, those from linear.out on.
template <std::size_t RowCount, std::size_t PanelCount>
void apply_panels(const Linear& linear, std::size_t first, const float* rows, float* out) {
  constexpr std::size_t kVectors = PanelCount * kPanelVectors;
  const Tag tag;
  const std::size_t in = linear.in;
  const PanelColumn* const panels = linear.panels.data() + first / kPanelWidth * in;
  Vector sums[RowCount][kVectors];
  repeat<RowCount>([&](auto r) __attribute__((always_inline)) {
    repeat<kVectors>([&](auto v) __attribute__((always_inline)) {
      sums[r][v] = load(linear.bias.data() + first + v * kLanes);
    });
  });
  for (std::size_t k = 0; k < in; ++k) {
    Vector weights[kVectors];
    repeat<kVectors>([&](auto v) __attribute__((always_inline)) {
      const PanelColumn& column = panels[v / kPanelVectors * in + k];
      weights[v] = hn::Load(tag, column.values + v % kPanelVectors * kLanes);
    });
    repeat<RowCount>([&](auto r) __attribute__((always_inline)) {
      const Vector x = hn::Set(tag, rows[r * in + k]);
      repeat<kVectors>([&](auto v) __attribute__((always_inline)) {
        sums[r][v] = hn::MulAdd(x, weights[v], sums[r][v]);
      });
    });
  }
  const std::size_t width = std::min(PanelCount * kPanelWidth, linear.out - first);
  repeat<RowCount>([&](auto r) __attribute__((always_inline)) {
    float* const to = out + r * linear.out + first;
    HWY_ALIGN float buffer[PanelCount * kPanelWidth];
    float* const target = width == PanelCount * kPanelWidth ? to : buffer;
    repeat<kVectors>([&](auto v) __attribute__((always_inline)) {
      hn::StoreU(sums[r][v], tag, target + v * kLanes);
    });
    if (target == buffer) std::memcpy(to, buffer, width * sizeof(float));
  });
}

/// All panels from column `first` on for RowCount rows: PanelCount at once, then half as many, and
/// so on.
template <std::size_t RowCount, std::size_t PanelCount>
void apply_from(const Linear& linear, std::size_t first, const float* rows, float* out) {
  for (; first + PanelCount * kPanelWidth <= linear.out; first += PanelCount * kPanelWidth) {
    apply_panels<RowCount, PanelCount>(linear, first, rows, out);
  }
  if constexpr (PanelCount > 1) {
    apply_from<RowCount, PanelCount / 2>(linear, first, rows, out);
  } else if (first < linear.out) {
    apply_panels<RowCount, 1>(linear, first, rows, out);
  }
}

/// The whole product for RowCount rows.
template <std::size_t RowCount>
void apply_rows(const Linear& linear, const float* rows, float* out) {
  constexpr std::size_t kPanels = std::max<std::size_t>(1, kSumsMin / (RowCount * kPanelVectors));
  apply_from<RowCount, kPanels>(linear, 0, rows, out);
}

/// At i what is for i + 1 rows.
template <class Function, class Make>
constexpr std::array<Function, kBlockRows> by_row_count(Make make) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return std::array<Function, kBlockRows>{make(std::integral_constant<std::size_t, I + 1>())...};
  }
  (std::make_index_sequence<kBlockRows>());
}
using ApplyRows = void (*)(const Linear& linear, const float* rows, float* out);
constexpr auto kApplyRows = by_row_count<ApplyRows>([](auto count) { return apply_rows<count>; });
using ApplyPanel = void (*)(const Linear& linear, std::size_t first, const float* rows, float* out);
constexpr auto kApplyPanel =
    by_row_count<ApplyPanel>([](auto count) { return apply_panels<count, 1>; });

void apply(const Linear& linear, const float* rows, std::size_t row_count, float* out) {
  if (row_count == 0) return;
  const std::size_t block_count = (row_count + kBlockRows - 1) / kBlockRows;
  if (block_count == 1) return kApplyRows[row_count - 1](linear, rows, out);
  // A panel for all rows, so that it stays in the cache. All blocks have about as many rows: one
  // row by itself would take as long as several.
  for (std::size_t first = 0; first < linear.out; first += kPanelWidth) {
    for (std::size_t block = 0; block < block_count; ++block) {
      const std::size_t begin = row_count * block / block_count;
      const std::size_t count = row_count * (block + 1) / block_count - begin;
      kApplyPanel[count - 1](linear, first, rows + begin * linear.in, out + begin * linear.out);
    }
  }
}

const Kernels* table() {
  static const Kernels made = {add_and_norm, softmax, activate, gru_step,
                               convolve,     apply,   attend,   add};
  return &made;
}

}  // namespace

const Kernels* kernel_table() {
  return table();
}

}  // namespace tessera::adapter::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::adapter {

HWY_EXPORT(kernel_table);

const Kernels& kernels() {
  static const Kernels* const best = HWY_DYNAMIC_DISPATCH(kernel_table)();
  return *best;
}

}  // namespace tessera::adapter
#endif  // HWY_ONCE
