#pragma once

#include <functional>
#include <span>

#include "adapter/matrix.h"
#include "adapter/weights.h"
#include "base/status.h"

namespace tessera::adapter {

/// Buffers that live from one round to the next. Thread rule: confined to one thread.
struct Scratch {
  Values rewritten, products, attended, inner, scores, gathered, states, fused, hidden, gates,
      encoded;

  [[nodiscard]] std::size_t bytes() const;
};

/// Histories behind each other: those of user i are `counts[i]` rows, each at least 1.
struct Histories {
  const Values& rows;
  std::span<const std::size_t> counts;
};

/// Not ok when the work should stop; asked between layers.
using Check = std::function<Status()>;

/// v of every user: one row of D values each.
Status encode_histories(const Weights& weights, const Histories& histories, const Check& check,
                        Scratch& scratch, Values& out);

}  // namespace tessera::adapter
