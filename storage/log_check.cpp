#include "storage/log_check.h"

#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "storage/fixed.h"

namespace tessera::storage {
namespace {

// The format is in RocksDB's db/log_format.h. Fragments never cross a block border:
// masked CRC-32C (4) | length (2) | type (1) | payload, the checksum over type and payload.
constexpr std::uint64_t kBlockBytes = 32 << 10;
constexpr std::uint64_t kHeaderBytes = 7;
constexpr std::uint64_t kTypeOffset = 6;
constexpr std::uint8_t kFull = 1;
constexpr std::uint8_t kFirst = 2;
constexpr std::uint8_t kLast = 4;

constexpr std::uint64_t kSectorBytes = 512;
/// A sector that ends a record with fewer zero bytes than this may have been written so.
constexpr std::uint64_t kMissingBytesMin = 12;

std::uint32_t masked(std::uint32_t crc) {
  return (crc >> 15 | crc << 17) + 0xa282ead8;
}

class LogScan {
 public:
  explicit LogScan(std::span<const std::byte> bytes) : bytes_(bytes) {}

  LogCheck run() const {
    std::uint64_t record = 0;  // Where the record began whose fragments are being read.
    bool is_between_records = true;
    for (std::uint64_t offset = 0; offset < bytes_.size();) {
      offset = skip_trailer(offset);
      if (offset >= bytes_.size()) break;
      if (is_between_records || starts_record(offset)) record = offset;
      const std::optional<std::uint64_t> end = fragment_end(offset);
      if (!end) return judge(record, offset);
      is_between_records = type(offset) == kFull || type(offset) == kLast;
      offset = *end;
    }
    return {};
  }

 private:
  /// A block's last bytes stay empty when no header fits in.
  static std::uint64_t skip_trailer(std::uint64_t offset) {
    const std::uint64_t left = kBlockBytes - offset % kBlockBytes;
    return left < kHeaderBytes ? offset + left : offset;
  }

  [[nodiscard]] std::uint8_t type(std::uint64_t offset) const {
    return get_fixed<std::uint8_t>(&bytes_[offset + kTypeOffset]);
  }

  [[nodiscard]] bool starts_record(std::uint64_t offset) const {
    return offset + kHeaderBytes <= bytes_.size() &&
           (type(offset) == kFull || type(offset) == kFirst);
  }

  [[nodiscard]] std::uint64_t length(std::uint64_t offset) const {
    return get_fixed<std::uint16_t>(&bytes_[offset + 4]);
  }

  [[nodiscard]] bool checksum_fits(std::uint64_t offset, std::uint64_t payload_bytes) const {
    const std::uint32_t crc = crc32c(0, bytes_.subspan(offset + kTypeOffset, 1 + payload_bytes));
    return get_fixed<std::uint32_t>(&bytes_[offset]) == masked(crc);
  }

  /// Where the fragment at `offset` ends; nullopt when there is no whole one.
  [[nodiscard]] std::optional<std::uint64_t> fragment_end(std::uint64_t offset) const {
    if (offset + kHeaderBytes > bytes_.size()) return std::nullopt;
    const std::uint64_t end = offset + kHeaderBytes + length(offset);
    const std::uint64_t block_end = offset - offset % kBlockBytes + kBlockBytes;
    if (end > bytes_.size() || end > block_end || type(offset) == 0) return std::nullopt;
    if (!checksum_fits(offset, length(offset))) return std::nullopt;
    return end;
  }

  [[nodiscard]] LogCheck judge(std::uint64_t record, std::uint64_t bad) const {
    if (whole_record_begins_after(bad)) return {LogCheck::State::kDamaged, bad};
    if (bad + kHeaderBytes > bytes_.size()) return {LogCheck::State::kTorn, record};
    const std::uint64_t payload_bytes = bytes_.size() - bad - kHeaderBytes;
    if (misses_header(bad)) return {LogCheck::State::kTorn, record};
    if (length(bad) > payload_bytes && !misses_sector(bad)) {
      const bool only_length_is_wrong = checksum_fits(bad, payload_bytes);
      return only_length_is_wrong ? LogCheck{LogCheck::State::kDamaged, bad}
                                  : LogCheck{LogCheck::State::kTorn, record};
    }
    return misses_sector(bad) ? LogCheck{LogCheck::State::kTorn, record}
                              : LogCheck{LogCheck::State::kDamaged, bad};
  }

  /// A writer begins a record only after the one before was handed over whole, so a whole one
  /// further on says that the bad one had been whole too. Fragments of the bad record itself say
  /// nothing.
  [[nodiscard]] bool whole_record_begins_after(std::uint64_t bad) const {
    // The lengths are lost in this block, so every byte may be a beginning; the next blocks begin
    // with a fragment.
    const std::uint64_t block_end = bad - bad % kBlockBytes + kBlockBytes;
    const std::uint64_t search_end = std::min<std::uint64_t>(block_end, bytes_.size());
    for (std::uint64_t offset = bad + 1; offset + kHeaderBytes <= search_end; ++offset) {
      if (starts_record(offset) && fragment_end(offset)) return true;
    }
    for (std::uint64_t block = block_end; block < bytes_.size(); block += kBlockBytes) {
      for (std::uint64_t offset = block; skip_trailer(offset) < bytes_.size();) {
        offset = skip_trailer(offset);
        const std::optional<std::uint64_t> end = fragment_end(offset);
        if (!end) break;
        if (starts_record(offset)) return true;
        offset = *end;
      }
    }
    return false;
  }

  /// Whether the sector that holds the type was never written, in a file that ends soon after it.
  /// No writer leaves type and length zero, and damage to one bit does not make them so.
  [[nodiscard]] bool misses_header(std::uint64_t begin) const {
    const std::uint64_t at = begin + kTypeOffset;
    const std::uint64_t sector = std::max(begin, at - at % kSectorBytes);
    const auto rest = bytes_.subspan(
        sector, std::min(kSectorBytes - sector % kSectorBytes, bytes_.size() - sector));
    return is_zero(rest) && (sector > begin + 4 || length(begin) == 0);
  }

  static bool is_zero(std::span<const std::byte> bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
  }

  /// Whether some sector behind `begin` was never written: the log is not reused, so it reads as
  /// zeros.
  [[nodiscard]] bool misses_sector(std::uint64_t begin) const {
    while (begin < bytes_.size()) {
      const std::uint64_t sector_end = begin - begin % kSectorBytes + kSectorBytes;
      const std::uint64_t end = std::min<std::uint64_t>(sector_end, bytes_.size());
      const auto sector = bytes_.subspan(begin, end - begin);
      if (is_zero(sector) && sector.size() >= kMissingBytesMin) return true;
      begin = end;
    }
    return false;
  }

  const std::span<const std::byte> bytes_;
};

}  // namespace

LogCheck check_log(std::span<const std::byte> bytes) {
  return LogScan(bytes).run();
}

}  // namespace tessera::storage
