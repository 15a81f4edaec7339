#include <algorithm>

#include "engine/collection_impl.h"
#include "engine/payload.h"

namespace tessera::engine {
namespace {

/// Up to this many matches, sorting their ids beats walking all ids in order.
constexpr std::size_t kSortedMatchesMax = 20'000;
constexpr std::size_t kPollEvery = 4096;
/// Records fetched by one MultiGet.
constexpr std::size_t kFetchBlock = 1024;

}  // namespace

Status CollectionImpl::fill_payloads(std::span<const std::uint32_t> slots,
                                     const PayloadSelector& payload,
                                     std::span<Record> records) const {
  TESSERA_ASSIGN_OR_RETURN(auto texts, shared_.store.get_payloads(number_, slots));
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!texts[i]) {
      // Without a payload, or deleted since its slot was found: the store tells.
      TESSERA_ASSIGN_OR_RETURN(const auto point, shared_.store.get_point(number_, records[i].id));
      if (point && point->slot == slots[i]) records[i].payload = "{}";
    } else if (payload.kind == PayloadSelector::Kind::kAll) {
      records[i].payload = std::move(*texts[i]);
    } else {
      TESSERA_ASSIGN_OR_RETURN(records[i].payload, select_payload(*texts[i], payload));
    }
  }
  return {};
}

Status CollectionImpl::fill_vectors(std::span<const std::uint32_t> slots,
                                    const VectorSelector& vectors,
                                    std::span<Record> records) const {
  for (const std::string& name : vectors.names) {
    if (const auto known = field(name); known.has_error()) return known.error();
  }
  for (const auto& [name, field] : fields_) {
    const bool is_asked = vectors.all || std::find(vectors.names.begin(), vectors.names.end(),
                                                   name) != vectors.names.end();
    if (!is_asked) continue;
    TESSERA_ASSIGN_OR_RETURN(
        auto values, shared_.store.get_vectors(number_, field.vectors->identity().number, slots));
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (!values[i].empty()) records[i].vectors.emplace_back(name, std::move(values[i]));
    }
  }
  return {};
}

Result<std::vector<bool>> CollectionImpl::fill_records(const std::vector<std::uint32_t>& slots,
                                                       const PayloadSelector& payload,
                                                       const VectorSelector& vectors,
                                                       const CancelToken& cancel,
                                                       std::vector<Record>& records) const {
  const bool has_payload = payload.kind != PayloadSelector::Kind::kNone;
  for (std::size_t begin = 0; begin < slots.size(); begin += kFetchBlock) {
    TESSERA_RETURN_IF_ERROR(cancel.check());
    const std::size_t count = std::min(kFetchBlock, slots.size() - begin);
    const std::span<const std::uint32_t> block(slots.data() + begin, count);
    const std::span<Record> targets(records.data() + begin, count);
    if (has_payload) TESSERA_RETURN_IF_ERROR(fill_payloads(block, payload, targets));
    if (!vectors.none()) TESSERA_RETURN_IF_ERROR(fill_vectors(block, vectors, targets));
  }
  std::vector<bool> exists(slots.size(), true);
  for (std::size_t i = 0; has_payload && i < slots.size(); ++i) {
    exists[i] = records[i].payload.has_value();
  }
  return exists;
}

namespace {

/// Keeps the elements whose flag is set.
template <class T>
void keep(std::vector<T>& values, const std::vector<bool>& flags) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!flags[i]) continue;
    if (kept != i) values[kept] = std::move(values[i]);
    ++kept;
  }
  values.resize(kept);
}

}  // namespace

Result<std::vector<Record>> CollectionImpl::retrieve(const RetrieveRequest& request) const {
  TESSERA_RETURN_IF_ERROR(check_open());
  std::vector<std::uint32_t> slots;
  {
    SharedLock lock(state_mutex_);
    for (const PointId& id : request.ids) {
      if (const auto slot = slots_.find(id)) slots.push_back(*slot);
    }
  }
  std::vector<Record> records(slots.size());
  for (std::size_t i = 0; i < slots.size(); ++i) records[i].id = slots_.id_of(slots[i]);
  TESSERA_ASSIGN_OR_RETURN(
      const auto exists,
      fill_records(slots, request.with_payload, request.with_vector, shared_.stopping, records));
  keep(records, exists);
  return records;
}

Result<std::vector<std::pair<PointId, std::uint32_t>>> CollectionImpl::points_in_order(
    const std::optional<index::Bitmap>& matching, const std::optional<PointId>& offset,
    std::size_t wanted, const CancelToken& cancel) const {
  std::vector<std::pair<PointId, std::uint32_t>> found;
  if (matching && matching->cardinality() <= kSortedMatchesMax) {
    for (const std::uint32_t slot : *matching) {
      const PointId& id = slots_.id_of(slot);
      if (!offset || !(id < *offset)) found.emplace_back(id, slot);
    }
    std::sort(found.begin(), found.end());
    if (found.size() > wanted) found.resize(wanted);
    return found;
  }
  Status status;
  std::size_t visited = 0;
  TESSERA_RETURN_IF_ERROR(shared_.store.visit_points(
      number_, offset, [&](const PointId& id, const storage::PointRecord& record) {
        if (++visited % kPollEvery == 0) status = cancel.check();
        if (!matching || matching->contains(record.slot)) found.emplace_back(id, record.slot);
        return status.ok() && found.size() < wanted;
      }));
  TESSERA_RETURN_IF_ERROR(status);
  return found;
}

Result<ScrollPage> CollectionImpl::scroll(const ScrollRequest& request,
                                          const CancelToken& cancel) const {
  TESSERA_RETURN_IF_ERROR(check_open());
  std::optional<index::Bitmap> matching;
  if (request.filter && !request.filter->empty()) {
    TESSERA_ASSIGN_OR_RETURN(matching, matching_slots(*request.filter, cancel));
  }
  // One more than asked for: it is the next page's offset.
  const std::size_t wanted = request.limit + (request.limit < ~std::size_t{0} ? 1 : 0);
  TESSERA_ASSIGN_OR_RETURN(auto found, points_in_order(matching, request.offset, wanted, cancel));

  ScrollPage page;
  if (found.size() > request.limit) {
    page.next_offset = found.back().first;
    found.pop_back();
  }
  std::vector<std::uint32_t> slots;
  for (const auto& [id, slot] : found) {
    slots.push_back(slot);
    page.records.emplace_back().id = id;
  }
  TESSERA_ASSIGN_OR_RETURN(
      const auto exists,
      fill_records(slots, request.with_payload, request.with_vector, cancel, page.records));
  keep(page.records, exists);
  return page;
}

Result<std::uint64_t> CollectionImpl::count(const CountRequest& request,
                                            const CancelToken& cancel) const {
  TESSERA_RETURN_IF_ERROR(check_open());
  if (!request.filter || request.filter->empty()) return point_count();
  TESSERA_ASSIGN_OR_RETURN(const index::Bitmap slots, matching_slots(*request.filter, cancel));
  return slots.cardinality();
}

}  // namespace tessera::engine
