#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/point_id.h"
#include "base/status.h"
#include "base/value_type.h"
#include "storage/event_block.h"
#include "storage/session_record.h"

namespace tessera::storage {

using CollectionNumber = std::uint32_t;  ///< Never reused within a data directory.
using VectorNumber = std::uint16_t;      ///< Number of a named vector within its collection.

/// Where a point lives. `slot` is its internal number: given at first insert, never reused.
struct PointRecord {
  std::uint32_t slot = 0;
  std::uint64_t version = 0;  ///< Operation that last changed the point.
};

/// A block of events, and where the next one of the same slot begins, if there is one.
struct EventPlace {
  EventBlock block;
  std::optional<EventPosition> end;
};

/// A trained adapter as it was uploaded.
struct AdapterRecord {
  std::uint64_t version = 0;  ///< Counts the uploads of its name.
  std::int64_t created_at_us = 0;
  std::string_view file;
};

/// What a visitor of session records wants next.
enum class SessionWalk : std::uint8_t { kOn, kNextSession, kStop };

struct BatchOperations;

/// Changes that are applied together or not at all.
/// Thread rule: confined to one thread.
class Batch {
 public:
  Batch();
  ~Batch();
  Batch(Batch&&) noexcept;
  Batch& operator=(Batch&&) noexcept;

  void put_point(CollectionNumber collection, const PointId& id, const PointRecord& record);
  void delete_point(CollectionNumber collection, const PointId& id);
  void put_payload(CollectionNumber collection, std::uint32_t slot, std::string_view json);
  void delete_payload(CollectionNumber collection, std::uint32_t slot);
  /// Writes the vector and, apart from it, its small row record (slot -> version), from which a
  /// restart learns which rows of the segment files are current without reading any vector.
  /// `values` are storable as `type`, which is what they take there.
  void put_vector(CollectionNumber collection, VectorNumber vector, std::uint32_t slot,
                  std::uint64_t version, std::span<const float> values,
                  ValueType type = ValueType::kFloat32);
  void delete_vector(CollectionNumber collection, VectorNumber vector, std::uint32_t slot);
  /// One block of a slot's events, replacing the one that begins there. `events` as encode_events()
  /// requires, none before `begin`.
  void put_events(CollectionNumber collection, std::uint32_t slot,
                  const std::optional<EventPosition>& begin, std::span<const Event> events);
  void delete_events(CollectionNumber collection, std::uint32_t slot,
                     const std::optional<EventPosition>& begin);
  /// `name` is not empty.
  void put_adapter(CollectionNumber collection, std::string_view name, const AdapterRecord& record);
  void delete_adapter(CollectionNumber collection, std::string_view name);
  /// One record of a session; storage/session_store.h puts them together.
  void put_session_record(CollectionNumber collection, const SessionKey& key,
                          std::string_view value);
  void delete_session_record(CollectionNumber collection, const SessionKey& key);
  /// Every record of one, whatever there is.
  void delete_session(CollectionNumber collection, const SessionId& session);
  /// Catalog entries and other small documents.
  void put_meta(std::string_view key, std::string_view value);
  void delete_meta(std::string_view key);
  /// Removes every record of a collection but the meta entries.
  void delete_collection(CollectionNumber collection);
  /// Removes every vector and row record of one named vector.
  void delete_vectors(CollectionNumber collection, VectorNumber vector);

  [[nodiscard]] std::size_t size_bytes() const;
  [[nodiscard]] bool empty() const;
  /// For the store.
  [[nodiscard]] const BatchOperations& operations() const { return *operations_; }

 private:
  std::unique_ptr<BatchOperations> operations_;
};

struct StoreOptions {
  std::uint64_t block_cache_bytes = 256ULL << 20;
  std::uint64_t write_buffer_bytes = 64ULL << 20;
  int background_thread_count = 2;
  int open_file_count_max = 512;
  bool read_only = false;  ///< For offline tools: the directory is not changed.
};

/// The truth: points, payloads, vectors, events and the catalog in one RocksDB instance.
///
/// Invariants:
///  1. A batch is atomic, and after write(batch, sync = true) returns ok it survives power loss.
///  2. The log is opened with kTolerateCorruptedTailRecords: a torn last record is dropped, damage
///     anywhere else refuses to open (kCorrupt) instead of losing acknowledged writes.
/// Errors: kCorrupt, kDiskFull (no space), kUnavailable (I/O, background error), kInternal.
/// Thread rule: safe from any thread; concurrent write() calls share one log sync.
class Store {
 public:
  /// Creates the store unless read_only. Besides the above: kNotFound when a read-only one is not
  /// there, kCorrupt when it was written by a newer version. Replays the log, which is bounded.
  static Result<std::unique_ptr<Store>> open(const std::string& path, const StoreOptions& options);
  virtual ~Store() = default;

  /// After a failure nothing of the batch is visible, but it may appear after a restart. Once the
  /// disk has room again the next write succeeds.
  virtual Status write(Batch&& batch, bool sync) = 0;
  /// Makes every write so far durable.
  virtual Status sync() = 0;

  [[nodiscard]] virtual Result<std::optional<std::string>> get_meta(std::string_view key) const = 0;
  /// Every meta entry whose key begins with `prefix`, ascending. The visitor may fail to stop.
  using MetaVisitor = std::function<Status(std::string_view key, std::string_view value)>;
  virtual Status visit_meta(std::string_view prefix, const MetaVisitor& visitor) const = 0;

  [[nodiscard]] virtual Result<std::optional<PointRecord>> get_point(CollectionNumber collection,
                                                                     const PointId& id) const = 0;
  /// Points in ascending id order, from `from` on (inclusive). The visitor returns false to stop.
  using PointVisitor = std::function<bool(const PointId& id, const PointRecord& record)>;
  virtual Status visit_points(CollectionNumber collection, const std::optional<PointId>& from,
                              const PointVisitor& visitor) const = 0;

  /// JSON text of each slot's payload; nullopt where there is none. One MultiGet.
  [[nodiscard]] virtual Result<std::vector<std::optional<std::string>>> get_payloads(
      CollectionNumber collection, std::span<const std::uint32_t> slots) const = 0;
  /// Payloads in ascending slot order.
  using PayloadVisitor = std::function<bool(std::uint32_t slot, std::string_view json)>;
  virtual Status visit_payloads(CollectionNumber collection,
                                const PayloadVisitor& visitor) const = 0;

  /// Each slot's vector as floats, whatever its type; an empty one where there is none. One
  /// MultiGet.
  [[nodiscard]] virtual Result<std::vector<std::vector<float>>> get_vectors(
      CollectionNumber collection, VectorNumber vector,
      std::span<const std::uint32_t> slots) const = 0;
  /// Slots that have this vector, with the operation that wrote it, in ascending slot order.
  using RowVisitor = std::function<bool(std::uint32_t slot, std::uint64_t version)>;
  virtual Status visit_rows(CollectionNumber collection, VectorNumber vector,
                            const RowVisitor& visitor) const = 0;
  using VectorVisitor =
      std::function<bool(std::uint32_t slot, std::uint64_t version, std::span<const float> values)>;
  virtual Status visit_vectors(CollectionNumber collection, VectorNumber vector,
                               const VectorVisitor& visitor) const = 0;

  /// The block of a slot where an event of this position belongs; nullopt while it has none before.
  [[nodiscard]] virtual Result<std::optional<EventPlace>> find_events(
      CollectionNumber collection, std::uint32_t slot, const EventPosition& position) const = 0;
  /// Where the blocks of a slot begin, ascending, whatever is in them.
  [[nodiscard]] virtual Result<std::vector<std::optional<EventPosition>>> event_blocks(
      CollectionNumber collection, std::uint32_t slot) const = 0;
  /// Blocks of events in the order of slots, then of time; of one slot, or of all.
  using EventVisitor = std::function<bool(std::uint32_t slot, EventBlock&& block)>;
  virtual Status visit_events(CollectionNumber collection, std::optional<std::uint32_t> slot,
                              const EventVisitor& visitor) const = 0;

  /// Adapters in the order of their names; nothing instead of a record that does not decode. The
  /// file is the visitor's for the time of the call.
  using AdapterVisitor =
      std::function<bool(std::string_view name, const std::optional<AdapterRecord>& record)>;
  virtual Status visit_adapters(CollectionNumber collection,
                                const AdapterVisitor& visitor) const = 0;

  /// Records of one session or of all of a collection, by session, in the order of their keys.
  using SessionRecordVisitor =
      std::function<SessionWalk(const SessionKey& key, std::string_view value)>;
  virtual Status visit_session_records(CollectionNumber collection,
                                       const std::optional<SessionId>& session,
                                       const SessionRecordVisitor& visitor) const = 0;

  /// Numbers of the collections that have any record but meta entries, ascending.
  [[nodiscard]] virtual Result<std::vector<CollectionNumber>> collections() const = 0;
  /// Numbers of a collection's vectors that have any record, ascending.
  [[nodiscard]] virtual Result<std::vector<VectorNumber>> vectors(
      CollectionNumber collection) const = 0;

  /// Reads every byte of every table and vector file and checks its checksum.
  virtual Status verify_checksums() const = 0;
  /// Estimated bytes on disk, of log and tables.
  [[nodiscard]] virtual std::uint64_t disk_bytes() const = 0;
};

}  // namespace tessera::storage
