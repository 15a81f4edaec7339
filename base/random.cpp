#include "base/random.h"

#include <unistd.h>

namespace tessera {

Result<std::array<std::uint8_t, 16>> random_bits_128() {
  std::array<std::uint8_t, 16> bits{};
  if (getentropy(bits.data(), bits.size()) != 0) {
    return Status(Code::kUnavailable, "the system gives no random bits");
  }
  return bits;
}

}  // namespace tessera
