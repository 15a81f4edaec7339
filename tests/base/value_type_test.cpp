#include "base/value_type.h"

#include <limits>
#include <vector>

#include <catch2/catch.hpp>

namespace tessera {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST_CASE("value type: what can be stored is what can be read back, rounded for float16",
          "[unit]") {
  for (const float value : {0.0F, 1.0F, 7.0F, 255.0F}) CHECK(is_storable(ValueType::kUint8, value));
  for (const float value : {-1.0F, 256.0F, 0.5F, 254.99F, 1e30F, kInfinity, -kInfinity, kNan}) {
    CHECK_FALSE(is_storable(ValueType::kUint8, value));
  }
  for (const float value : {0.0F, -65504.0F, 65519.0F, 1e-30F}) {
    CHECK(is_storable(ValueType::kFloat16, value));
    CHECK(std::isfinite(to_float(to_float16(value))));
  }
  for (const float value : {65520.0F, -65520.0F, 1e30F, kInfinity, kNan}) {
    CHECK_FALSE(is_storable(ValueType::kFloat16, value));
    CHECK_FALSE(std::isfinite(to_float(to_float16(value))));
  }
  CHECK(is_storable(ValueType::kFloat32, 3e38F));
  CHECK_FALSE(is_storable(ValueType::kFloat32, kNan));
}

TEST_CASE("value type: narrowed values widen to themselves at any address", "[unit]") {
  for (const ValueType type : {ValueType::kFloat32, ValueType::kFloat16, ValueType::kUint8}) {
    CAPTURE(value_type_name(type));
    const std::vector<float> values = {0, 1, 128, 255, 17};
    std::vector<char> bytes(values.size() * value_bytes(type) + 3, 'x');
    narrow_values(type, values.data(), values.size(), bytes.data() + 1);
    CHECK(bytes.front() == 'x');
    CHECK(bytes.back() == 'x');
    std::vector<float> widened(values.size());
    widen_values(type, bytes.data() + 1, values.size(), widened.data());
    CHECK(widened == values);
    CHECK(value_type_of(static_cast<std::uint8_t>(type)) == type);
  }
  CHECK_FALSE(value_type_of(3));
}

}  // namespace
}  // namespace tessera
