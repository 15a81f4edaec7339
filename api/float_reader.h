#pragma once

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace tessera::api {

/// Reads JSON numbers as float32, with the same result as reading them as double and narrowing
/// that: what decimal digits can say in 53 bits is converted exactly by one operation (Clinger,
/// "How to read floating point numbers accurately", 1990); what they say in 64 bits nearly, which
/// suffices unless it is as far from two float32; the rest by std::from_chars. Thread rule:
/// confined to one thread.
class FloatReader {
 public:
  FloatReader(const char* begin, const char* end) : at_(begin), end_(end) {}

  [[nodiscard]] const char* at() const { return at_; }
  /// The number at the present place, which moves behind it. false, and the place is anywhere, for
  /// what is no JSON number, not finite as float32, or an integer that may not fit 64 bits.
  [[nodiscard]] bool read(float& number) {
    const char* const begin = at_;
    const bool is_negative = at_ != end_ && *at_ == '-';
    at_ += is_negative ? 1 : 0;  // Nobody foresees signs either.
    mantissa_ = 0;
    const char* const whole = at_;
    if (end_ - at_ >= 2 && is_digit(at_[0]) && at_[1] == '.') {
      mantissa_ = static_cast<std::uint64_t>(*at_++ - '0');
    } else {
      read_digits();
    }
    const auto whole_count = at_ - whole;
    if (whole_count == 0 || (*whole == '0' && whole_count > 1)) return false;
    const bool is_whole = at_ == end_ || (*at_ != '.' && *at_ != 'e' && *at_ != 'E');
    if (is_whole) {
      if (whole_count > kExactDigits) return false;
      const auto integer = static_cast<std::int64_t>(mantissa_);
      number = static_cast<float>(static_cast<double>(is_negative ? -integer : integer));
      return true;
    }
    std::int64_t fraction_count = 0;
    if (*at_ == '.') {
      const char* const fraction = ++at_;
      read_digits();
      fraction_count = at_ - fraction;
      if (fraction_count == 0) return false;
    }
    std::int64_t exponent = 0;
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E') && !read_exponent(exponent)) return false;
    const std::int64_t power = exponent - fraction_count;
    double wide = 0;
    bool is_sure = false;
    if (power >= -kExactPower && power <= kExactPower &&
        (whole_count + fraction_count <= kFittingDigits ||
         whole_count + fraction_count - leading_zeros(whole, at_) <= kFittingDigits)) {
      wide = static_cast<double>(mantissa_);
      wide = power < 0 ? wide / kPowers[-power] : wide * kPowers[power];
      is_sure = mantissa_ <= kExactMantissa || !is_near_middle(wide);
      wide *= is_negative ? -1.0 : 1.0;
    }
    if (!is_sure) {
      const auto [stop, error] = std::from_chars(begin, at_, wide);
      if (error != std::errc() || stop != at_) return false;
    }
    number = static_cast<float>(wide);
    return std::isfinite(number);
  }

 private:
  static constexpr std::int64_t kExactDigits = 18;    // Fit a signed integer of 64 bits.
  static constexpr std::int64_t kFittingDigits = 19;  // Fit 64 bits, whatever they are.
  static constexpr std::uint64_t kExactMantissa = std::uint64_t{1} << 53;
  static constexpr std::int64_t kExactPower = 22;
  static constexpr double kPowers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

  static constexpr std::uint64_t kZeros = 0x3030303030303030U;
  static constexpr std::uint64_t kScales[] = {1,       10,        100,        1'000,      10'000,
                                              100'000, 1'000'000, 10'000'000, 100'000'000};

  /// Zeros that begin a number: of its digits those that say nothing.
  static std::int64_t leading_zeros(const char* digits, const char* end) {
    std::int64_t count = 0;
    for (; digits != end && (*digits == '0' || *digits == '.'); ++digits) {
      count += *digits == '0' ? 1 : 0;
    }
    return count;
  }

  /// Whether a double that two roundings made could be on the other side of the middle between two
  /// float32. All in reach are normal numbers: the smallest has the 22nd negative power.
  static bool is_near_middle(double wide) {
    constexpr int kBitsLess = 52 - 23;
    constexpr std::uint64_t kMiddle = std::uint64_t{1} << (kBitsLess - 1);
    constexpr std::uint64_t kDoubt = 4;
    const std::uint64_t rest =
        std::bit_cast<std::uint64_t>(wide) & ((std::uint64_t{1} << kBitsLess) - 1);
    return rest - (kMiddle - kDoubt) <= 2 * kDoubt;
  }

  static bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

  /// Digits into mantissa_, which is right for up to 19 of them behind any zeros. Up to 16 at a
  /// time and without a branch on their count, which no processor foresees.
  void read_digits() {
    if constexpr (std::endian::native == std::endian::little) {
      while (end_ - at_ >= 16) {
        std::uint64_t first = 0;
        std::uint64_t second = 0;
        std::memcpy(&first, at_, 8);
        std::memcpy(&second, at_ + 8, 8);
        const unsigned first_count = leading_digits(first);
        const unsigned second_count = first_count == 8 ? leading_digits(second) : 0;
        mantissa_ = mantissa_ * kScales[first_count] + value_of(first, first_count);
        mantissa_ = mantissa_ * kScales[second_count] + value_of(second, second_count);
        at_ += first_count + second_count;
        if (second_count < 8) return;
      }
    }
    for (; at_ != end_ && is_digit(*at_); ++at_) {
      mantissa_ = mantissa_ * 10 + static_cast<std::uint64_t>(*at_ - '0');
    }
  }

  /// How many of the eight bytes, from the first on, are digits. One of the two sums sets the high
  /// bit of a byte that is none; carries only reach the bytes behind the first such.
  static unsigned leading_digits(std::uint64_t text) {
    const std::uint64_t others =
        ((text + 0x4646464646464646U) | (text - kZeros)) & 0x8080808080808080U;
    return others == 0 ? 8 : static_cast<unsigned>(std::countr_zero(others)) / 8;
  }

  /// The number that the first `count` bytes spell. Pairs of digits, then pairs of those, are put
  /// together by multiplications.
  static std::uint64_t value_of(std::uint64_t text, unsigned count) {
    // In two steps: 64 is no distance to shift by.
    const unsigned distance = 8 * (8 - count) / 2;
    std::uint64_t digits = ((text - kZeros) << distance) << distance;
    digits = (digits * 10) + (digits >> 8);
    constexpr std::uint64_t kMask = 0x000000FF000000FFU;
    constexpr std::uint64_t kOuter = 0x000F424000000064U;  // 100 and 1000000 << 32
    constexpr std::uint64_t kInner = 0x0000271000000001U;  // 1 and 10000 << 32
    return (((digits & kMask) * kOuter) + (((digits >> 16) & kMask) * kInner)) >> 32;
  }

  bool read_exponent(std::int64_t& exponent) {
    ++at_;
    const bool is_negative = at_ != end_ && *at_ == '-';
    if (at_ != end_ && (*at_ == '-' || *at_ == '+')) ++at_;
    const char* const begin = at_;
    for (; at_ != end_ && is_digit(*at_); ++at_) {
      if (exponent < 100'000) exponent = exponent * 10 + (*at_ - '0');
    }
    if (is_negative) exponent = -exponent;
    return at_ != begin;
  }

  const char* at_;
  const char* const end_;
  std::uint64_t mantissa_ = 0;
};

}  // namespace tessera::api
