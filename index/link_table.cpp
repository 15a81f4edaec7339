#include "index/link_table.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace tessera::index {
namespace {

constexpr std::uint32_t kTopLevelMax = 31;

std::vector<std::uint8_t> draw_levels(std::size_t node_count, std::uint32_t m, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const double scale = 1 / std::log(static_cast<double>(m));
  std::vector<std::uint8_t> levels(node_count);
  for (std::uint8_t& level : levels) {
    const double uniform = (static_cast<double>(random() >> 11) + 1) * 0x1p-53;  // (0, 1]
    level = static_cast<std::uint8_t>(
        std::min<double>(-std::log(uniform) * scale, double{kTopLevelMax}));
  }
  return levels;
}

std::uint32_t load(std::uint32_t& link) {
  return std::atomic_ref(link).load(std::memory_order_acquire);
}

// A link that is seen to be there brings with it what its node's own lists were before.
void store(std::uint32_t& link, std::uint32_t value) {
  std::atomic_ref(link).store(value, std::memory_order_release);
}

}  // namespace

LinkTable::LinkTable(std::size_t node_count, std::uint32_t m, std::uint64_t seed)
    : m_(m), top_levels_(draw_levels(node_count, m, seed)), upper_slots_(node_count) {
  std::uint32_t slot_count = 0;
  for (std::size_t node = 0; node < node_count; ++node) {
    upper_slots_[node] = slot_count;
    slot_count += top_levels_[node];
  }
  lowest_bytes_ = AlignedBytes(node_count * room(0) * sizeof(std::uint32_t));
  upper_bytes_ = AlignedBytes(std::size_t{slot_count} * m * sizeof(std::uint32_t));
  lowest_lists_ = reinterpret_cast<std::uint32_t*>(lowest_bytes_.data());
  upper_lists_ = reinterpret_cast<std::uint32_t*>(upper_bytes_.data());
  std::fill_n(lowest_lists_, node_count * room(0), kNone);
  std::fill_n(upper_lists_, std::size_t{slot_count} * m, kNone);
}

std::uint32_t* LinkTable::list(std::uint32_t node, std::uint32_t level) const {
  if (level == 0) return lowest_lists_ + node * room(0);
  return upper_lists_ + (std::size_t{upper_slots_[node]} + level - 1) * m_;
}

std::size_t LinkTable::read(std::uint32_t node, std::uint32_t level, std::uint32_t* out) const {
  std::uint32_t* const links = list(node, level);
  const std::size_t most = room(level);
  std::size_t count = 0;
  while (count < most) {
    const std::uint32_t link = load(links[count]);
    if (link == kNone) break;
    out[count++] = link;
  }
  return count;
}

bool LinkTable::append(std::uint32_t node, std::uint32_t level, std::uint32_t link) {
  std::uint32_t* const links = list(node, level);
  for (std::size_t i = 0; i < room(level); ++i) {
    if (load(links[i]) != kNone) continue;
    store(links[i], link);
    return true;
  }
  return false;
}

void LinkTable::write(std::uint32_t node, std::uint32_t level,
                      std::span<const std::uint32_t> links) {
  std::uint32_t* const target = list(node, level);
  for (std::size_t i = 0; i < room(level); ++i) {
    store(target[i], i < links.size() ? links[i] : kNone);
  }
}

}  // namespace tessera::index
