#pragma once

#include <array>
#include <cstdint>

#include "base/status.h"

namespace tessera {

/// 128 bits that nobody can guess, from the system's generator. kUnavailable when it gives none.
/// Thread rule: safe from any thread.
Result<std::array<std::uint8_t, 16>> random_bits_128();

}  // namespace tessera
