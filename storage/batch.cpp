#include "storage/batch.h"

#include "storage/encoding.h"

namespace tessera::storage {
namespace {
constexpr std::size_t kOperationOverheadBytes = 16;
}  // namespace

Batch::Batch() : operations_(std::make_unique<BatchOperations>()) {}
Batch::~Batch() = default;
Batch::Batch(Batch&&) noexcept = default;
Batch& Batch::operator=(Batch&&) noexcept = default;

void Batch::put_point(CollectionNumber collection, const PointId& id, const PointRecord& record) {
  operations_->add(Family::kPoints, BatchOperations::Kind::kPut,
                   encoding::point_key(collection, id), encoding::point_value(record));
}

void Batch::delete_point(CollectionNumber collection, const PointId& id) {
  operations_->add(Family::kPoints, BatchOperations::Kind::kDelete,
                   encoding::point_key(collection, id));
}

void Batch::put_payload(CollectionNumber collection, std::uint32_t slot, std::string_view json) {
  operations_->add(Family::kPayloads, BatchOperations::Kind::kPut,
                   encoding::payload_key(collection, slot), encoding::text_value(json));
}

void Batch::delete_payload(CollectionNumber collection, std::uint32_t slot) {
  operations_->add(Family::kPayloads, BatchOperations::Kind::kDelete,
                   encoding::payload_key(collection, slot));
}

void Batch::put_vector(CollectionNumber collection, VectorNumber vector, std::uint32_t slot,
                       std::uint64_t version, std::span<const float> values, ValueType type) {
  const std::string key = encoding::row_key(collection, vector, slot);
  operations_->add(Family::kVectors, BatchOperations::Kind::kPut, key,
                   encoding::vector_value(version, values, type));
  operations_->add(Family::kRows, BatchOperations::Kind::kPut, key, encoding::row_value(version));
}

void Batch::delete_vector(CollectionNumber collection, VectorNumber vector, std::uint32_t slot) {
  const std::string key = encoding::row_key(collection, vector, slot);
  operations_->add(Family::kVectors, BatchOperations::Kind::kDelete, key);
  operations_->add(Family::kRows, BatchOperations::Kind::kDelete, key);
}

void Batch::put_events(CollectionNumber collection, std::uint32_t slot,
                       const std::optional<EventPosition>& begin, std::span<const Event> events) {
  operations_->add(Family::kEvents, BatchOperations::Kind::kPut,
                   encoding::event_key(collection, slot, begin), encode_events(events));
}

void Batch::delete_events(CollectionNumber collection, std::uint32_t slot,
                          const std::optional<EventPosition>& begin) {
  operations_->add(Family::kEvents, BatchOperations::Kind::kDelete,
                   encoding::event_key(collection, slot, begin));
}

void Batch::put_adapter(CollectionNumber collection, std::string_view name,
                        const AdapterRecord& record) {
  operations_->add(Family::kAdapters, BatchOperations::Kind::kPut,
                   encoding::adapter_key(collection, name), encoding::adapter_value(record));
}

void Batch::delete_adapter(CollectionNumber collection, std::string_view name) {
  operations_->add(Family::kAdapters, BatchOperations::Kind::kDelete,
                   encoding::adapter_key(collection, name));
}

void Batch::put_session_record(CollectionNumber collection, const SessionKey& key,
                               std::string_view value) {
  operations_->add(Family::kSessions, BatchOperations::Kind::kPut,
                   encoding::session_key(collection, key), value);
}

void Batch::delete_session_record(CollectionNumber collection, const SessionKey& key) {
  operations_->add(Family::kSessions, BatchOperations::Kind::kDelete,
                   encoding::session_key(collection, key));
}

void Batch::delete_session(CollectionNumber collection, const SessionId& session) {
  const std::string begin = encoding::session_prefix(collection, session);
  operations_->add(Family::kSessions, BatchOperations::Kind::kDeleteRange, begin,
                   encoding::prefix_end(begin));
}

void Batch::put_meta(std::string_view key, std::string_view value) {
  operations_->add(Family::kMeta, BatchOperations::Kind::kPut, key, encoding::text_value(value));
}

void Batch::delete_meta(std::string_view key) {
  operations_->add(Family::kMeta, BatchOperations::Kind::kDelete, key);
}

void Batch::delete_collection(CollectionNumber collection) {
  const std::string begin = encoding::collection_prefix(collection);
  for (const Family family : kCollectionFamilies) {
    operations_->add(family, BatchOperations::Kind::kDeleteRange, begin,
                     encoding::prefix_end(begin));
  }
}

void Batch::delete_vectors(CollectionNumber collection, VectorNumber vector) {
  const std::string begin = encoding::vector_prefix(collection, vector);
  for (const Family family : {Family::kVectors, Family::kRows}) {
    operations_->add(family, BatchOperations::Kind::kDeleteRange, begin,
                     encoding::prefix_end(begin));
  }
}

std::size_t Batch::size_bytes() const {
  return operations_->bytes.size() + operations_->operations.size() * kOperationOverheadBytes;
}

bool Batch::empty() const {
  return operations_->operations.empty();
}

}  // namespace tessera::storage
