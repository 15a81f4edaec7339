#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tessera::adapter {

/// What an adapter's file holds; docs/adapters.md has the names, the shapes and the formulas.

enum class Backbone : std::uint8_t { kMean, kGru4rec, kSasrec };
enum class Activation : std::uint8_t { kSwish, kGelu, kRelu };

const char* backbone_name(Backbone backbone);

using Values = std::vector<float>;

/// Columns of a panel of Linear.
inline constexpr std::size_t kPanelWidth = 32;

/// A column of a panel, in cache lines of its own.
struct alignas(64) PanelColumn {
  float values[kPanelWidth] = {};
};

/// y = W x + b. The rows of W (out x in) in panels of kPanelWidth, which the products read in
/// order: panel p holds, for each column of W, the values of the rows from p * kPanelWidth on. The
/// last panel and the bias are filled up with zeros.
struct Linear {
  std::size_t out = 0;
  std::size_t in = 0;
  std::vector<PanelColumn> panels;
  Values bias;
};
/// Of a row-major W.
Linear make_linear(std::size_t out, std::size_t in, const Values& weight, Values bias);

struct Norm {
  Values weight;
  Values bias;
};

/// Gates in the order reset, update, new.
struct Gru {
  Linear input;  ///< 3H x input.
  Linear state;  ///< 3H x H.
};

struct TransformerLayer {
  Linear query;
  Linear key_value;  ///< Below each other: 2D x D.
  Linear output;
  Norm attention_norm;
  Linear inner;
  Linear outer;
  Norm feed_forward_norm;
};

struct Weights {
  Backbone backbone = Backbone::kMean;
  Activation activation = Activation::kSwish;
  std::size_t dim = 0;           ///< D.
  std::size_t context_size = 0;  ///< K.
  std::size_t max_history = 0;   ///< L.
  std::size_t head_count = 1;
  double layer_norm_eps = 1e-12;
  bool has_item_bias = false;

  Values filter_kernel;  ///< K x D.
  Linear filter_linear;
  Norm filter_norm;
  Norm attention_norm;
  Gru gru;
  Linear fuse_hidden;
  Linear fuse_output;
  Norm fuse_norm;

  Gru backbone_gru;       ///< gru4rec.
  Linear backbone_dense;  ///< gru4rec.
  Values position;        ///< sasrec: L x D.
  Norm position_norm;     ///< sasrec.
  std::vector<TransformerLayer> layers;

  std::size_t parameter_count = 0;
};

// What one round may cost.
inline constexpr std::size_t kDimMax = 4096;
inline constexpr std::size_t kContextSizeMax = 1024;
inline constexpr std::size_t kMaxHistoryMax = 1024;
inline constexpr std::size_t kHiddenSizeMax = 4096;
inline constexpr std::size_t kInnerSizeMax = 16384;
inline constexpr std::size_t kLayerCountMax = 64;

/// Everything in a file, checked: kInvalidArgument names the tensor or the key of the metadata that
/// is missing, unknown, not finite or of another shape. The file may go away afterwards.
Result<Weights> read_weights(std::string_view file);

}  // namespace tessera::adapter
