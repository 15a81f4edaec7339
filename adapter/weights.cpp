#include "adapter/weights.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>
#include <string>

#include "adapter/safetensors.h"

namespace tessera::adapter {
namespace {

constexpr const char* kFormat = "tessera-adapter-1";
using Shape = std::vector<std::size_t>;

/// Takes tensors out of a file by name and shape. The first thing that is wrong is kept, and
/// whatever is taken after that is empty.
class Reader {
 public:
  explicit Reader(const TensorFile& file) : file_(file) {}

  [[nodiscard]] const Status& status() const { return status_; }
  [[nodiscard]] bool has(const std::string& name) const { return file_.tensors.contains(name); }

  /// The sizes of a tensor with so many axes, each at least 1.
  Shape shape(const std::string& name, std::size_t axis_count) {
    const Tensor* tensor = find(name);
    if (tensor == nullptr) return Shape(axis_count, 1);
    bool is_sound = tensor->shape.size() == axis_count;
    for (const std::size_t size : tensor->shape) is_sound = is_sound && size > 0;
    if (is_sound) return tensor->shape;
    fail(name, "has the shape " + shown_shape(tensor->shape) + ", and needs " +
                   std::to_string(axis_count) + (axis_count == 1 ? " axis" : " axes") +
                   " of at least 1");
    return Shape(axis_count, 1);
  }

  Values take(const std::string& name, const Shape& shape) {
    const Tensor* tensor = find(name);
    if (tensor == nullptr) return {};
    if (tensor->shape != shape) {
      fail(name,
           "has the shape " + shown_shape(tensor->shape) + ", and needs " + shown_shape(shape));
      return {};
    }
    Values values(tensor->bytes.size() / sizeof(float));
    std::memcpy(values.data(), tensor->bytes.data(), tensor->bytes.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (std::isfinite(values[i])) continue;
      fail(name, "element " + std::to_string(i) + " is not finite");
      return {};
    }
    taken_.insert(name);
    value_count_ += values.size();
    return values;
  }

  Linear linear(const std::string& name, std::size_t out, std::size_t in) {
    const Values weight = take(name + ".weight", {out, in});
    return made(out, in, weight, take(name + ".bias", {out}));
  }
  /// Two below each other.
  Linear pair(const std::string& a, const std::string& b, std::size_t out, std::size_t in) {
    Values weight = take(a + ".weight", {out, in});
    Values bias = take(a + ".bias", {out});
    const Values more_weight = take(b + ".weight", {out, in});
    const Values more_bias = take(b + ".bias", {out});
    weight.insert(weight.end(), more_weight.begin(), more_weight.end());
    bias.insert(bias.end(), more_bias.begin(), more_bias.end());
    return made(2 * out, in, weight, std::move(bias));
  }
  Norm norm(const std::string& name, std::size_t dim) {
    return {take(name + ".weight", {dim}), take(name + ".bias", {dim})};
  }
  Gru gru(const std::string& name, std::size_t hidden, std::size_t in, bool has_bias) {
    const auto gates = [&](const char* weight, const char* bias, std::size_t columns) {
      const Values values = take(name + weight, {3 * hidden, columns});
      return made(3 * hidden, columns, values,
                  has_bias ? take(name + bias, {3 * hidden}) : Values(3 * hidden, 0));
    };
    Gru gru;
    gru.input = gates(".weight_ih", ".bias_ih", in);
    gru.state = gates(".weight_hh", ".bias_hh", hidden);
    return gru;
  }

  void limit(const std::string& name, const char* what, std::size_t size, std::size_t most) {
    if (size > most) {
      fail(name, std::string(what) + " of " + std::to_string(size) + " is beyond the limit of " +
                     std::to_string(most));
    }
  }

  Status finish() {
    for (const auto& [name, tensor] : file_.tensors) {
      if (!taken_.contains(name)) fail(name, "is not a part of such an adapter");
    }
    return status_;
  }
  [[nodiscard]] std::size_t value_count() const { return value_count_; }

 private:
  [[nodiscard]] Linear made(std::size_t out, std::size_t in, const Values& weight,
                            Values bias) const {
    return status_.ok() ? make_linear(out, in, weight, std::move(bias)) : Linear();
  }
  const Tensor* find(const std::string& name) {
    if (!status_.ok()) return nullptr;
    const auto found = file_.tensors.find(name);
    if (found != file_.tensors.end()) return &found->second;
    fail(name, "is missing");
    return nullptr;
  }
  void fail(const std::string& name, const std::string& text) {
    if (!status_.ok()) return;
    status_ = {Code::kInvalidArgument, "adapter: tensor '" + shown_name(name) + "': " + text};
  }

  const TensorFile& file_;
  Status status_;
  std::set<std::string> taken_;
  std::size_t value_count_ = 0;
};

Status invalid_key(const std::string& key, const std::string& text) {
  return {Code::kInvalidArgument, "adapter: __metadata__." + key + ": " + text};
}

using Metadata = std::map<std::string, std::string>;

Result<std::string> required(const Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return invalid_key(key, "is missing");
  return found->second;
}

template <class T>
Result<T> number(const std::string& key, const std::string& text, T min, T max) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= min && value <= max)) {
    return invalid_key(key, "'" + shown_name(text) + "' is not a number within the limits");
  }
  return value;
}

template <class T>
using Spellings = std::initializer_list<std::pair<const char*, T>>;

template <class T>
Result<T> one_of(const std::string& key, const std::string& text, Spellings<T> spellings) {
  std::string known;
  for (const auto& [spelling, value] : spellings) {
    if (text == spelling) return value;
    known += (known.empty() ? "" : ", ") + std::string(spelling);
  }
  return invalid_key(key, "'" + shown_name(text) + "' is none of " + known);
}

Status read_metadata(const Metadata& metadata, Weights& weights) {
  TESSERA_ASSIGN_OR_RETURN(const std::string format, required(metadata, "format"));
  if (format != kFormat) {
    return invalid_key("format", "'" + shown_name(format) + "' is not " + kFormat);
  }
  TESSERA_ASSIGN_OR_RETURN(const std::string backbone, required(metadata, "backbone"));
  TESSERA_ASSIGN_OR_RETURN(weights.backbone, one_of<Backbone>("backbone", backbone,
                                                              {{"sasrec", Backbone::kSasrec},
                                                               {"gru4rec", Backbone::kGru4rec},
                                                               {"mean", Backbone::kMean}}));
  weights.max_history = 50;
  for (const auto& [key, text] : metadata) {
    if (key == "activation") {
      TESSERA_ASSIGN_OR_RETURN(weights.activation,
                               one_of<Activation>(key, text,
                                                  {{"swish", Activation::kSwish},
                                                   {"gelu", Activation::kGelu},
                                                   {"relu", Activation::kRelu}}));
    } else if (key == "max_history") {
      TESSERA_ASSIGN_OR_RETURN(weights.max_history,
                               number<std::size_t>(key, text, 1, kMaxHistoryMax));
    } else if (key == "layer_norm_eps") {
      TESSERA_ASSIGN_OR_RETURN(weights.layer_norm_eps, number<double>(key, text, 1e-30, 1.0));
    } else if (key == "item_bias") {
      TESSERA_ASSIGN_OR_RETURN(
          weights.has_item_bias,
          one_of<bool>(key, text, {{"none", false}, {"last_dimension", true}}));
    } else if (key == "heads") {
      TESSERA_ASSIGN_OR_RETURN(weights.head_count, number<std::size_t>(key, text, 1, kDimMax));
    }
  }
  if (weights.backbone == Backbone::kSasrec) {
    TESSERA_RETURN_IF_ERROR(
        required(metadata, "heads").has_error() ? invalid_key("heads", "is missing") : Status());
  }
  return {};
}

void read_adapter(Reader& reader, Weights& weights) {
  const std::string sized = "filter.linear.weight";
  weights.dim = reader.shape(sized, 2).front();
  reader.limit(sized, "a size", weights.dim, kDimMax);
  const std::size_t dim = weights.dim;
  weights.filter_linear = reader.linear("filter.linear", dim, dim);
  weights.context_size = reader.shape("filter.kernel", 2).front();
  reader.limit("filter.kernel", "a context", weights.context_size, kContextSizeMax);
  weights.filter_kernel = reader.take("filter.kernel", {weights.context_size, dim});
  weights.filter_norm = reader.norm("filter.norm", dim);
  weights.attention_norm = reader.norm("attention.norm", dim);
  weights.gru = reader.gru("gru", dim, dim, true);
  weights.fuse_hidden = reader.linear("fuse.hidden", 2 * dim, 2 * dim);
  weights.fuse_output = reader.linear("fuse.output", dim, 2 * dim);
  weights.fuse_norm = reader.norm("fuse.norm", dim);
}

void read_gru4rec(Reader& reader, Weights& weights) {
  const std::string sized = "backbone.gru.weight_hh";
  const std::size_t hidden = reader.shape(sized, 2).back();
  reader.limit(sized, "a state", hidden, kHiddenSizeMax);
  const bool has_bias = reader.has("backbone.gru.bias_ih") || reader.has("backbone.gru.bias_hh");
  weights.backbone_gru = reader.gru("backbone.gru", hidden, weights.dim, has_bias);
  weights.backbone_dense = reader.linear("backbone.dense", weights.dim, hidden);
}

TransformerLayer read_layer(Reader& reader, const std::string& name, std::size_t dim,
                            std::size_t inner) {
  TransformerLayer layer;
  const std::string attention = name + ".attention.";
  layer.query = reader.linear(attention + "query", dim, dim);
  layer.key_value = reader.pair(attention + "key", attention + "value", dim, dim);
  layer.output = reader.linear(name + ".attention.output", dim, dim);
  layer.attention_norm = reader.norm(name + ".attention.norm", dim);
  layer.inner = reader.linear(name + ".feed_forward.inner", inner, dim);
  layer.outer = reader.linear(name + ".feed_forward.output", dim, inner);
  layer.feed_forward_norm = reader.norm(name + ".feed_forward.norm", dim);
  return layer;
}

bool has_layer(const TensorFile& file, const std::string& name) {
  const auto next = file.tensors.lower_bound(name + ".");
  return next != file.tensors.end() && next->first.starts_with(name + ".");
}

void read_sasrec(Reader& reader, const TensorFile& file, Weights& weights) {
  const std::string positions = "backbone.position.weight";
  weights.max_history = reader.shape(positions, 2).front();
  reader.limit(positions, "a history", weights.max_history, kMaxHistoryMax);
  weights.position = reader.take(positions, {weights.max_history, weights.dim});
  weights.position_norm = reader.norm("backbone.norm", weights.dim);
  const std::string sized = "backbone.layers.0.feed_forward.inner.weight";
  const std::size_t inner = reader.shape(sized, 2).front();
  reader.limit(sized, "an inner size", inner, kInnerSizeMax);
  for (std::size_t i = 0; i < kLayerCountMax && reader.status().ok(); ++i) {
    const std::string name = "backbone.layers." + std::to_string(i);
    // The first is asked for, the others end where there are none.
    if (i > 0 && !has_layer(file, name)) break;
    weights.layers.push_back(read_layer(reader, name, weights.dim, inner));
  }
}

}  // namespace

Linear make_linear(std::size_t out, std::size_t in, const Values& weight, Values bias) {
  const std::size_t panel_count = (out + kPanelWidth - 1) / kPanelWidth;
  Linear linear{out, in, std::vector<PanelColumn>(panel_count * in), std::move(bias)};
  linear.bias.resize(panel_count * kPanelWidth, 0);
  for (std::size_t row = 0; row < out; ++row) {
    PanelColumn* const panel = linear.panels.data() + row / kPanelWidth * in;
    for (std::size_t column = 0; column < in; ++column) {
      panel[column].values[row % kPanelWidth] = weight[row * in + column];
    }
  }
  return linear;
}

const char* backbone_name(Backbone backbone) {
  switch (backbone) {
    case Backbone::kMean:
      return "mean";
    case Backbone::kGru4rec:
      return "gru4rec";
    case Backbone::kSasrec:
      return "sasrec";
  }
  return "unknown";
}

Result<Weights> read_weights(std::string_view bytes) {
  TESSERA_ASSIGN_OR_RETURN(const TensorFile file, read_safetensors(bytes));
  Weights weights;
  TESSERA_RETURN_IF_ERROR(read_metadata(file.metadata, weights));
  Reader reader(file);
  read_adapter(reader, weights);
  switch (weights.backbone) {
    case Backbone::kMean:
      break;
    case Backbone::kGru4rec:
      read_gru4rec(reader, weights);
      break;
    case Backbone::kSasrec:
      read_sasrec(reader, file, weights);
      break;
  }
  TESSERA_RETURN_IF_ERROR(reader.finish());
  if (weights.backbone == Backbone::kSasrec && weights.dim % weights.head_count != 0) {
    return invalid_key("heads", std::to_string(weights.head_count) + " heads do not divide " +
                                    std::to_string(weights.dim) + " dimensions");
  }
  weights.parameter_count = reader.value_count();
  return weights;
}

}  // namespace tessera::adapter
