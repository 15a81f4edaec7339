#include "bench/support/arguments.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace tessera::bench {

constexpr std::size_t kNumberMax = 100'000'000;

ArgumentReader::ArgumentReader(std::string program, int argc, char** argv)
    : program_(std::move(program)), count_(argc), words_(argv) {}

bool ArgumentReader::next() {
  if (++at_ >= count_) return false;
  name_ = words_[at_];
  return true;
}

std::string ArgumentReader::value() {
  if (at_ + 1 >= count_) refuse(name_ + " needs a value");
  return words_[++at_];
}

std::size_t ArgumentReader::number() {
  const std::string text = value();
  std::size_t parsed = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size() || parsed == 0 ||
      parsed > kNumberMax) {
    refuse(name_ + ": '" + text + "' is not a number from 1 to " + std::to_string(kNumberMax));
  }
  return parsed;
}

void ArgumentReader::refuse(const std::string& message) const {
  std::fprintf(stderr, "%s: %s\n", program_.c_str(), message.c_str());
  std::exit(2);
}

std::string ArgumentReader::command() const {
  std::string text = program_;
  for (int i = 1; i < count_; ++i) text += " " + std::string(words_[i]);
  return text;
}

}  // namespace tessera::bench
