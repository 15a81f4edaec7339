#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace tessera::adapter::testing {

struct MadeTensor {
  std::vector<std::size_t> shape;
  std::vector<float> values;
};

/// The parts of an adapter's file, to be changed and written.
struct MadeAdapter {
  std::map<std::string, MadeTensor> tensors;
  std::map<std::string, std::string> metadata;
};

struct MadeShape {
  std::string backbone = "mean";
  std::size_t dim = 8;           ///< D.
  std::size_t context_size = 5;  ///< K.
  std::size_t max_history = 50;  ///< L.
  std::size_t hidden = 6;        ///< H.
  std::size_t inner = 12;        ///< I.
  std::size_t layer_count = 2;
  std::size_t head_count = 2;
  std::string activation = "swish";
  bool has_gru_bias = true;
  bool has_item_bias = false;
};

class AdapterMaker {
 public:
  AdapterMaker(MadeShape shape, std::mt19937_64& random)
      : shape_(std::move(shape)), random_(random) {
    made_.metadata = {{"format", "tessera-adapter-1"}, {"backbone", shape_.backbone}};
    if (shape_.has_item_bias) made_.metadata["item_bias"] = "last_dimension";
    const std::size_t dim = shape_.dim;
    add("filter.kernel", {shape_.context_size, dim}, 0.3);
    linear("filter.linear", dim, dim);
    norm("filter.norm", dim);
    norm("attention.norm", dim);
    gru("gru", dim, dim, true);
    linear("fuse.hidden", 2 * dim, 2 * dim);
    linear("fuse.output", dim, 2 * dim);
    norm("fuse.norm", dim);
    if (shape_.backbone == "gru4rec") gru4rec();
    if (shape_.backbone == "sasrec") sasrec();
    if (shape_.backbone != "sasrec") {
      made_.metadata["max_history"] = std::to_string(shape_.max_history);
    }
  }
  MadeAdapter take() { return std::move(made_); }

 private:
  void add(const std::string& name, std::vector<std::size_t> shape, double deviation,
           double mean = 0) {
    std::normal_distribution<double> normal(mean, deviation);
    std::size_t count = 1;
    for (const std::size_t size : shape) count *= size;
    MadeTensor& tensor = made_.tensors[name];
    tensor.shape = std::move(shape);
    for (std::size_t i = 0; i < count; ++i) {
      tensor.values.push_back(static_cast<float>(normal(random_)));
    }
  }
  void linear(const std::string& name, std::size_t out, std::size_t in) {
    add(name + ".weight", {out, in}, 1 / std::sqrt(static_cast<double>(in)));
    add(name + ".bias", {out}, 0.1);
  }
  void norm(const std::string& name, std::size_t dim) {
    add(name + ".weight", {dim}, 0.2, 1);
    add(name + ".bias", {dim}, 0.2);
  }
  void gru(const std::string& name, std::size_t hidden, std::size_t in, bool has_bias) {
    add(name + ".weight_ih", {3 * hidden, in}, 1 / std::sqrt(static_cast<double>(in)));
    add(name + ".weight_hh", {3 * hidden, hidden}, 1 / std::sqrt(static_cast<double>(hidden)));
    if (!has_bias) return;
    add(name + ".bias_ih", {3 * hidden}, 0.1);
    add(name + ".bias_hh", {3 * hidden}, 0.1);
  }
  void gru4rec() {
    gru("backbone.gru", shape_.hidden, shape_.dim, shape_.has_gru_bias);
    linear("backbone.dense", shape_.dim, shape_.hidden);
  }
  void sasrec() {
    made_.metadata["heads"] = std::to_string(shape_.head_count);
    made_.metadata["activation"] = shape_.activation;
    add("backbone.position.weight", {shape_.max_history, shape_.dim}, 0.3);
    norm("backbone.norm", shape_.dim);
    for (std::size_t i = 0; i < shape_.layer_count; ++i) {
      const std::string name = "backbone.layers." + std::to_string(i);
      for (const char* part : {"query", "key", "value", "output"}) {
        linear(name + ".attention." + part, shape_.dim, shape_.dim);
      }
      norm(name + ".attention.norm", shape_.dim);
      linear(name + ".feed_forward.inner", shape_.inner, shape_.dim);
      linear(name + ".feed_forward.output", shape_.dim, shape_.inner);
      norm(name + ".feed_forward.norm", shape_.dim);
    }
  }

  const MadeShape shape_;
  std::mt19937_64& random_;
  MadeAdapter made_;
};

inline MadeAdapter make_adapter(const MadeShape& shape, std::mt19937_64& random) {
  return AdapterMaker(shape, random).take();
}

inline std::string with_length(const std::string& header, const std::string& data) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>((header.size() >> (8 * i)) & 0xFF);
  return file + header + data;
}

inline std::string quoted(const std::string& text) {
  return '"' + text + '"';
}

/// The file; tensors in the order of their names.
inline std::string write_adapter(const MadeAdapter& made) {
  std::string header = "{\"__metadata__\":{";
  for (const auto& [key, value] : made.metadata) {
    if (header.back() != '{') header += ',';
    header += quoted(key) + ":" + quoted(value);
  }
  header += '}';
  std::string data;
  for (const auto& [name, tensor] : made.tensors) {
    header += "," + quoted(name) + ":{\"dtype\":\"F32\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      header += (i > 0 ? "," : "") + std::to_string(tensor.shape[i]);
    }
    const std::size_t begin = data.size();
    data.resize(begin + tensor.values.size() * sizeof(float));
    std::memcpy(data.data() + begin, tensor.values.data(), tensor.values.size() * sizeof(float));
    header +=
        "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
  }
  return with_length(header + "}", data);
}

}  // namespace tessera::adapter::testing
