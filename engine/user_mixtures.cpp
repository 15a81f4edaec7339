#include "engine/user_mixtures.h"

namespace tessera::engine {
namespace {

/// More events than that are not kept for a mixture that nobody asks for.
constexpr std::size_t kWaitingMax = 1024;
/// Of the maps and lists, for an entry.
constexpr std::size_t kEntryBytes = 192;

}  // namespace

std::size_t UserMixture::bytes() const {
  // The same of equal bitmaps; in memory it is little more.
  return sizeof(UserMixture) + (mixture == nullptr ? 0 : mixture->bytes()) +
         known.getSizeInBytes() + missing.capacity() * sizeof(PointId) +
         without.capacity() * sizeof(std::uint32_t);
}

void UserMixtures::set_bytes(Entry& entry) {
  bytes_ -= entry.bytes;
  entry.bytes = kEntryBytes + entry.known.waiting.capacity() * sizeof(storage::Event) +
                (entry.known.mixture == nullptr ? 0 : entry.known.mixture->bytes());
  bytes_ += entry.bytes;
}

void UserMixtures::erase(std::unordered_map<std::uint32_t, Entry>::iterator entry) {
  bytes_ -= entry->second.bytes;
  used_.erase(entry->second.place);
  entries_.erase(entry);
}

UserMixtures::Known UserMixtures::find(std::uint32_t slot) {
  Lock lock(mutex_);
  const auto [place, is_new] = entries_.try_emplace(slot);
  Entry& entry = place->second;
  if (is_new) {
    used_.push_front(slot);
    entry.place = used_.begin();
    entry.known.ticket = ++last_ticket_;
    set_bytes(entry);
  } else {
    used_.splice(used_.begin(), used_, entry.place);
  }
  return entry.known;
}

void UserMixtures::put(std::uint32_t slot, std::uint64_t ticket,
                       std::shared_ptr<const UserMixture> mixture, std::size_t bytes_max) {
  Lock lock(mutex_);
  const auto place = entries_.find(slot);
  if (place != entries_.end() && place->second.known.ticket == ticket) {
    place->second.known.mixture = std::move(mixture);
    place->second.known.waiting = {};
    set_bytes(place->second);
  }
  while (bytes_ > bytes_max && !used_.empty()) erase(entries_.find(used_.back()));
}

void UserMixtures::append(std::uint32_t slot, std::span<const storage::Event> events) {
  Lock lock(mutex_);
  const auto place = entries_.find(slot);
  if (place == entries_.end() || events.empty()) return;
  Entry& entry = place->second;
  Known& known = entry.known;
  known.ticket = ++last_ticket_;
  if (known.mixture == nullptr) return;
  const auto newest = known.waiting.empty() ? known.mixture->newest
                                            : std::optional(known.waiting.back().position());
  const bool is_newer = !newest || *newest < events.front().position();
  if (is_newer && known.waiting.size() + events.size() <= kWaitingMax) {
    known.waiting.insert(known.waiting.end(), events.begin(), events.end());
  } else {
    known.mixture = nullptr;
    known.waiting = {};
  }
  set_bytes(entry);
}

void UserMixtures::drop(std::uint32_t slot) {
  Lock lock(mutex_);
  const auto place = entries_.find(slot);
  if (place != entries_.end()) erase(place);
}

std::size_t UserMixtures::bytes() const {
  SharedLock lock(mutex_);
  return bytes_;
}

}  // namespace tessera::engine
