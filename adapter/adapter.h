#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "adapter/backbone.h"
#include "adapter/weights.h"
#include "base/status.h"

namespace tessera::adapter {

/// What an adapter knows of one person within one refinement.
struct Person {
  Values history;  ///< Oldest first: rows of D values.
  std::size_t history_count = 0;
  Values context;  ///< The filtered items of all rounds so far: rows of D values.
  std::size_t context_count = 0;
  Values memory;                 ///< The state of the GRU over the vectors so far.
  std::size_t vector_count = 0;  ///< Rounds that have had their vector.
};

/// Items of history that are encoded at once, if one person's are not more: enough people for the
/// steps of a GRU, and what is computed on the way stays in the CPU's own cache.
inline constexpr std::size_t kBlockRowsMax = 512;
/// What a Scratch holds at most: reached with vectors of 4096 values and histories of 1024 items.
inline constexpr std::size_t kScratchBytesMax = 288U << 20;

/// Trained weights that make a person's vector for every round of a refinement. After Li et al.,
/// "Ada-Retrieval: An Adaptive Multi-Round Retrieval Paradigm for Sequential Recommendations"
/// (AAAI 2024). Of one round: vectors(), search, and for every person remember() and observe().
/// Thread rule: immutable; a Person and a Scratch are their thread's.
class Adapter {
 public:
  /// As read_weights().
  static Result<std::shared_ptr<const Adapter>> read(std::string_view file);
  explicit Adapter(Weights weights);

  [[nodiscard]] const Weights& weights() const { return weights_; }
  [[nodiscard]] std::size_t dim() const { return weights_.dim; }
  /// Values of an item's vector in the collection: with the bias, if it has one.
  [[nodiscard]] std::size_t item_dim() const { return weights_.dim + (has_item_bias() ? 1 : 0); }
  [[nodiscard]] bool has_item_bias() const { return weights_.has_item_bias; }

  /// The newest of `items`, which come oldest first with item_dim() values each. A person without
  /// any has no vectors() yet.
  [[nodiscard]] Person begin(std::span<const std::vector<float>> items) const;

  /// The vectors of the persons' next rounds, as rows of dim() values; the matrix work of many of
  /// them together, in blocks of at most kBlockRowsMax items of history (or one person), so that
  /// the scratch stays below kScratchBytesMax. A vector has the same bits whoever else is there.
  /// kInvalidArgument when a value leaves the range of float.
  Status vectors(std::span<const Person* const> persons, const Check& check, Scratch& scratch,
                 Values& out) const;
  /// The vector that the person's round was searched with: that of vectors(), or one from outside.
  void remember(Person& person, std::span<const float> vector, Scratch& scratch) const;
  /// Of many, each with its row.
  void remember(std::span<Person* const> persons, std::span<const float> rows,
                Scratch& scratch) const;
  /// What the round returned, best first, item_dim() values each; the first K are context.
  void observe(Person& person, std::span<const std::vector<float>> items, Scratch& scratch) const;

 private:
  Status vectors_of_block(std::span<const Person* const> persons, const Check& check,
                          Scratch& scratch) const;
  Status rewrite(const Person& person, const Check& check, Scratch& scratch, float* to) const;
  Status rewrite(std::span<const Person* const> persons, const Check& check,
                 Scratch& scratch) const;
  void fuse(std::span<const Person* const> persons, Scratch& scratch, Values& vectors) const;

  const Weights weights_;
};

}  // namespace tessera::adapter
