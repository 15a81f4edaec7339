#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "index/bitmap.h"

namespace tessera::index {

/// The slots that hold one value. Most values of a real field are held by one slot or by very many,
/// so a single slot is kept inline, a few as a sorted array and the rest as a bitmap.
/// Thread rule: confined; the owner locks.
class Posting {
 public:
  explicit Posting(std::uint32_t slot) : slots_(slot) {}

  /// Adding a slot twice is the same as adding it once.
  void add(std::uint32_t slot);
  /// Returns true when no slot is left: the posting must then be dropped.
  [[nodiscard]] bool remove(std::uint32_t slot);
  [[nodiscard]] Bitmap bitmap() const;
  /// Bytes beside the object itself.
  [[nodiscard]] std::size_t heap_bytes() const;

 private:
  friend class PostingUnion;
  using Several = std::unique_ptr<std::vector<std::uint32_t>>;
  using Many = std::unique_ptr<Bitmap>;

  std::variant<std::uint32_t, Several, Many> slots_;
};

/// The union of any number of postings. Loose slots are collected and added in one pass in order,
/// so that a million postings of one slot cost one scan and not a million bitmap unions: time is
/// linear in the slots collected (n log n where they are few and far apart).
class PostingUnion {
 public:
  /// `posting` is borrowed until finish().
  void add(const Posting& posting);
  [[nodiscard]] Bitmap finish();

 private:
  [[nodiscard]] Bitmap loose_bitmap();

  std::vector<std::uint32_t> loose_;
  std::vector<const Bitmap*> bitmaps_;
};

}  // namespace tessera::index
