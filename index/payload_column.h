#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <variant>
#include <vector>

namespace tessera::index {

/// Slot -> the values it holds, in pages so that a few high slot numbers cost little.
/// Thread rule: confined; the owner locks.
template <class Value>
class SlotColumn {
 public:
  /// Valid until the next replace().
  [[nodiscard]] std::span<const Value> values(std::uint32_t slot) const {
    const std::size_t page_index = slot / kPageSlotCount;
    if (page_index >= pages_.size() || pages_[page_index] == nullptr) return {};
    const Cell& cell = (*pages_[page_index])[slot % kPageSlotCount];
    if (const auto* single = std::get_if<Value>(&cell)) return {single, 1};
    if (const auto* several = std::get_if<Several>(&cell)) return **several;
    return {};
  }

  /// An empty list clears the slot.
  void replace(std::uint32_t slot, std::vector<Value> values) {
    const std::size_t page_index = slot / kPageSlotCount;
    if (page_index >= pages_.size()) {
      if (values.empty()) return;
      pages_.resize(page_index + 1);
    }
    if (pages_[page_index] == nullptr) {
      if (values.empty()) return;
      pages_[page_index] = std::make_unique<Page>();
    }
    Cell& cell = (*pages_[page_index])[slot % kPageSlotCount];
    if (values.empty()) {
      cell = std::monostate{};
    } else if (values.size() == 1) {
      cell = values.front();
    } else {
      cell = std::make_unique<std::vector<Value>>(std::move(values));
    }
  }

  /// Bytes of the pages, without the arrays of slots that hold several values.
  [[nodiscard]] std::size_t page_bytes() const {
    std::size_t bytes = pages_.capacity() * sizeof(pages_[0]);
    for (const auto& page : pages_) bytes += page == nullptr ? 0 : sizeof(Page);
    return bytes;
  }

 private:
  static constexpr std::size_t kPageSlotCount = 1024;
  using Several = std::unique_ptr<std::vector<Value>>;
  using Cell = std::variant<std::monostate, Value, Several>;
  using Page = std::array<Cell, kPageSlotCount>;

  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace tessera::index
