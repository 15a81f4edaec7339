#include "adapter/adapter.h"

#include <algorithm>
#include <cmath>

#include "adapter/kernels.h"
#include "adapter/matrix.h"

namespace tessera::adapter {
namespace {

/// Attention weights that are kept at once.
constexpr std::size_t kScoresMax = 1U << 20;

void append_row(const std::vector<float>& item, std::size_t dim, Values& rows) {
  rows.insert(rows.end(), item.begin(), item.begin() + static_cast<std::ptrdiff_t>(dim));
}

}  // namespace

Result<std::shared_ptr<const Adapter>> Adapter::read(std::string_view file) {
  TESSERA_ASSIGN_OR_RETURN(Weights weights, read_weights(file));
  return std::shared_ptr<const Adapter>(std::make_shared<Adapter>(std::move(weights)));
}

Adapter::Adapter(Weights weights) : weights_(std::move(weights)) {
  [[maybe_unused]] static const bool is_set = [] {
    keep_products_in_one_thread();
    return true;
  }();
}

Person Adapter::begin(std::span<const std::vector<float>> items) const {
  Person person;
  person.history_count = std::min(items.size(), weights_.max_history);
  person.history.reserve(person.history_count * dim());
  for (const auto& item : items.last(person.history_count)) append_row(item, dim(), person.history);
  person.memory.assign(dim(), 0);
  return person;
}

/// h' = norm(softmax(h F^T / sqrt(D)) F + h) of one person.
Status Adapter::rewrite(const Person& person, const Check& check, Scratch& scratch,
                        float* to) const {
  const std::size_t count = person.context_count;
  const MatrixView context{person.context.data(), count, dim(), dim()};
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(dim())));
  const std::size_t block = std::max<std::size_t>(1, kScoresMax / count);
  for (std::size_t begin = 0; begin < person.history_count; begin += block) {
    TESSERA_RETURN_IF_ERROR(check());
    const std::size_t rows = std::min(block, person.history_count - begin);
    Values& scores = scratch.scores;
    fit(scores, rows * count);
    multiply_transposed({person.history.data() + begin * dim(), rows, dim(), dim()}, context,
                        scores.data(), count);
    for (std::size_t i = 0; i < rows; ++i) {
      kernels().softmax(scores.data() + i * count, count, scale);
    }
    multiply({scores.data(), rows, count, count}, context, to + begin * dim(), dim());
  }
  kernels().add_and_norm(to, person.history.data(), weights_.attention_norm.weight.data(),
                         weights_.attention_norm.bias.data(), person.history_count, dim(),
                         weights_.layer_norm_eps);
  return {};
}

/// h' of all, behind each other; without context that is h.
Status Adapter::rewrite(std::span<const Person* const> persons, const Check& check,
                        Scratch& scratch) const {
  Values& rows = scratch.rewritten;
  rows.clear();
  std::size_t row_count = 0;
  for (const Person* person : persons) row_count += person->history_count;
  rows.reserve(row_count * dim());
  for (const Person* person : persons) {
    const std::size_t begin = rows.size();
    rows.insert(rows.end(), person->history.begin(), person->history.end());
    if (person->context_count == 0) continue;
    TESSERA_RETURN_IF_ERROR(rewrite(*person, check, scratch, rows.data() + begin));
  }
  return {};
}

/// u = norm(output(relu(hidden([v; g]))) + v), where there were vectors before.
void Adapter::fuse(std::span<const Person* const> persons, Scratch& scratch,
                   Values& vectors) const {
  Values& joined = scratch.gathered;
  joined.clear();
  joined.reserve(persons.size() * 2 * dim());
  for (std::size_t i = 0; i < persons.size(); ++i) {
    const float* const v = vectors.data() + i * dim();
    joined.insert(joined.end(), v, v + dim());
    joined.insert(joined.end(), persons[i]->memory.begin(), persons[i]->memory.end());
  }
  apply(weights_.fuse_hidden, joined.data(), persons.size(), scratch.hidden);
  kernels().activate(Activation::kRelu, scratch.hidden.data(), scratch.hidden.size());
  apply(weights_.fuse_output, scratch.hidden.data(), persons.size(), scratch.fused);
  for (std::size_t i = 0; i < persons.size(); ++i) {
    if (persons[i]->vector_count == 0) continue;
    kernels().add_and_norm(vectors.data() + i * dim(), scratch.fused.data() + i * dim(),
                           weights_.fuse_norm.weight.data(), weights_.fuse_norm.bias.data(), 1,
                           dim(), weights_.layer_norm_eps);
  }
}

/// Into scratch.encoded.
Status Adapter::vectors_of_block(std::span<const Person* const> persons, const Check& check,
                                 Scratch& scratch) const {
  std::vector<std::size_t> counts;
  bool is_first = true;
  for (const Person* person : persons) {
    TESSERA_ASSERT(person->history_count > 0);
    counts.push_back(person->history_count);
    is_first = is_first && person->vector_count == 0;
  }
  TESSERA_RETURN_IF_ERROR(rewrite(persons, check, scratch));
  TESSERA_RETURN_IF_ERROR(
      encode_histories(weights_, {scratch.rewritten, counts}, check, scratch, scratch.encoded));
  if (!is_first) fuse(persons, scratch, scratch.encoded);
  return {};
}

Status Adapter::vectors(std::span<const Person* const> persons, const Check& check,
                        Scratch& scratch, Values& out) const {
  out.clear();
  for (std::size_t begin = 0, end = 0; begin < persons.size(); begin = end) {
    std::size_t rows = 0;
    do {
      rows += persons[end++]->history_count;
    } while (end < persons.size() && rows + persons[end]->history_count <= kBlockRowsMax);
    TESSERA_RETURN_IF_ERROR(vectors_of_block(persons.subspan(begin, end - begin), check, scratch));
    out.insert(out.end(), scratch.encoded.begin(), scratch.encoded.end());
  }
  if (std::all_of(out.begin(), out.end(), [](float value) { return std::isfinite(value); })) {
    return {};
  }
  return {Code::kInvalidArgument, "the adapter's vector leaves the range of float32"};
}

void Adapter::remember(Person& person, std::span<const float> vector, Scratch& scratch) const {
  Person* const only = &person;
  remember({&only, 1}, vector, scratch);
}

void Adapter::remember(std::span<Person* const> persons, std::span<const float> rows,
                       Scratch& scratch) const {
  for (std::size_t begin = 0; begin < persons.size(); begin += kBlockRowsMax) {
    const auto some = persons.subspan(begin, std::min(kBlockRowsMax, persons.size() - begin));
    Values& memories = scratch.gathered;
    memories.clear();
    memories.reserve(some.size() * dim());
    for (const Person* person : some) {
      memories.insert(memories.end(), person->memory.begin(), person->memory.end());
    }
    apply(weights_.gru.input, rows.data() + begin * dim(), some.size(), scratch.products);
    apply(weights_.gru.state, memories.data(), some.size(), scratch.gates);
    for (std::size_t i = 0; i < some.size(); ++i) {
      const std::size_t place = i * 3 * dim();
      kernels().gru_step(scratch.products.data() + place, scratch.gates.data() + place,
                         some[i]->memory.data(), dim());
      ++some[i]->vector_count;
    }
  }
}

void Adapter::observe(Person& person, std::span<const std::vector<float>> items,
                      Scratch& scratch) const {
  const std::size_t count = std::min(items.size(), weights_.context_size);
  if (count == 0) return;
  Values& rows = scratch.gathered;
  rows.clear();
  for (const auto& item : items.first(count)) append_row(item, dim(), rows);
  Values& filtered = scratch.hidden;
  fit(filtered, count * dim());
  kernels().convolve(weights_.filter_kernel.data(), weights_.context_size, rows.data(), count,
                     dim(), filtered.data());
  apply(weights_.filter_linear, filtered.data(), count, scratch.products);
  kernels().add_and_norm(scratch.products.data(), rows.data(), weights_.filter_norm.weight.data(),
                         weights_.filter_norm.bias.data(), count, dim(), weights_.layer_norm_eps);
  person.context.insert(person.context.end(), scratch.products.begin(), scratch.products.end());
  person.context_count += count;
}

}  // namespace tessera::adapter
