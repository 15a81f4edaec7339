#include "storage/store.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>

#include "base/log.h"
#include "storage/batch.h"
#include "storage/encoding.h"
#include "storage/rocksdb_status.h"
#include "storage/store_files.h"
#include "storage/store_options.h"

namespace tessera::storage {
namespace {

constexpr std::uint32_t kStoreFormat = 1;
constexpr const char* kFormatKey = "format";
constexpr std::chrono::milliseconds kResumePause{200};

std::string_view view(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}
rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}

Status damaged(const char* what, std::string_view key) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : key) {
    hex += kDigits[static_cast<std::uint8_t>(c) >> 4];
    hex += kDigits[static_cast<std::uint8_t>(c) & 15];
  }
  return {Code::kCorrupt, std::string("store: ") + what + " with key " + hex + " does not decode"};
}

class RocksStore final : public Store {
 public:
  RocksStore(std::string path, rocksdb::Env* env, bool read_only)
      : path_(std::move(path)), env_(env), read_only_(read_only) {}

  ~RocksStore() override {
    if (database_ == nullptr) return;
    for (rocksdb::ColumnFamilyHandle* handle : handles_) {
      if (handle == nullptr) continue;
      database_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
    }
    const rocksdb::Status status = database_->Close();
    if (!status.ok()) log::warn("the store did not close cleanly", {{"error", status.ToString()}});
  }

  Status start(const StoreOptions& options) {
    const rocksdb::DBOptions database_options_ = database_options(options, env_);
    TESSERA_RETURN_IF_ERROR(check_store_files(path_, database_options_, read_only_));
    rocksdb::DB* database = nullptr;
    TESSERA_ASSIGN_OR_RETURN(const auto families, families_to_open(options, database_options_));
    const rocksdb::Status status =
        read_only_
            ? rocksdb::DB::OpenForReadOnly(database_options_, path_, families, &handles_, &database)
            : rocksdb::DB::Open(database_options_, path_, families, &handles_, &database);
    database_.reset(database);
    TESSERA_RETURN_IF_ERROR(status_of(status, "store " + path_));
    handles_.resize(1 + kFamilyNames.size(), nullptr);
    return check_format();
  }

  Status write(Batch&& batch, bool sync) override {
    return guarded_call("store.write", [&] { return write_batch(batch.operations(), sync); });
  }

  Status sync() override {
    return guarded_call("store.sync",
                        [&] { return status_of(database_->SyncWAL(), "store.sync"); });
  }

  [[nodiscard]] Result<std::optional<std::string>> get_meta(std::string_view key) const override {
    return guarded_call("store.get_meta", [&]() -> Result<std::optional<std::string>> {
      rocksdb::PinnableSlice value;
      TESSERA_ASSIGN_OR_RETURN(const bool found, get(Family::kMeta, key, value));
      if (!found) return std::optional<std::string>();
      const auto text = encoding::decode_text_value(view(value));
      if (!text) return damaged("meta entry", key);
      return std::optional<std::string>(*text);
    });
  }

  Status visit_meta(std::string_view prefix, const MetaVisitor& visitor) const override {
    return guarded_call("store.visit_meta", [&] {
      Status outcome;
      const std::string begin(prefix);
      const Status status = scan({Family::kMeta, begin, encoding::prefix_end(begin)},
                                 [&](std::string_view key, std::string_view value) -> Result<bool> {
                                   const auto text = encoding::decode_text_value(value);
                                   if (!text) return damaged("meta entry", key);
                                   outcome = visitor(key, *text);
                                   return outcome.ok();
                                 });
      return status.ok() ? outcome : status;
    });
  }

  [[nodiscard]] Result<std::optional<PointRecord>> get_point(CollectionNumber collection,
                                                             const PointId& id) const override {
    return guarded_call("store.get_point", [&]() -> Result<std::optional<PointRecord>> {
      const std::string key = encoding::point_key(collection, id);
      rocksdb::PinnableSlice value;
      TESSERA_ASSIGN_OR_RETURN(const bool found, get(Family::kPoints, key, value));
      if (!found) return std::optional<PointRecord>();
      const auto record = encoding::decode_point_value(view(value));
      if (!record) return damaged("point", key);
      return record;
    });
  }

  Status visit_points(CollectionNumber collection, const std::optional<PointId>& from,
                      const PointVisitor& visitor) const override {
    return guarded_call("store.visit_points", [&] {
      const std::string prefix = encoding::collection_prefix(collection);
      return scan({Family::kPoints, from ? encoding::point_key(collection, *from) : prefix,
                   encoding::prefix_end(prefix)},
                  [&](std::string_view key, std::string_view value) -> Result<bool> {
                    const auto id = encoding::decode_point_key(key);
                    const auto record = encoding::decode_point_value(value);
                    if (!id || !record) return damaged("point", key);
                    return visitor(*id, *record);
                  });
    });
  }

  [[nodiscard]] Result<std::vector<std::optional<std::string>>> get_payloads(
      CollectionNumber collection, std::span<const std::uint32_t> slots) const override {
    using Payloads = std::vector<std::optional<std::string>>;
    return guarded_call("store.get_payloads", [&]() -> Result<Payloads> {
      std::vector<std::string> keys;
      keys.reserve(slots.size());
      for (const std::uint32_t slot : slots) {
        keys.push_back(encoding::payload_key(collection, slot));
      }
      Payloads payloads(slots.size());
      const Status status = multi_get(Family::kPayloads, keys,
                                      [&](std::size_t index, std::string_view value) -> Status {
                                        const auto json = encoding::decode_text_value(value);
                                        if (!json) return damaged("payload", keys[index]);
                                        payloads[index].emplace(*json);
                                        return {};
                                      });
      if (!status.ok()) return status;
      return payloads;
    });
  }

  Status visit_payloads(CollectionNumber collection, const PayloadVisitor& visitor) const override {
    return guarded_call("store.visit_payloads", [&] {
      const std::string prefix = encoding::collection_prefix(collection);
      return scan({Family::kPayloads, prefix, encoding::prefix_end(prefix)},
                  [&](std::string_view key, std::string_view value) -> Result<bool> {
                    const auto slot = encoding::decode_payload_key(key);
                    const auto json = encoding::decode_text_value(value);
                    if (!slot || !json) return damaged("payload", key);
                    return visitor(*slot, *json);
                  });
    });
  }

  [[nodiscard]] Result<std::vector<std::vector<float>>> get_vectors(
      CollectionNumber collection, VectorNumber vector,
      std::span<const std::uint32_t> slots) const override {
    using Vectors = std::vector<std::vector<float>>;
    return guarded_call("store.get_vectors", [&]() -> Result<Vectors> {
      std::vector<std::string> keys;
      keys.reserve(slots.size());
      for (const std::uint32_t slot : slots) {
        keys.push_back(encoding::row_key(collection, vector, slot));
      }
      Vectors vectors(slots.size());
      const Status status = multi_get(Family::kVectors, keys,
                                      [&](std::size_t index, std::string_view value) -> Status {
                                        if (encoding::decode_vector_value(value, vectors[index]))
                                          return {};
                                        return damaged("vector", keys[index]);
                                      });
      if (!status.ok()) return status;
      return vectors;
    });
  }

  Status visit_rows(CollectionNumber collection, VectorNumber vector,
                    const RowVisitor& visitor) const override {
    return guarded_call("store.visit_rows", [&] {
      const std::string prefix = encoding::vector_prefix(collection, vector);
      return scan({Family::kRows, prefix, encoding::prefix_end(prefix)},
                  [&](std::string_view key, std::string_view value) -> Result<bool> {
                    const auto row = encoding::decode_row_key(key);
                    const auto version = encoding::decode_row_value(value);
                    if (!row || !version) return damaged("row record", key);
                    return visitor(row->slot, *version);
                  });
    });
  }

  Status visit_vectors(CollectionNumber collection, VectorNumber vector,
                       const VectorVisitor& visitor) const override {
    return guarded_call("store.visit_vectors", [&] {
      const std::string prefix = encoding::vector_prefix(collection, vector);
      std::vector<float> values;
      return scan({Family::kVectors, prefix, encoding::prefix_end(prefix)},
                  [&](std::string_view key, std::string_view value) -> Result<bool> {
                    const auto row = encoding::decode_row_key(key);
                    const auto version = encoding::decode_vector_value(value, values);
                    if (!row || !version) return damaged("vector", key);
                    return visitor(row->slot, *version, values);
                  });
    });
  }

  [[nodiscard]] Result<std::optional<EventPlace>> find_events(
      CollectionNumber collection, std::uint32_t slot,
      const EventPosition& position) const override {
    return guarded_call("store.find_events", [&]() -> Result<std::optional<EventPlace>> {
      const std::string first = encoding::event_key(collection, slot, std::nullopt);
      const std::string last = encoding::prefix_end(first);
      const rocksdb::Slice lower = slice(first), upper = slice(last);
      rocksdb::ReadOptions options;
      options.iterate_lower_bound = &lower;
      options.iterate_upper_bound = &upper;
      const std::unique_ptr<rocksdb::Iterator> iterator(
          database_->NewIterator(options, handle(Family::kEvents)));
      iterator->SeekForPrev(slice(encoding::event_key(collection, slot, position)));
      if (!iterator->Valid()) {
        TESSERA_RETURN_IF_ERROR(status_of(iterator->status(), "store.find_events"));
        return std::optional<EventPlace>();
      }
      EventPlace place;
      TESSERA_ASSIGN_OR_RETURN(place.block, event_block(*iterator));
      iterator->Next();
      if (iterator->Valid()) {
        const auto next = encoding::decode_event_key(view(iterator->key()));
        if (!next) return damaged_events(view(iterator->key()));
        place.end = next->begin;
      }
      TESSERA_RETURN_IF_ERROR(status_of(iterator->status(), "store.find_events"));
      return std::optional(std::move(place));
    });
  }

  [[nodiscard]] Result<std::vector<std::optional<EventPosition>>> event_blocks(
      CollectionNumber collection, std::uint32_t slot) const override {
    using Begins = std::vector<std::optional<EventPosition>>;
    return guarded_call("store.event_blocks", [&]() -> Result<Begins> {
      Begins begins;
      const std::string prefix = encoding::event_key(collection, slot, std::nullopt);
      const Status status = scan({Family::kEvents, prefix, encoding::prefix_end(prefix)},
                                 [&](std::string_view key, std::string_view) -> Result<bool> {
                                   const auto decoded = encoding::decode_event_key(key);
                                   if (!decoded) return damaged_events(key);
                                   begins.push_back(decoded->begin);
                                   return true;
                                 });
      if (!status.ok()) return status;
      return begins;
    });
  }

  Status visit_events(CollectionNumber collection, std::optional<std::uint32_t> slot,
                      const EventVisitor& visitor) const override {
    return guarded_call("store.visit_events", [&]() -> Status {
      if (handle(Family::kEvents) == nullptr) return {};
      const std::string prefix = slot ? encoding::event_key(collection, *slot, std::nullopt)
                                      : encoding::collection_prefix(collection);
      const std::string last = encoding::prefix_end(prefix);
      const rocksdb::Slice upper = slice(last);
      rocksdb::ReadOptions options;
      options.iterate_upper_bound = &upper;
      options.fill_cache = slot.has_value();
      const std::unique_ptr<rocksdb::Iterator> iterator(
          database_->NewIterator(options, handle(Family::kEvents)));
      for (iterator->Seek(slice(prefix)); iterator->Valid(); iterator->Next()) {
        const auto key = encoding::decode_event_key(view(iterator->key()));
        if (!key) return damaged_events(view(iterator->key()));
        TESSERA_ASSIGN_OR_RETURN(EventBlock block, event_block(*iterator));
        if (!visitor(key->slot, std::move(block))) return {};
      }
      return status_of(iterator->status(), "store.visit_events");
    });
  }

  Status visit_adapters(CollectionNumber collection, const AdapterVisitor& visitor) const override {
    return guarded_call("store.visit_adapters", [&]() -> Status {
      if (handle(Family::kAdapters) == nullptr) return {};
      const std::string prefix = encoding::collection_prefix(collection);
      return scan({Family::kAdapters, prefix, encoding::prefix_end(prefix)},
                  [&](std::string_view key, std::string_view value) -> Result<bool> {
                    const auto name = encoding::decode_adapter_key(key);
                    return visitor(name.value_or(""),
                                   name ? encoding::decode_adapter_value(value) : std::nullopt);
                  });
    });
  }

  Status visit_session_records(CollectionNumber collection, const std::optional<SessionId>& session,
                               const SessionRecordVisitor& visitor) const override {
    return guarded_call("store.visit_session_records", [&]() -> Status {
      if (handle(Family::kSessions) == nullptr) return {};
      const std::string prefix = session ? encoding::session_prefix(collection, *session)
                                         : encoding::collection_prefix(collection);
      const std::string last = encoding::prefix_end(prefix);
      const rocksdb::Slice upper = slice(last);
      rocksdb::ReadOptions options;
      options.iterate_upper_bound = &upper;
      options.fill_cache = session.has_value();
      const std::unique_ptr<rocksdb::Iterator> iterator(
          database_->NewIterator(options, handle(Family::kSessions)));
      iterator->Seek(slice(prefix));
      while (iterator->Valid()) {
        const auto key = encoding::decode_session_key(view(iterator->key()));
        if (!key) return damaged("record of a session", view(iterator->key()));
        const SessionWalk next = visitor(*key, view(iterator->value()));
        if (next == SessionWalk::kStop) return {};
        if (next == SessionWalk::kOn) {
          iterator->Next();
        } else {
          iterator->Seek(encoding::prefix_end(encoding::session_prefix(collection, key->session)));
        }
      }
      return status_of(iterator->status(), "store.visit_session_records");
    });
  }

  [[nodiscard]] Result<std::vector<CollectionNumber>> collections() const override {
    using Numbers = std::vector<CollectionNumber>;
    return guarded_call("store.collections", [&]() -> Result<Numbers> {
      Numbers numbers;
      for (const Family family : kCollectionFamilies) {
        TESSERA_RETURN_IF_ERROR(visit_prefixes(family, "", [&](std::string_view key) {
          const auto collection = encoding::decode_collection(key);
          if (!collection) return Result<std::string>(damaged("record", key));
          numbers.push_back(*collection);
          return Result<std::string>(encoding::collection_prefix(*collection));
        }));
      }
      return ascending(std::move(numbers));
    });
  }

  [[nodiscard]] Result<std::vector<VectorNumber>> vectors(
      CollectionNumber collection) const override {
    using Numbers = std::vector<VectorNumber>;
    return guarded_call("store.vectors", [&]() -> Result<Numbers> {
      Numbers numbers;
      for (const Family family : {Family::kVectors, Family::kRows}) {
        const std::string prefix = encoding::collection_prefix(collection);
        TESSERA_RETURN_IF_ERROR(visit_prefixes(family, prefix, [&](std::string_view key) {
          const auto row = encoding::decode_row_key(key);
          if (!row) return Result<std::string>(damaged("row record", key));
          numbers.push_back(row->vector);
          return Result<std::string>(encoding::vector_prefix(collection, row->vector));
        }));
      }
      return ascending(std::move(numbers));
    });
  }

  Status verify_checksums() const override {
    return guarded_call("store.verify_checksums", [&] {
      return status_of(database_->VerifyFileChecksums(rocksdb::ReadOptions()),
                       "store.verify_checksums");
    });
  }

  [[nodiscard]] std::uint64_t disk_bytes() const override {
    std::vector<rocksdb::Env::FileAttributes> files;
    if (!env_->GetChildrenFileAttributes(path_, &files).ok()) return 0;
    std::uint64_t total = 0;
    for (const auto& file : files) total += file.size_bytes;
    return total;
  }

 private:
  struct Range {
    Family family;
    std::string begin;
    std::string end;  ///< Exclusive.
  };

  [[nodiscard]] rocksdb::ColumnFamilyHandle* handle(Family family) const {
    return handles_[1 + static_cast<std::size_t>(family)];
  }

  static Status damaged_events(std::string_view key) {
    const auto place = encoding::decode_event_key(key);
    const auto collection = encoding::decode_collection(key);
    if (!place || !collection) return damaged("block of events", key);
    return damaged("block of events", key)
        .with_context("collection " + std::to_string(*collection) + ", slot " +
                      std::to_string(place->slot));
  }

  static Result<EventBlock> event_block(const rocksdb::Iterator& iterator) {
    const auto key = encoding::decode_event_key(view(iterator.key()));
    auto events = decode_events(view(iterator.value()));
    // The lengths of the prefix and of the bounds keep other slots out, not damage.
    const bool is_sound =
        key && events && (!key->begin || *key->begin <= events->front().position());
    if (!is_sound) return damaged_events(view(iterator.key()));
    return EventBlock{key->begin, std::move(*events)};
  }

  /// All; of a store that is only read, those that it has: an older one lacks some of the last. The
  /// handles keep their places.
  Result<std::vector<rocksdb::ColumnFamilyDescriptor>> families_to_open(
      const StoreOptions& options, const rocksdb::DBOptions& settings) const {
    auto families = family_descriptors(options);
    if (!read_only_) return families;
    std::vector<std::string> names;
    TESSERA_RETURN_IF_ERROR(
        status_of(rocksdb::DB::ListColumnFamilies(settings, path_, &names), "store " + path_));
    const auto is_missing = [&](const rocksdb::ColumnFamilyDescriptor& family) {
      return std::find(names.begin(), names.end(), family.name) == names.end();
    };
    while (families.size() > 1 + kFirstFamilyCount && is_missing(families.back())) {
      families.pop_back();
    }
    return families;
  }

  Result<bool> get(Family family, std::string_view key, rocksdb::PinnableSlice& value) const {
    const rocksdb::Status status =
        database_->Get(rocksdb::ReadOptions(), handle(family), slice(key), &value);
    if (status.IsNotFound()) return false;
    if (!status.ok()) return status_of(status, "store.get");
    return true;
  }

  /// `take(index, value)` for each key that is there.
  template <class Take>
  Status multi_get(Family family, const std::vector<std::string>& keys, const Take& take) const {
    if (keys.empty()) return {};
    const std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
    std::vector<rocksdb::PinnableSlice> values(keys.size());
    std::vector<rocksdb::Status> statuses(keys.size());
    database_->MultiGet(rocksdb::ReadOptions(), handle(family), keys.size(), slices.data(),
                        values.data(), statuses.data());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (statuses[i].IsNotFound()) continue;
      TESSERA_RETURN_IF_ERROR(status_of(statuses[i], "store.get"));
      TESSERA_RETURN_IF_ERROR(take(i, view(values[i])));
      // Values pin blocks of the cache; hundreds of large ones need not be held together.
      values[i].Reset();
    }
    return {};
  }

  /// `take(key, value)` gives true to go on, false to stop, or a failure.
  template <class Take>
  Status scan(const Range& range, const Take& take) const {
    const rocksdb::Slice end = slice(range.end);
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &end;
    // One pass over everything must not push out what searches use.
    options.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> iterator(
        database_->NewIterator(options, handle(range.family)));
    for (iterator->Seek(slice(range.begin)); iterator->Valid(); iterator->Next()) {
      TESSERA_ASSIGN_OR_RETURN(const bool go_on,
                               take(view(iterator->key()), view(iterator->value())));
      if (!go_on) return {};
    }
    return status_of(iterator->status(), "store.scan");
  }

  /// Visits the first key of each prefix; `take(key)` gives the prefix, or a failure.
  template <class Take>
  Status visit_prefixes(Family family, const std::string& within, const Take& take) const {
    if (handle(family) == nullptr) return {};
    const std::string end_key = encoding::prefix_end(within);
    const rocksdb::Slice end = slice(end_key);
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &end;
    const std::unique_ptr<rocksdb::Iterator> iterator(
        database_->NewIterator(options, handle(family)));
    iterator->Seek(slice(within));
    while (iterator->Valid()) {
      TESSERA_ASSIGN_OR_RETURN(const std::string prefix, take(view(iterator->key())));
      iterator->Seek(encoding::prefix_end(prefix));
    }
    return status_of(iterator->status(), "store.scan");
  }

  template <class Number>
  static std::vector<Number> ascending(std::vector<Number> numbers) {
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    return numbers;
  }

  Status write_batch(const BatchOperations& batch, bool sync) {
    if (read_only_) return {Code::kInternal, "store.write: the store is open for reading only"};
    if (batch.operations.empty()) return {};
    rocksdb::WriteBatch operations(batch.bytes.size() + 32 * batch.operations.size());
    rocksdb::WriteOptions options;
    options.sync = sync;
    rocksdb::Status status = fill(batch, operations);
    if (status.ok()) status = database_->Write(options, &operations);
    // A failed write (a full disk) stops all writes until somebody resumes them; when the cause is
    // gone, the batch gets its second chance here.
    if (!status.ok() && resume()) status = database_->Write(options, &operations);
    return status_of(status, "store.write");
  }

  rocksdb::Status fill(const BatchOperations& batch, rocksdb::WriteBatch& operations) const {
    std::string_view bytes = batch.bytes;
    const auto next = [&bytes](std::size_t size) {
      const rocksdb::Slice piece(bytes.data(), size);
      bytes.remove_prefix(size);
      return piece;
    };
    for (const BatchOperations::Operation& operation : batch.operations) {
      const rocksdb::Slice key = next(operation.key_bytes);
      const rocksdb::Slice value = next(operation.value_bytes);
      rocksdb::Status status;
      switch (operation.kind) {
        case BatchOperations::Kind::kPut:
          status = operations.Put(handle(operation.family), key, value);
          break;
        case BatchOperations::Kind::kDelete:
          status = operations.Delete(handle(operation.family), key);
          break;
        case BatchOperations::Kind::kDeleteRange:
          status = operations.DeleteRange(handle(operation.family), key, value);
          break;
      }
      if (!status.ok()) return status;
    }
    return {};
  }

  /// Whether a write may be tried again. At most one attempt per pause, for it flushes memory.
  bool resume() {
    const std::int64_t now = std::chrono::steady_clock::now().time_since_epoch().count();
    std::int64_t last = last_resume_.load();
    if (now - last < std::chrono::steady_clock::duration(kResumePause).count()) return false;
    if (!last_resume_.compare_exchange_strong(last, now)) return false;
    const rocksdb::Status status = database_->Resume();
    if (!status.ok()) return false;
    log::info("the store accepts writes again", {{"path", path_}});
    return true;
  }

  Status check_format() {
    std::string text;
    const rocksdb::Status status = database_->Get(rocksdb::ReadOptions(), kFormatKey, &text);
    if (status.IsNotFound() && !read_only_) {
      rocksdb::WriteOptions options;
      options.sync = true;
      return status_of(database_->Put(options, kFormatKey, std::to_string(kStoreFormat)),
                       "store " + path_);
    }
    TESSERA_RETURN_IF_ERROR(status_of(status, "store " + path_ + ": format"));
    std::uint32_t format = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), format);
    if (error != std::errc() || rest != text.data() + text.size() || format == 0) {
      return {Code::kCorrupt, "store " + path_ + ": format is not a number"};
    }
    if (format > kStoreFormat) {
      return {Code::kCorrupt, "store " + path_ + ": was written by a newer version (format " +
                                  text + "; this program reads up to " +
                                  std::to_string(kStoreFormat) + ")"};
    }
    return {};
  }

  const std::string path_;
  rocksdb::Env* const env_;
  const bool read_only_;
  std::unique_ptr<rocksdb::DB> database_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  std::atomic<std::int64_t> last_resume_ = 0;
};

}  // namespace

Result<std::unique_ptr<Store>> open_store(const std::string& path, const StoreOptions& options,
                                          rocksdb::Env* env) {
  return guarded_call("store.open", [&]() -> Result<std::unique_ptr<Store>> {
    auto store = std::make_unique<RocksStore>(path, env, options.read_only);
    TESSERA_RETURN_IF_ERROR(store->start(options));
    return std::unique_ptr<Store>(std::move(store));
  });
}

Result<std::unique_ptr<Store>> Store::open(const std::string& path, const StoreOptions& options) {
  return open_store(path, options, rocksdb::Env::Default());
}

}  // namespace tessera::storage
