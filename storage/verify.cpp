#include "storage/verify.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "storage/data_directory.h"
#include "storage/segment_file.h"
#include "storage/session_store.h"
#include "storage/store.h"

namespace tessera::storage {
namespace {

constexpr std::size_t kVectorsAtOnce = 256;
constexpr std::uint64_t kRowsBetweenPolls = 1024;

struct SlotVersion {
  std::uint32_t slot = 0;
  std::uint64_t version = 0;
};

/// Ascending by slot.
using SlotVersions = std::vector<SlotVersion>;

const SlotVersion* find_slot(const SlotVersions& rows, std::uint32_t slot) {
  const auto found = std::lower_bound(
      rows.begin(), rows.end(), slot,
      [](const SlotVersion& row, std::uint32_t value) { return row.slot < value; });
  return found != rows.end() && found->slot == slot ? &*found : nullptr;
}

struct NamedVector {
  VectorNumber number = 0;
  std::uint32_t dim = 0;  ///< 0 until a vector was read.
  SlotVersions rows;
  std::vector<bool> is_in_segment;  ///< By position in rows.
};

struct Parts {
  CollectionNumber collection = 0;
  std::optional<VectorNumber> vector;
  std::optional<std::uint32_t> slot;

  [[nodiscard]] std::string to_string() const {
    std::string text = "collection " + std::to_string(collection);
    if (vector) text += ", vector " + std::to_string(*vector);
    if (slot) text += ", slot " + std::to_string(*slot);
    return text;
  }
};

class Verifier {
 public:
  Verifier(const DataDirectory& directory, const Store& store, const VerifyProgress& progress,
           const CancelToken& cancel)
      : directory_(directory), store_(store), progress_(progress), cancel_(cancel) {}

  Result<VerifyReport> run() {
    step("store checksums");
    report_failure("store", store_.verify_checksums());
    report_failure("store, meta entries",
                   store_.visit_meta("", [this](std::string_view key, std::string_view) {
                     report_.meta_keys.emplace_back(key);
                     return ok_status();
                   }));
    TESSERA_RETURN_IF_ERROR(cancel_.check());
    const auto collections = store_.collections();
    if (collections.has_error()) {
      report_failure("store, collections", collections.error());
    } else {
      report_.collection_count = collections->size();
      for (const CollectionNumber collection : *collections) {
        TESSERA_RETURN_IF_ERROR(check_collection(collection));
      }
    }
    TESSERA_RETURN_IF_ERROR(check_leftover_segments(collections));
    return std::move(report_);
  }

 private:
  void step(const std::string& what) const {
    if (progress_) progress_(what);
  }

  void report(Severity severity, std::string where, std::string what) {
    (severity == Severity::kError ? report_.error_count : report_.warning_count) += 1;
    if (report_.problems.size() < kProblemCountMax) {
      report_.problems.push_back({severity, std::move(where), std::move(what)});
    }
  }

  void error(const Parts& where, const std::string& what) {
    report(Severity::kError, where.to_string(), what);
  }

  void report_failure(const std::string& where, const Status& status) {
    if (!status.ok()) report(Severity::kError, where, status.to_string());
  }

  Status check_collection(CollectionNumber collection) {
    step("collection " + std::to_string(collection));
    const SlotVersions points = read_points(collection);
    TESSERA_RETURN_IF_ERROR(cancel_.check());
    check_payloads(collection, points);
    TESSERA_RETURN_IF_ERROR(cancel_.check());
    check_events(collection, points);
    TESSERA_RETURN_IF_ERROR(cancel_.check());
    check_adapters(collection);
    TESSERA_RETURN_IF_ERROR(cancel_.check());
    check_sessions(collection);
    TESSERA_RETURN_IF_ERROR(cancel_.check());

    std::vector<NamedVector> vectors;
    const auto numbers = store_.vectors(collection);
    if (numbers.has_error()) {
      report_failure(Parts{collection, {}, {}}.to_string() + ", vectors", numbers.error());
    } else {
      for (const VectorNumber number : *numbers) {
        vectors.push_back(read_rows(collection, number, points));
        TESSERA_RETURN_IF_ERROR(cancel_.check());
        check_vectors(collection, vectors.back());
        TESSERA_RETURN_IF_ERROR(cancel_.check());
      }
    }
    TESSERA_RETURN_IF_ERROR(check_segments(collection, vectors));
    for (const NamedVector& vector : vectors) {
      report_.unsegmented_row_count += static_cast<std::uint64_t>(
          std::count(vector.is_in_segment.begin(), vector.is_in_segment.end(), false));
    }
    return {};
  }

  SlotVersions read_points(CollectionNumber collection) {
    SlotVersions points;
    const Status status = store_.visit_points(collection, std::nullopt,
                                              [&](const PointId&, const PointRecord& record) {
                                                points.push_back({record.slot, record.version});
                                                return go_on(points.size());
                                              });
    report_failure(Parts{collection, {}, {}}.to_string() + ", points", status);
    report_.point_count += points.size();
    std::sort(points.begin(), points.end(),
              [](const SlotVersion& a, const SlotVersion& b) { return a.slot < b.slot; });
    for (std::size_t i = 1; i < points.size(); ++i) {
      const bool repeated = points[i].slot == points[i - 1].slot;
      const bool reported = i > 1 && points[i].slot == points[i - 2].slot;
      if (repeated && !reported) error({collection, {}, points[i].slot}, "several points have it");
    }
    return points;
  }

  void check_payloads(CollectionNumber collection, const SlotVersions& points) {
    const Status status =
        store_.visit_payloads(collection, [&](std::uint32_t slot, std::string_view) {
          if (find_slot(points, slot) == nullptr) {
            error({collection, {}, slot}, "a payload belongs to no point");
          }
          return go_on(++report_.payload_count);
        });
    report_failure(Parts{collection, {}, {}}.to_string() + ", payloads", status);
  }

  /// The order inside a block is checked where it is decoded.
  void check_events(CollectionNumber collection, const SlotVersions& points) {
    std::optional<std::uint32_t> previous_slot;
    EventPosition last;
    std::uint64_t block_count = 0;
    const Status status =
        store_.visit_events(collection, std::nullopt, [&](std::uint32_t slot, EventBlock&& block) {
          const Parts where = {collection, {}, slot};
          if (slot != previous_slot) {
            if (find_slot(points, slot) == nullptr) error(where, "events belong to no point");
            if (block.begin) error(where, "the first block of events is missing");
          } else if (block.begin && *block.begin <= last) {
            error(where, "a block of events reaches into the next one");
          }
          previous_slot = slot;
          last = block.events.back().position();
          report_.event_count += block.events.size();
          return go_on(++block_count);
        });
    report_failure(Parts{collection, {}, {}}.to_string() + ", events", status);
  }

  /// What the weights are is not known here; the store's checksums cover them.
  void check_adapters(CollectionNumber collection) {
    const Status status =
        store_.visit_adapters(collection, [&](std::string_view name, const auto& record) {
          const std::string what = "adapter " + std::string(name);
          if (!record) {
            error({collection, {}, {}}, what + " cannot be read");
          } else if (record->version == 0) {
            error({collection, {}, {}}, what + " has no version");
          }
          return go_on(++report_.adapter_count);
        });
    report_failure(Parts{collection, {}, {}}.to_string() + ", adapters", status);
  }

  void check_sessions(CollectionNumber collection) {
    const std::string where = Parts{collection, {}, {}}.to_string();
    const Status status = visit_sessions(
        store_, collection, [&](const SessionId&, const Result<StoredSession>& session) {
          if (session.has_error()) {
            report(Severity::kError, where, session.error().message());
          }
          return go_on(++report_.session_count);
        });
    report_failure(where + ", sessions", status);
  }

  NamedVector read_rows(CollectionNumber collection, VectorNumber number,
                        const SlotVersions& points) {
    NamedVector vector;
    vector.number = number;
    const Status status =
        store_.visit_rows(collection, number, [&](std::uint32_t slot, std::uint64_t version) {
          const SlotVersion* point = find_slot(points, slot);
          if (point == nullptr) {
            error({collection, number, slot}, "a row record belongs to no point");
          } else if (version > point->version) {
            error({collection, number, slot}, "the row has version " + std::to_string(version) +
                                                  ", newer than its point's " +
                                                  std::to_string(point->version));
          }
          vector.rows.push_back({slot, version});
          return go_on(++report_.row_count);
        });
    report_failure(Parts{collection, number, {}}.to_string() + ", row records", status);
    vector.is_in_segment.resize(vector.rows.size());
    return vector;
  }

  void check_vectors(CollectionNumber collection, NamedVector& vector) {
    std::size_t next = 0;
    const auto report_missing = [&](std::uint64_t slot_end) {
      for (; next < vector.rows.size() && vector.rows[next].slot < slot_end; ++next) {
        error({collection, vector.number, vector.rows[next].slot}, "the row record has no vector");
      }
    };
    std::uint64_t count = 0;
    const Status status = store_.visit_vectors(
        collection, vector.number,
        [&](std::uint32_t slot, std::uint64_t version, std::span<const float> values) {
          const Parts where = {collection, vector.number, slot};
          report_missing(slot);
          if (next == vector.rows.size() || vector.rows[next].slot != slot) {
            error(where, "a vector has no row record");
          } else if (vector.rows[next++].version != version) {
            error(where, "the vector has version " + std::to_string(version) + ", its row record " +
                             std::to_string(vector.rows[next - 1].version));
          }
          if (vector.dim == 0) vector.dim = static_cast<std::uint32_t>(values.size());
          if (values.empty() || values.size() != vector.dim) {
            error(where, "the vector has " + std::to_string(values.size()) +
                             " values, the first one has " + std::to_string(vector.dim));
          }
          return go_on(++count);
        });
    report_failure(Parts{collection, vector.number, {}}.to_string() + ", vectors", status);
    if (status.ok() && cancel_.check().ok()) report_missing(std::uint64_t{1} << 32);
  }

  Status check_segments(CollectionNumber collection, std::vector<NamedVector>& vectors) {
    const std::string directory = directory_.segment_directory(collection);
    const auto names = list_directory(directory);
    if (names.has_error()) {
      report_failure(directory, names.error());
      return {};
    }
    for (const std::string& name : *names) {
      const std::string path = directory + "/" + name;
      if (!name.ends_with(".seg")) {
        report(Severity::kWarning, path, "is not a segment file");
        continue;
      }
      step(path);
      TESSERA_RETURN_IF_ERROR(cancel_.check());
      const auto file = SegmentFile::open(path);
      ++report_.segment_file_count;
      if (file.has_error()) {
        report_failure(path, file.error());
        continue;
      }
      report_.segment_bytes += (*file)->file_bytes();
      TESSERA_RETURN_IF_ERROR(check_segment(collection, vectors, path, **file));
    }
    return {};
  }

  Status check_segment(CollectionNumber collection, std::vector<NamedVector>& vectors,
                       const std::string& path, const SegmentFile& file) {
    const SegmentHeader& header = file.header();
    if (path != directory_.segment_path(collection, header.vector, header.segment) ||
        header.collection != collection) {
      report(Severity::kError, path,
             "the header belongs to " +
                 directory_.segment_path(header.collection, header.vector, header.segment));
      return {};
    }
    const auto vector =
        std::find_if(vectors.begin(), vectors.end(),
                     [&header](const NamedVector& v) { return v.number == header.vector; });
    if (vector == vectors.end()) {
      report_.stale_segment_row_count += header.row_count;
      report(Severity::kWarning, path,
             "no row of vector " + std::to_string(header.vector) + " is in the store");
      return {};
    }
    if (vector->dim != 0 && header.dim != vector->dim) {
      report(Severity::kError, path,
             "dim is " + std::to_string(header.dim) + ", the store's vectors have " +
                 std::to_string(vector->dim));
      return {};
    }
    return check_segment_rows(*vector, path, file);
  }

  Status check_segment_rows(NamedVector& vector, const std::string& path, const SegmentFile& file) {
    std::vector<std::size_t> current;
    for (std::size_t row = 0; row < file.slots().size(); ++row) {
      if (row % kRowsBetweenPolls == 0) TESSERA_RETURN_IF_ERROR(cancel_.check());
      const SlotVersion* stored = find_slot(vector.rows, file.slots()[row]);
      const std::uint64_t version = file.versions()[row];
      if (stored != nullptr && version > stored->version) {
        report(Severity::kError, path,
               "row " + std::to_string(row) + ", slot " + std::to_string(stored->slot) +
                   ": version " + std::to_string(version) + " is newer than the store's " +
                   std::to_string(stored->version));
      }
      if (stored == nullptr || version != stored->version) {
        ++report_.stale_segment_row_count;
        continue;
      }
      ++report_.live_segment_row_count;
      vector.is_in_segment[static_cast<std::size_t>(stored - vector.rows.data())] = true;
      current.push_back(row);
      if (current.size() == kVectorsAtOnce) compare_rows(vector, path, file, current);
    }
    compare_rows(vector, path, file, current);
    return {};
  }

  /// Compares the rows with the stored vectors and empties the list.
  void compare_rows(const NamedVector& vector, const std::string& path, const SegmentFile& file,
                    std::vector<std::size_t>& rows) {
    std::vector<std::uint32_t> slots;
    for (const std::size_t row : rows) slots.push_back(file.slots()[row]);
    const auto stored = store_.get_vectors(file.header().collection, vector.number, slots);
    if (stored.has_error()) {
      report_failure(path + ", stored vectors of it", stored.error());
    } else {
      const std::size_t dim = file.header().dim, row_bytes = file.header().row_bytes();
      std::vector<float> own(dim);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const std::vector<float>& values = (*stored)[i];
        // Missing and wrongly long ones were reported with their collection.
        if (values.size() != dim) continue;
        widen_values(file.header().value_type, file.vectors() + rows[i] * row_bytes, dim,
                     own.data());
        if (std::memcmp(values.data(), own.data(), dim * sizeof(float)) == 0) continue;
        report(Severity::kError, path,
               "row " + std::to_string(rows[i]) + ", slot " + std::to_string(slots[i]) +
                   ": other values than in the store");
      }
    }
    rows.clear();
  }

  /// Directories of collections that the store does not have.
  Status check_leftover_segments(const Result<std::vector<CollectionNumber>>& collections) {
    const auto names = list_directory(directory_.segments_path());
    if (names.has_error()) {
      report_failure(directory_.segments_path(), names.error());
      return {};
    }
    if (collections.has_error()) return {};
    for (const std::string& name : *names) {
      const bool known =
          std::any_of(collections->begin(), collections->end(),
                      [&name](CollectionNumber number) { return std::to_string(number) == name; });
      if (!known) {
        report(Severity::kWarning, directory_.segments_path() + "/" + name,
               "the store has no records of this collection");
      }
    }
    return {};
  }

  /// Whether a visitor goes on; the next poll between steps gives the reason when not.
  [[nodiscard]] bool go_on(std::uint64_t count) const {
    return count % kRowsBetweenPolls != 0 || cancel_.check().ok();
  }

  const DataDirectory& directory_;
  const Store& store_;
  const VerifyProgress& progress_;
  const CancelToken& cancel_;
  VerifyReport report_;
};

}  // namespace

const char* severity_name(Severity severity) {
  switch (severity) {
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "unknown";
}

Result<VerifyReport> verify_data_directory(const std::string& path, const VerifyProgress& progress,
                                           const CancelToken& cancel) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<DataDirectory> directory,
                           DataDirectory::open_read_only(path));
  StoreOptions options;
  options.read_only = true;
  const auto store = Store::open(directory->store_path(), options);
  if (store.has_error()) {
    VerifyReport report;
    report.error_count = 1;
    report.problems.push_back(
        {Severity::kError, directory->store_path(), store.error().to_string()});
    return report;
  }
  return Verifier(*directory, **store, progress, cancel).run();
}

}  // namespace tessera::storage
