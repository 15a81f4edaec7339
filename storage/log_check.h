#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tessera::storage {

/// What a scan of a RocksDB log (write-ahead log or MANIFEST) found.
struct LogCheck {
  enum class State : std::uint8_t {
    kWhole,
    kTorn,    ///< The last record did not reach the disk whole; what precedes it is intact.
    kDamaged  ///< Bytes changed that had been written whole.
  };
  State state = State::kWhole;
  /// Where the torn record begins, or where the damage is.
  std::uint64_t offset = 0;
};

/// Tells a record that a power loss tore from one that was damaged later.
///
/// RocksDB's own reader takes any record that claims to reach past the end of the file for a torn
/// one and forgets what follows in that block; a checksum does not cover a record's length, so one
/// flipped bit there loses acknowledged writes without a word. This scan says kDamaged when a whole
/// record begins behind the bad one, when the bad one is whole but for its length, or when no
/// sector of it is missing. On the other side, RocksDB refuses a last record of which a sector in
/// the middle is missing; here that is kTorn.
[[nodiscard]] LogCheck check_log(std::span<const std::byte> bytes);

}  // namespace tessera::storage
