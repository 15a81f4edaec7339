#include "adapter/weights.h"

#include <limits>
#include <random>

#include <catch2/catch.hpp>

#include "adapter/safetensors.h"
#include "tests/adapter/made_adapter.h"

namespace tessera::adapter {
namespace {

using testing::MadeAdapter;
using testing::MadeShape;
using testing::with_length;
using testing::write_adapter;

MadeAdapter made(const std::string& backbone) {
  std::mt19937_64 random(1);
  MadeShape shape;
  shape.backbone = backbone;
  return make_adapter(shape, random);
}

/// What is wrong with a file.
std::string error_of(const std::string& file) {
  const auto weights = read_weights(file);
  if (weights.has_value()) return "nothing";
  CHECK(weights.error().code() == Code::kInvalidArgument);
  return weights.error().message();
}
std::string error_of(const MadeAdapter& adapter) {
  return error_of(write_adapter(adapter));
}

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return true;
}

/// A file with this header and so many bytes behind it.
std::string error_of_header(const std::string& header, std::size_t data_bytes) {
  const auto file = read_safetensors(with_length(header, std::string(data_bytes, '\0')));
  return file.has_value() ? "nothing" : file.error().message();
}

}  // namespace

TEST_CASE("weights: a file is read whole") {
  for (const std::string backbone : {"mean", "gru4rec", "sasrec"}) {
    const MadeAdapter adapter = made(backbone);
    const auto weights = read_weights(write_adapter(adapter));
    REQUIRE(weights.has_value());
    std::size_t count = 0;
    for (const auto& [name, tensor] : adapter.tensors) count += tensor.values.size();
    CHECK(weights->parameter_count == count);
    CHECK(backbone_name(weights->backbone) == backbone);
    CHECK(weights->dim == 8);
    CHECK(weights->context_size == 5);
    CHECK(weights->max_history == 50);
    CHECK(weights->filter_kernel == adapter.tensors.at("filter.kernel").values);
    CHECK_FALSE(weights->has_item_bias);
  }
}

TEST_CASE("weights: every missing, unknown, misshapen and not finite tensor is named") {
  for (const std::string backbone : {"mean", "gru4rec", "sasrec"}) {
    const MadeAdapter whole = made(backbone);
    for (const auto& [name, tensor] : whole.tensors) {
      INFO(name);
      MadeAdapter damaged = whole;
      damaged.tensors.erase(name);
      CHECK(error_of(damaged) == "adapter: tensor '" + name + "': is missing");

      damaged = whole;
      damaged.tensors["another." + name] = tensor;
      CHECK(error_of(damaged) ==
            "adapter: tensor 'another." + name + "': is not a part of such an adapter");

      damaged = whole;
      damaged.tensors[name].shape.push_back(1);
      // A size that others follow may first be seen in one of those.
      CHECK(contains(error_of(damaged), "has the shape ["));

      damaged = whole;
      damaged.tensors[name].values.back() = std::numeric_limits<float>::quiet_NaN();
      CHECK(contains(error_of(damaged), "adapter: tensor '" + name + "': element "));
      damaged.tensors[name].values.back() = -std::numeric_limits<float>::infinity();
      CHECK(contains(error_of(damaged), "is not finite"));
    }
  }
}

TEST_CASE("weights: the metadata is checked, and defaults are those of the format") {
  MadeAdapter adapter = made("sasrec");
  const auto with = [&](const std::string& key, const std::string& value) {
    MadeAdapter changed = adapter;
    changed.metadata[key] = value;
    return error_of(changed);
  };
  CHECK(contains(with("format", "tessera-adapter-2"), "__metadata__.format: 'tessera-adapter-2'"));
  CHECK(contains(with("backbone", "bert"), "__metadata__.backbone: 'bert' is none of sasrec"));
  CHECK(contains(with("activation", "tanh"), "__metadata__.activation: 'tanh' is none of swish"));
  CHECK(contains(with("heads", "3"), "__metadata__.heads: 3 heads do not divide 8 dimensions"));
  for (const std::string heads : {"0", "-1", "two", "2.5", "", "2 ", "99999999999999999999"}) {
    CHECK(contains(with("heads", heads), "__metadata__.heads: '" + heads + "'"));
  }
  for (const std::string eps : {"0", "-1e-12", "nan", "inf", "x", "1e999"}) {
    CHECK(contains(with("layer_norm_eps", eps), "__metadata__.layer_norm_eps: '" + eps + "'"));
  }
  CHECK(contains(with("item_bias", "first"), "__metadata__.item_bias: 'first' is none of"));
  CHECK(contains(with("max_history", "0"), "__metadata__.max_history: '0'"));
  for (const std::string key : {"format", "backbone", "heads"}) {
    MadeAdapter changed = adapter;
    changed.metadata.erase(key);
    CHECK(error_of(changed) == "adapter: __metadata__." + key + ": is missing");
  }
  adapter.metadata.erase("activation");
  const auto weights = read_weights(write_adapter(adapter));
  REQUIRE(weights.has_value());
  CHECK(weights->activation == Activation::kSwish);
  CHECK(weights->layer_norm_eps == 1e-12);
}

TEST_CASE("weights: sizes beyond the limits are refused") {
  std::mt19937_64 random(1);
  MadeShape shape;
  shape.dim = 1;
  shape.context_size = kContextSizeMax + 1;
  CHECK(contains(error_of(make_adapter(shape, random)), "'filter.kernel': a context of 1025"));
  shape.context_size = 2;
  shape.backbone = "sasrec";
  shape.head_count = 1;
  shape.inner = kInnerSizeMax + 1;
  CHECK(contains(error_of(make_adapter(shape, random)), "an inner size of 16385"));
  shape.inner = 2;
  shape.max_history = kMaxHistoryMax + 1;
  CHECK(contains(error_of(make_adapter(shape, random)), "a history of 1025"));
  shape.max_history = 2;
  shape.layer_count = kLayerCountMax + 1;
  CHECK(contains(error_of(make_adapter(shape, random)), "backbone.layers.64."));
}

TEST_CASE("weights: a file cut off anywhere is refused") {
  const std::string file = write_adapter(made("sasrec"));
  for (std::size_t size = 0; size < file.size(); size += size < 600 ? 1 : 97) {
    INFO(size);
    CHECK(error_of(file.substr(0, size)) != "nothing");
  }
  CHECK(contains(error_of(file + "x"), "1 bytes at the end of the file belong to no tensor"));
}

TEST_CASE("safetensors: the length of the header is checked before anything is made of it") {
  const auto length = [](std::uint64_t value, std::size_t behind) {
    std::string file;
    for (int i = 0; i < 8; ++i) file += static_cast<char>((value >> (8 * i)) & 0xFF);
    return error_of(file + std::string(behind, '{'));
  };
  CHECK(contains(length(1ULL << 63, 100), "9223372036854775808 bytes; at most"));
  CHECK(contains(length(~0ULL, 100), "18446744073709551615 bytes; at most"));
  CHECK(contains(length(kHeaderBytesMax + 1, 100), "at most"));
  CHECK(contains(length(101, 100), "the file ends within its header"));
  CHECK(contains(length(100, 100), "not valid JSON"));
  CHECK(contains(length(0, 0), "not valid JSON"));
  CHECK(contains(error_of("1234567"), "too few for the length of its header"));
}

TEST_CASE("safetensors: headers that lie are refused") {
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  CHECK(error_of_header(good, 8) == "nothing");
  const auto tensor = [](const std::string& body, std::size_t bytes) {
    return error_of_header("{\"a\":" + body + "}", bytes);
  };
  CHECK(contains(tensor(R"({"dtype":"F16","shape":[2],"data_offsets":[0,8]})", 8), "not F32"));
  CHECK(contains(tensor(R"({"shape":[2],"data_offsets":[0,8]})", 8), "has no dtype"));
  CHECK(contains(tensor(R"({"dtype":"F32","data_offsets":[0,8]})", 8), "has no shape"));
  CHECK(
      contains(tensor(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})", 8), "list of sizes"));
  CHECK(contains(tensor(R"({"dtype":"F32","shape":[2.5],"data_offsets":[0,8]})", 8),
                 "list of sizes"));
  CHECK(contains(tensor(R"({"dtype":"F32","shape":[2]})", 8), "not two numbers"));
  CHECK(
      contains(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})", 8), "not two numbers"));
  CHECK(contains(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})", 8),
                 "the wrong way round"));
  CHECK(contains(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})", 8),
                 "reaches to byte 12 of 8"));
  CHECK(contains(tensor(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})", 8),
                 "does not take 8 bytes"));
  // 2^62 * 4 elements are 0 bytes modulo 2^64.
  CHECK(
      contains(tensor(R"({"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]})", 0),
               "does not take 0 bytes"));
  CHECK(
      contains(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]})", 8),
               "reaches to byte"));
  CHECK(contains(tensor("[1]", 0), "not described by an object"));
  CHECK(contains(tensor("1", 0), "not described by an object"));
  CHECK(contains(error_of_header("[]", 0), "not a JSON object"));
  CHECK(contains(error_of_header(R"({"__metadata__":[]})", 0), "__metadata__ is not an object"));
  CHECK(contains(error_of_header(R"({"__metadata__":{"a":1}})", 0), "'a' is not a string"));

  const auto two = [](const std::string& a, const std::string& b, std::size_t bytes) {
    return error_of_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":)" + a +
                               R"(},"b":{"dtype":"F32","shape":[2],"data_offsets":)" + b + "}}",
                           bytes);
  };
  CHECK(two("[0,8]", "[8,16]", 16) == "nothing");
  CHECK(two("[8,16]", "[0,8]", 16) == "nothing");
  CHECK(contains(two("[0,8]", "[0,8]", 8), "overlaps another"));
  CHECK(contains(two("[0,8]", "[4,12]", 12), "'b': overlaps another"));
  CHECK(contains(two("[0,8]", "[12,20]", 20), "'b': there are bytes before it"));
  CHECK(contains(two("[4,12]", "[12,20]", 20), "'a': there are bytes before it"));
  CHECK(contains(error_of_header("{" + good.substr(1, good.size() - 2) + "," + good.substr(1), 8),
                 "tensor 'a': is named twice"));
  CHECK(contains(error_of_header(std::string(100'000, '['), 0), "not valid JSON"));
  CHECK(contains(
      error_of_header("{\"a\":" + std::string(50'000, '[') + std::string(50'000, ']') + "}", 0),
      "not described by an object"));
  const std::string name(300, 'n');
  CHECK(contains(error_of_header("{\"" + name + "\":1}", 0), std::string(100, 'n') + "..."));
}

}  // namespace tessera::adapter
