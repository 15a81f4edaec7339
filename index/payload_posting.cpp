#include "index/payload_posting.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace tessera::index {
namespace {

// A bitmap of the library takes some 100 bytes before its first slot; below this many slots a plain
// array is smaller and as fast.
constexpr std::size_t kSeveralMax = 32;

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

}  // namespace

void Posting::add(std::uint32_t slot) {
  if (const auto* single = std::get_if<std::uint32_t>(&slots_)) {
    if (*single == slot) return;
    auto several = std::make_unique<std::vector<std::uint32_t>>();
    several->assign({std::min(*single, slot), std::max(*single, slot)});
    slots_ = std::move(several);
  } else if (auto* several = std::get_if<Several>(&slots_)) {
    auto& sorted = **several;
    const auto at = std::lower_bound(sorted.begin(), sorted.end(), slot);
    if (at != sorted.end() && *at == slot) return;
    sorted.insert(at, slot);
    if (sorted.size() > kSeveralMax) {
      slots_ = std::make_unique<Bitmap>(sorted.size(), sorted.data());
    }
  } else {
    std::get<Many>(slots_)->add(slot);
  }
}

bool Posting::remove(std::uint32_t slot) {
  if (const auto* single = std::get_if<std::uint32_t>(&slots_)) return *single == slot;
  if (auto* several = std::get_if<Several>(&slots_)) {
    auto& sorted = **several;
    const auto at = std::lower_bound(sorted.begin(), sorted.end(), slot);
    if (at != sorted.end() && *at == slot) sorted.erase(at);
    if (sorted.size() == 1) slots_ = std::uint32_t{sorted.front()};
    return false;
  }
  Bitmap& many = *std::get<Many>(slots_);
  many.remove(slot);
  // Half of the limit, so that a value at the limit does not flip with every change.
  if (const std::uint64_t left = many.cardinality(); left <= kSeveralMax / 2) {
    auto several = std::make_unique<std::vector<std::uint32_t>>(left);
    many.toUint32Array(several->data());
    slots_ = std::move(several);
  }
  return false;
}

Bitmap Posting::bitmap() const {
  return std::visit(
      Overloaded{[](std::uint32_t single) { return Bitmap(1, &single); },
                 [](const Several& several) { return Bitmap(several->size(), several->data()); },
                 [](const Many& many) { return *many; }},
      slots_);
}

std::size_t Posting::heap_bytes() const {
  return std::visit(
      Overloaded{[](std::uint32_t) { return std::size_t{0}; },
                 [](const Several& several) {
                   return sizeof(*several) + several->capacity() * sizeof(std::uint32_t);
                 },
                 [](const Many& many) { return sizeof(*many) + many->getSizeInBytes(); }},
      slots_);
}

void PostingUnion::add(const Posting& posting) {
  std::visit(Overloaded{[this](std::uint32_t single) { loose_.push_back(single); },
                        [this](const Posting::Several& several) {
                          loose_.insert(loose_.end(), several->begin(), several->end());
                        },
                        [this](const Posting::Many& many) { bitmaps_.push_back(many.get()); }},
             posting.slots_);
}

Bitmap PostingUnion::finish() {
  if (!loose_.empty()) {
    const Bitmap loose = loose_bitmap();
    if (bitmaps_.empty()) return loose;
    bitmaps_.push_back(&loose);
    return Bitmap::fastunion(bitmaps_.size(), bitmaps_.data());
  }
  if (bitmaps_.empty()) return {};
  return Bitmap::fastunion(bitmaps_.size(), bitmaps_.data());
}

Bitmap PostingUnion::loose_bitmap() {
  const auto [least, greatest] = std::minmax_element(loose_.begin(), loose_.end());
  const std::uint32_t first_word = *least / 64;
  const std::size_t word_count = *greatest / 64 - first_word + 1;
  // Sorting by marking bits costs a pass over the words between the ends; where those outnumber the
  // slots by far, comparing is cheaper.
  if (word_count > 8 * loose_.size()) {
    std::sort(loose_.begin(), loose_.end());
  } else {
    std::vector<std::uint64_t> words(word_count);
    for (const std::uint32_t slot : loose_) {
      words[slot / 64 - first_word] |= std::uint64_t{1} << (slot % 64);
    }
    loose_.clear();
    for (std::size_t i = 0; i < word_count; ++i) {
      for (std::uint64_t word = words[i]; word != 0; word &= word - 1) {
        const auto bit = static_cast<std::uint32_t>(std::countr_zero(word));
        loose_.push_back(static_cast<std::uint32_t>(first_word + i) * 64 + bit);
      }
    }
  }
  return Bitmap(loose_.size(), loose_.data());
}

}  // namespace tessera::index
