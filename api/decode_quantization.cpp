#include "api/decode.h"

namespace tessera::api {

using engine::QuantizationConfig;
using Kind = QuantizationConfig::Kind;

namespace {

constexpr double kQuantileMin = 0.5;

/// The members that all kinds share.
void read_shared(const Object& object, QuantizationConfig& config) {
  if (const auto always = object.given("always_ram")) config.always_ram = always->boolean();
  object.not_yet("memory", "a memory policy");
}

QuantizationConfig decode_scalar(const Value& value) {
  QuantizationConfig config;
  config.kind = Kind::kScalar;
  const Object object(value);
  if (!object.ok()) return config;
  if (const auto type = object.require("type")) (void)type->one_of<bool>({{"int8", true}});
  if (const auto quantile = object.given("quantile")) {
    config.quantile = quantile->number_in(kQuantileMin, 1);
  }
  read_shared(object, config);
  return config;
}

QuantizationConfig decode_product(const Value& value) {
  QuantizationConfig config;
  config.kind = Kind::kProduct;
  const Object object(value);
  if (!object.ok()) return config;
  if (const auto compression = object.require("compression")) {
    config.compression = compression->one_of<std::uint32_t>(
        {{"x4", 4}, {"x8", 8}, {"x16", 16}, {"x32", 32}, {"x64", 64}});
  }
  read_shared(object, config);
  return config;
}

/// A spelling that is kept; one that is known but not there is refused.
std::optional<std::string> decode_spelling(
    const Value& value, const char* what,
    std::initializer_list<std::pair<std::string_view, bool>> spellings) {
  const auto is_supported = value.one_of<bool>(spellings);
  if (!is_supported) return std::nullopt;
  if (!*is_supported) value.report_unimplemented(what + value.shown());
  return std::string(*value.string());
}

QuantizationConfig decode_binary(const Value& value) {
  QuantizationConfig config;
  config.kind = Kind::kBinary;
  const Object object(value);
  if (!object.ok()) return config;
  if (const auto encoding = object.given("encoding")) {
    config.encoding =
        decode_spelling(*encoding, "the encoding ",
                        {{"one_bit", true}, {"two_bits", false}, {"one_and_half_bits", false}});
  }
  if (const auto encoding = object.given("query_encoding")) {
    config.query_encoding = decode_spelling(
        *encoding, "the query encoding ",
        {{"default", true}, {"binary", true}, {"scalar4bits", false}, {"scalar8bits", false}});
  }
  read_shared(object, config);
  return config;
}

std::optional<QuantizationConfig> decode_one(const Value& value, QuantizationPlace place) {
  if (place == QuantizationPlace::kChange && value.is(Value::Kind::kString)) {
    (void)value.one_of<bool>({{"Disabled", true}});
    QuantizationConfig config;
    config.kind = Kind::kDisabled;
    return config;
  }
  const Object object(value);
  if (!object.ok()) return std::nullopt;
  std::size_t kind_count = 0;
  for (const char* name : {"scalar", "product", "binary", "turbo"}) kind_count += object.has(name);
  if (kind_count != 1) {
    value.report_format("expected one of `scalar`, `product`, `binary`, `turbo`, found " +
                        std::string(kind_count == 0 ? "none" : "more than one"));
    return std::nullopt;
  }
  if (const auto scalar = object.find("scalar")) return decode_scalar(*scalar);
  if (const auto product = object.find("product")) return decode_product(*product);
  if (const auto binary = object.find("binary")) return decode_binary(*binary);
  object.find("turbo")->report_unimplemented("turbo quantization");
  return std::nullopt;
}

}  // namespace

std::optional<QuantizationConfig> decode_quantization(const Object& object,
                                                      QuantizationPlace place) {
  const auto given = object.given("quantization_config");
  const auto alias = object.given("quantization");
  if (given && alias) {
    alias->report_format("duplicate field `quantization_config`");
    return std::nullopt;
  }
  if (given) return decode_one(*given, place);
  if (alias) return decode_one(*alias, place);
  return std::nullopt;
}

}  // namespace tessera::api
