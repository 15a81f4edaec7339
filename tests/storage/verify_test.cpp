#include "storage/verify.h"

#include <cmath>
#include <map>

#include <catch2/catch.hpp>

#include "storage/data_directory.h"
#include "storage/encoding.h"
#include "storage/segment_file.h"
#include "tests/storage/store_support.h"
#include "tests/support/temporary_directory.h"

namespace tessera::storage {
namespace {

using tessera::test::TemporaryDirectory;
using test::require_ok;
using test::vector_of;

constexpr std::size_t kDim = 96;  // Long enough for blob files.
constexpr std::uint32_t kPointCount = 400;
constexpr std::uint32_t kSegmentRowCount = 150;

/// A data directory with two collections: points with slots 0 to 399, each changed by the operation
/// 1000 + slot / 10, so that ten share a version; every fifth point has a payload; rows 0 to 149 of
/// vector 0 are in segment 1, 100 to 249 in segment 2 (some twice, as after an interrupted merge).
class Sample {
 public:
  Sample() {
    directory_ = *DataDirectory::open(temporary_.file("data"));
    store_ = *Store::open(directory_->store_path(), test::small_options());
    for (const CollectionNumber collection : {3U, 70000U}) {
      Batch batch;
      for (std::uint32_t slot = 0; slot < kPointCount; ++slot) add_point(batch, collection, slot);
      require_ok(store_->write(std::move(batch), true));
      require_ok(create_directories(directory_->segment_directory(collection)));
      write_segment(collection, 1, 0, {});
      write_segment(collection, 2, 100, {});
    }
    change([](Batch& batch) {
      batch.put_meta("collection/3", "{}");
      // An update and two deletions, after the segments were written.
      batch.put_point(3, id_of(7), {7, 5000});
      batch.put_vector(3, 0, 7, 5000, vector_of(7, 5000, kDim));
      for (const std::uint32_t slot : {8U, 110U}) {
        batch.delete_point(3, id_of(slot));
        batch.delete_payload(3, slot);
        batch.delete_events(3, slot, std::nullopt);
        batch.delete_events(3, slot, EventPosition{0, PointId(slot)});
        batch.delete_vector(3, 0, slot);
        batch.delete_vector(3, 1, slot);
      }
    });
  }

  static PointId id_of(std::uint32_t slot) { return PointId(1000000 + slot); }
  static std::uint64_t version_of(std::uint32_t slot) { return 1000 + slot / 10; }

  template <class Change>
  void change(const Change& change) {
    Batch batch;
    change(batch);
    require_ok(store_->write(std::move(batch), true));
  }

  template <class Change>
  void change_behind(const Change& change) {
    store_.reset();
    test::change_behind(path() + "/store", change);
  }

  /// Rows [first, first + kSegmentRowCount) with what `edit(row, slot, version, values)` makes.
  using Edit =
      std::function<void(std::uint32_t, std::uint32_t&, std::uint64_t&, std::vector<float>&)>;
  void write_segment(CollectionNumber collection, std::uint64_t segment, std::uint32_t first,
                     const Edit& edit, const std::function<void(SegmentHeader&)>& change = {}) {
    SegmentHeader header = {.collection = collection,
                            .vector = 0,
                            .segment = segment,
                            .metric = Metric::kDot,
                            .dim = kDim,
                            .row_count = kSegmentRowCount,
                            .index_spec = "{}"};
    std::vector<std::uint32_t> slots(kSegmentRowCount);
    std::vector<std::uint64_t> versions(kSegmentRowCount);
    std::vector<float> rows;
    for (std::uint32_t row = 0; row < kSegmentRowCount; ++row) {
      slots[row] = first + row;
      versions[row] = version_of(slots[row]);
      std::vector<float> values = vector_of(slots[row], versions[row], kDim);
      if (edit) edit(row, slots[row], versions[row], values);
      rows.insert(rows.end(), values.begin(), values.end());
    }
    const std::string path = directory_->segment_path(collection, 0, segment);
    if (change) change(header);
    std::vector<std::byte> bytes(rows.size() * value_bytes(header.value_type));
    narrow_values(header.value_type, rows.data(), rows.size(), bytes.data());
    require_ok(write_segment_file(path, header, slots, versions, bytes.data(),
                                  [](ByteSink& sink) { return sink.append(as_bytes("graph")); }));
  }

  VerifyReport verify() {
    store_.reset();
    directory_.reset();
    const auto report = verify_data_directory(path(), {}, CancelToken());
    INFO(report.error().to_string());
    REQUIRE(report.has_value());
    return *report;
  }

  std::string path() const { return temporary_.file("data"); }
  std::string segment_path(std::uint64_t segment) const {
    return path() + "/segments/3/0-" + std::to_string(segment) + ".seg";
  }

 private:
  static void add_point(Batch& batch, CollectionNumber collection, std::uint32_t slot) {
    const std::uint64_t version = version_of(slot);
    batch.put_point(collection, id_of(slot), {slot, version});
    batch.put_vector(collection, 0, slot, version, vector_of(slot, version, kDim));
    if (slot % 2 == 0) batch.put_vector(collection, 1, slot, version, vector_of(slot, version, 3));
    if (slot % 5 == 0) batch.put_payload(collection, slot, "{}");
    // Two blocks: before 1970, and from then on.
    const EventPosition middle{0, PointId(slot)};
    batch.put_events(collection, slot, std::nullopt, std::vector<Event>{{PointId(1), -5, 1}});
    batch.put_events(collection, slot, middle,
                     std::vector<Event>{{PointId(slot), 0, 1}, {PointId(9), 7, 2}});
  }

  const TemporaryDirectory temporary_;
  std::unique_ptr<DataDirectory> directory_;
  std::unique_ptr<Store> store_;
};

/// The report has this problem and no other.
void require_only(const VerifyReport& report, Severity severity, const std::string& where,
                  const std::string& what) {
  for (const Problem& problem : report.problems) {
    UNSCOPED_INFO(severity_name(problem.severity) << ": " << problem.where << ": " << problem.what);
  }
  REQUIRE(report.problems.size() == 1);
  REQUIRE(report.problems[0].severity == severity);
  REQUIRE(report.problems[0].where == where);
  REQUIRE(report.problems[0].what.find(what) != std::string::npos);
  REQUIRE(report.error_count + report.warning_count == 1);
  REQUIRE(report.ok() == (severity == Severity::kWarning));
}

TEST_CASE("verify: a good directory has no problem and its records are counted", "[unit]") {
  Sample sample;
  const VerifyReport report = sample.verify();
  CAPTURE(report.problems.empty() ? "" : report.problems[0].where + report.problems[0].what);
  REQUIRE(report.problems.empty());
  REQUIRE(report.ok());
  REQUIRE(report.meta_keys == std::vector<std::string>{"collection/3"});
  REQUIRE(report.collection_count == 2);
  REQUIRE(report.point_count == 2 * kPointCount - 2);
  REQUIRE(report.payload_count == 2 * kPointCount / 5 - 1);
  REQUIRE(report.event_count == 3 * report.point_count);
  REQUIRE(report.row_count == 2 * (kPointCount + kPointCount / 2) - 2 - 2);
  REQUIRE(report.segment_file_count == 4);
  // Slot 7 was updated; 8 is in one segment, 110 in both.
  REQUIRE(report.stale_segment_row_count == 4);
  REQUIRE(report.live_segment_row_count == 4 * kSegmentRowCount - 4);
  // Vector 0: slots 250 to 399, and 7. Vector 1: all of its rows.
  REQUIRE(report.unsegmented_row_count == 2 * 150 + 1 + 2 * kPointCount / 2 - 2);
  REQUIRE(report.segment_bytes > 4 * kSegmentRowCount * kDim * sizeof(float));
}

TEST_CASE("verify: events without their owner, out of place or damaged are errors", "[unit]") {
  const std::vector<Event> early = {{PointId(1), -5, 1}}, late = {{PointId(9), 70, 1}};
  Sample sample;
  SECTION("of no point") {
    sample.change([&](Batch& batch) { batch.put_events(3, 5000, std::nullopt, early); });
    require_only(sample.verify(), Severity::kError, "collection 3, slot 5000",
                 "events belong to no point");
  }
  SECTION("without a first block") {
    sample.change([&](Batch& batch) { batch.delete_events(3, 17, std::nullopt); });
    require_only(sample.verify(), Severity::kError, "collection 3, slot 17",
                 "the first block of events is missing");
  }
  SECTION("in a block before") {
    sample.change([&](Batch& batch) { batch.put_events(3, 17, std::nullopt, late); });
    require_only(sample.verify(), Severity::kError, "collection 3, slot 17",
                 "reaches into the next one");
  }
  SECTION("before their block begins, or of bytes that are no events") {
    const bool is_early = GENERATE(true, false);
    sample.change_behind([&](rocksdb::DB& database, const auto& handle_of) {
      const std::string key = encoding::event_key(3, 17, EventPosition{0, PointId(17)});
      const std::string bytes = is_early ? encode_events(early) : "\x01\x01";
      REQUIRE(database.Put({}, handle_of(Family::kEvents), key, bytes).ok());
    });
    require_only(sample.verify(), Severity::kError, "collection 3, events",
                 "collection 3, slot 17: store: block of events with key");
  }
}

TEST_CASE("verify: sessions are counted, and damaged ones reported", "[unit]") {
  SessionId id{};
  id.fill(0xab);
  SessionDefinition definition;
  definition.interests.push_back({std::nullopt, 1, {1}, std::nullopt, {}});
  const auto put = [&](Batch& batch, const std::string& state) {
    using Part = SessionKey::Part;
    batch.put_session_record(3, {id, Part::kState, 0}, state);
    batch.put_session_record(3, {id, Part::kDefinition, 0}, encode_session_definition(definition));
    batch.put_session_record(3, {id, Part::kRound, 1},
                             encode_session_round({0, 1, {}, {{1, 1, 1}}, {{PointId(1), 1, 0}}}));
  };
  Sample sample;
  SECTION("sound") {
    sample.change([&](Batch& batch) { put(batch, encode_session_state({1, 2, 1})); });
    const VerifyReport report = sample.verify();
    REQUIRE(report.ok());
    REQUIRE(report.session_count == 1);
  }
  SECTION("with a round too few") {
    sample.change([&](Batch& batch) { put(batch, encode_session_state({1, 2, 2})); });
    require_only(sample.verify(), Severity::kError, "collection 3",
                 "session abababab...: the state says 2 rounds, there are 1");
  }
}

TEST_CASE("verify: a store of before there were events is read as it is", "[unit]") {
  Sample sample;
  sample.change([](Batch& batch) {
    for (std::uint32_t slot = 0; slot < 2 * kPointCount; ++slot) {
      for (const CollectionNumber collection : {3U, 70000U}) {
        batch.delete_events(collection, slot, std::nullopt);
        batch.delete_events(collection, slot, EventPosition{0, PointId(slot)});
      }
    }
  });
  sample.change_behind([](rocksdb::DB& database, const auto& handle_of) {
    for (std::size_t i = kFirstFamilyCount; i < kFamilyNames.size(); ++i) {
      REQUIRE(database.DropColumnFamily(handle_of(static_cast<Family>(i))).ok());
    }
  });
  const VerifyReport report = sample.verify();
  REQUIRE(report.ok());
  REQUIRE(report.event_count == 0);
  REQUIRE(report.collection_count == 2);
}

TEST_CASE("verify: nothing is changed and every step is told", "[unit]") {
  Sample sample;
  require_ok(sample.verify().ok() ? Status() : Status(Code::kInternal, "not ok"));
  const auto contents = [&sample] {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(sample.path())) {
      if (entry.is_regular_file()) files[entry.path()] = test::read_file(entry.path());
    }
    return files;
  };
  const auto before = contents();
  std::vector<std::string> steps;
  REQUIRE(
      verify_data_directory(
          sample.path(), [&](std::string_view step) { steps.emplace_back(step); }, CancelToken())
          .has_value());
  REQUIRE(contents() == before);
  REQUIRE(steps.size() == 7);
  REQUIRE(steps[0] == "store checksums");
  REQUIRE(steps[1] == "collection 3");
  REQUIRE(steps[2] == sample.segment_path(1));
}

TEST_CASE("verify: each flipped byte of a segment file is reported with the file", "[unit]") {
  Sample sample;
  sample.verify();
  const std::string path = sample.segment_path(2);
  const std::string bytes = test::read_file(path);
  for (const std::size_t offset :
       {std::size_t{0}, std::size_t{20}, bytes.size() / 2, bytes.size() - 1}) {
    CAPTURE(offset);
    std::string damaged = bytes;
    damaged[offset] = static_cast<char>(damaged[offset] ^ 4);
    test::write_file(path, damaged);
    require_only(sample.verify(), Severity::kError, path, "corrupt: " + path);
  }
}

TEST_CASE("verify: contradictions inside the store are reported with their place", "[unit]") {
  Sample sample;
  SECTION("a deleted vector record") {
    sample.change_behind([](rocksdb::DB& database, const auto& handle_of) {
      REQUIRE(database.Delete({}, handle_of(Family::kVectors), encoding::row_key(3, 0, 30)).ok());
    });
    require_only(sample.verify(), Severity::kError, "collection 3, vector 0, slot 30",
                 "the row record has no vector");
  }
  SECTION("the last vector record deleted") {
    sample.change_behind([](rocksdb::DB& database, const auto& handle_of) {
      REQUIRE(database.Delete({}, handle_of(Family::kVectors), encoding::row_key(3, 0, 399)).ok());
    });
    require_only(sample.verify(), Severity::kError, "collection 3, vector 0, slot 399",
                 "the row record has no vector");
  }
  SECTION("a deleted row record") {
    sample.change_behind([](rocksdb::DB& database, const auto& handle_of) {
      REQUIRE(database.Delete({}, handle_of(Family::kRows), encoding::row_key(3, 0, 30)).ok());
    });
    require_only(sample.verify(), Severity::kError, "collection 3, vector 0, slot 30",
                 "a vector has no row record");
  }
  SECTION("a row record of an older version than its vector") {
    sample.change_behind([](rocksdb::DB& database, const auto& handle_of) {
      REQUIRE(database
                  .Put({}, handle_of(Family::kRows), encoding::row_key(3, 1, 30),
                       encoding::row_value(9))
                  .ok());
    });
    require_only(sample.verify(), Severity::kError, "collection 3, vector 1, slot 30",
                 "the vector has version 1003, its row record 9");
  }
  SECTION("a record that no encoder wrote") {
    sample.change_behind([](rocksdb::DB& database, const auto& handle_of) {
      REQUIRE(
          database.Put({}, handle_of(Family::kPayloads), encoding::payload_key(3, 30), "").ok());
    });
    require_only(sample.verify(), Severity::kError, "collection 3, payloads", "does not decode");
  }
  SECTION("an adapter that no encoder wrote") {
    sample.change_behind([](rocksdb::DB& database, const auto& handle_of) {
      REQUIRE(
          database.Put({}, handle_of(Family::kAdapters), encoding::adapter_key(3, "a"), "\1").ok());
    });
    require_only(sample.verify(), Severity::kError, "collection 3", "adapter a cannot be read");
  }
  SECTION("an adapter without a version") {
    sample.change([](Batch& batch) { batch.put_adapter(3, "a", {0, 0, "file"}); });
    require_only(sample.verify(), Severity::kError, "collection 3", "adapter a has no version");
  }
  SECTION("an empty vector") {
    sample.change([](Batch& batch) { batch.put_vector(3, 0, 30, 1003, {}); });
    require_only(sample.verify(), Severity::kError, "collection 3, vector 0, slot 30",
                 "the vector has 0 values, the first one has 96");
  }
  SECTION("a vector of another length") {
    sample.change([](Batch& batch) { batch.put_vector(3, 1, 30, 1003, vector_of(30, 0, 4)); });
    require_only(sample.verify(), Severity::kError, "collection 3, vector 1, slot 30",
                 "the vector has 4 values, the first one has 3");
  }
  SECTION("a payload without a point") {
    sample.change([](Batch& batch) { batch.put_payload(3, 8, "{}"); });
    require_only(sample.verify(), Severity::kError, "collection 3, slot 8",
                 "a payload belongs to no point");
  }
  SECTION("a row without a point") {
    sample.change([](Batch& batch) { batch.put_vector(3, 1, 999, 1, vector_of(1, 1, 3)); });
    require_only(sample.verify(), Severity::kError, "collection 3, vector 1, slot 999",
                 "a row record belongs to no point");
  }
  SECTION("a slot that three points have is reported once") {
    sample.change([](Batch& batch) {
      batch.put_point(3, PointId(1), {30, 1003});
      batch.put_point(3, *PointId::parse_uuid("00000000000000000000000000000000"), {30, 1003});
    });
    require_only(sample.verify(), Severity::kError, "collection 3, slot 30",
                 "several points have it");
  }
  SECTION("the slots of two points swapped") {
    sample.change([](Batch& batch) {
      batch.put_point(3, Sample::id_of(20), {40, Sample::version_of(20)});
      batch.put_point(3, Sample::id_of(40), {20, Sample::version_of(40)});
    });
    const VerifyReport report = sample.verify();
    REQUIRE(report.error_count == 2);  // Vectors 0 and 1 of slot 40.
    REQUIRE(report.problems[0].where == "collection 3, vector 0, slot 40");
    REQUIRE(report.problems[0].what == "the row has version 1004, newer than its point's 1002");
    REQUIRE(report.problems[1].where == "collection 3, vector 1, slot 40");
  }
}

TEST_CASE("verify: rows of another value type are compared with what the store has", "[unit]") {
  constexpr std::uint32_t kFirst = 250;  // The other files hold the slots before.
  for (const ValueType type : {ValueType::kFloat16, ValueType::kUint8}) {
    const auto stored_values = [type](std::uint32_t slot, std::uint64_t version) {
      std::vector<float> values = vector_of(slot, version, kDim);
      for (float& value : values) {
        const bool is_byte = type == ValueType::kUint8;
        value = is_byte ? std::floor(std::fabs(std::fmod(100 * value, 256.0F)))
                        : to_float(to_float16(value));
      }
      return values;
    };
    for (const bool is_wrong : {false, true}) {
      CAPTURE(value_type_name(type), is_wrong);
      Sample sample;
      sample.change([&](Batch& batch) {
        for (std::uint32_t slot = kFirst; slot < kFirst + kSegmentRowCount; ++slot) {
          const std::uint64_t version = Sample::version_of(slot);
          batch.put_vector(3, 0, slot, version, stored_values(slot, version), type);
        }
      });
      sample.write_segment(
          3, 9, kFirst,
          [&](auto row, auto& slot, auto& version, auto& values) {
            values = stored_values(slot, version);
            if (is_wrong && row == 149) values[95] = values[95] == 1 ? 2 : 1;
          },
          [type](SegmentHeader& header) { header.value_type = type; });
      const VerifyReport report = sample.verify();
      if (is_wrong) {
        require_only(report, Severity::kError, sample.segment_path(9),
                     "row 149, slot 399: other values than in the store");
      } else {
        REQUIRE(report.error_count == 0);
      }
    }
  }
}

TEST_CASE("verify: segment rows that disagree with the store are reported by row", "[unit]") {
  Sample sample;
  const std::string path = sample.segment_path(9);
  SECTION("two slots of one version swapped") {
    sample.write_segment(3, 9, 200, [](auto row, auto& slot, auto&, auto&) {
      if (row == 1) slot = 202;
      if (row == 2) slot = 201;
    });
    const VerifyReport report = sample.verify();
    REQUIRE(report.error_count == 2);
    REQUIRE(report.problems[0].where == path);
    REQUIRE(report.problems[0].what == "row 1, slot 202: other values than in the store");
    REQUIRE(report.problems[1].what == "row 2, slot 201: other values than in the store");
  }
  SECTION("one bit of one value, behind a right checksum") {
    sample.write_segment(3, 9, 200, [](auto row, auto&, auto&, auto& values) {
      if (row == 149) values[95] = std::nextafter(values[95], 0.0F);
    });
    require_only(sample.verify(), Severity::kError, path,
                 "row 149, slot 349: other values than in the store");
  }
  SECTION("a row that is newer than the store") {
    sample.write_segment(3, 9, 200, [](auto row, auto&, auto& version, auto&) {
      if (row == 5) version += 1;
    });
    require_only(sample.verify(), Severity::kError, path,
                 "row 5, slot 205: version 1021 is newer than the store's 1020");
  }
  SECTION("another dim") {
    sample.write_segment(
        3, 9, 200, [](auto, auto&, auto&, auto& values) { values.resize(95); },
        [](SegmentHeader& header) { header.dim = 95; });
    require_only(sample.verify(), Severity::kError, path, "dim is 95, the store's vectors have 96");
  }
  SECTION("the header of another place") {
    sample.write_segment(3, 9, 200, {}, [](SegmentHeader& header) { header.segment = 10; });
    require_only(sample.verify(), Severity::kError, path,
                 "the header belongs to " + sample.segment_path(10));
  }
  SECTION("a collection's directory that the store does not know") {
    std::filesystem::create_directories(sample.path() + "/segments/4");
    require_only(sample.verify(), Severity::kWarning, sample.path() + "/segments/4",
                 "no records of this collection");
  }
  SECTION("a file that is none of ours") {
    test::write_file(sample.path() + "/segments/3/notes.txt", "x");
    require_only(sample.verify(), Severity::kWarning, sample.path() + "/segments/3/notes.txt",
                 "is not a segment file");
  }
}

TEST_CASE("verify: a flipped byte in any table or vector file of the store is reported", "[unit]") {
  Sample sample;
  sample.verify();
  // A second open writes what the log held to tables.
  test::open_or_fail(sample.path() + "/store").reset();
  std::vector<std::string> files = test::files_with(sample.path() + "/store", ".sst");
  const std::vector<std::string> blobs = test::files_with(sample.path() + "/store", ".blob");
  REQUIRE_FALSE(files.empty());
  REQUIRE_FALSE(blobs.empty());
  files.insert(files.end(), blobs.begin(), blobs.end());
  for (const std::string& path : files) {
    const std::string bytes = test::read_file(path);
    for (const std::size_t offset : {bytes.size() / 3, bytes.size() / 2}) {
      CAPTURE(path, offset);
      std::string damaged = bytes;
      damaged[offset] = static_cast<char>(damaged[offset] ^ 16);
      test::write_file(path, damaged);
      const VerifyReport report = sample.verify();
      REQUIRE_FALSE(report.ok());
      // Damage of a table's own index keeps the store from opening.
      const std::string where = report.problems[0].where;
      REQUIRE((where == "store" || where == sample.path() + "/store"));
      REQUIRE(report.problems[0].what.find("corrupt") == 0);
    }
    test::write_file(path, bytes);
  }
  REQUIRE(sample.verify().ok());
}

TEST_CASE("verify: a store that does not open is a problem, a running daemon is not", "[unit]") {
  Sample sample;
  sample.verify();
  {
    const auto running = *DataDirectory::open(sample.path());
    const auto report = verify_data_directory(sample.path(), {}, CancelToken());
    REQUIRE(report.error().code() == Code::kUnavailable);
  }
  const auto missing = verify_data_directory(sample.path() + "/none", {}, CancelToken());
  REQUIRE(missing.error().code() == Code::kNotFound);
  CancelToken cancelled;
  cancelled.cancel();
  REQUIRE(verify_data_directory(sample.path(), {}, cancelled).error().code() == Code::kCancelled);

  std::filesystem::remove(sample.path() + "/store/CURRENT");
  require_only(sample.verify(), Severity::kError, sample.path() + "/store", "CURRENT is missing");
}

TEST_CASE("verify: many problems are counted, the first thousand are listed", "[unit]") {
  Sample sample;
  sample.change([](Batch& batch) {
    for (std::uint32_t slot = 1000; slot < 2500; ++slot) batch.put_payload(3, slot, "{}");
  });
  const VerifyReport report = sample.verify();
  REQUIRE(report.error_count == 1500);
  REQUIRE(report.problems.size() == kProblemCountMax);
}

}  // namespace
}  // namespace tessera::storage
