#include "storage/section_file.h"

#include <random>

#include <catch2/catch.hpp>

#include "storage/fixed.h"
#include "tests/storage/store_support.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/temporary_directory.h"

namespace tessera::storage {
namespace {

using tessera::test::FaultFileSystem;
using tessera::test::TemporaryDirectory;
using test::require_ok;

constexpr std::string_view kKind = "sample";
constexpr std::uint32_t kKindVersion = 3;
constexpr std::size_t kHeaderBytes = 64;
constexpr std::size_t kEntryBytes = 56;

using Sections = std::vector<std::pair<std::string, std::string>>;

Status save(const std::string& path, const Sections& sections, FileSystem& files) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<SectionFileWriter> writer,
                           SectionFileWriter::create(path, kKind, kKindVersion, files));
  for (const auto& [name, bytes] : sections) {
    TESSERA_RETURN_IF_ERROR(writer->begin_section(name));
    // In two pieces, so that the checksum continues over them.
    const auto all = as_bytes(bytes);
    TESSERA_RETURN_IF_ERROR(writer->append(all.first(all.size() / 3)));
    TESSERA_RETURN_IF_ERROR(writer->append(all.subspan(all.size() / 3)));
  }
  return writer->publish();
}

Result<Sections> load(const std::string& path, FileSystem& files) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<const SectionFile> file,
                           SectionFile::open(path, kKind, kKindVersion, files));
  Sections sections;
  for (const std::string& name : file->section_names()) {
    TESSERA_ASSIGN_OR_RETURN(const auto bytes, file->section(name));
    if (reinterpret_cast<std::uintptr_t>(bytes.data()) % 64 != 0) {
      return Status(Code::kInternal, name + " is not aligned");
    }
    sections.emplace_back(name,
                          std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  return sections;
}

std::string random_text(std::size_t size, std::mt19937_64& random) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

/// Sections of awkward lengths: empty, one byte, a multiple of the alignment, several pages.
Sections sample_sections() {
  std::mt19937_64 random(1);
  return {{"empty", ""},
          {"one", "x"},
          {"aligned", random_text(128, random)},
          {"a name of thirty-two characters.", random_text(1000, random)},
          {"pages", random_text(12345, random)},
          {"last", random_text(63, random)}};
}

/// A file in memory, so that damaging it thousands of times costs nothing.
struct Fixture {
  Fixture() {
    require_ok(files.create_directory("/d"));
    require_ok(save(path, sections, files));
    bytes = files.contents(path);
  }
  Status open_damaged(const std::string& damaged) {
    files.set_contents(path, damaged);
    return load(path, files).error();
  }
  /// The same file with a field replaced and every checksum made to fit again.
  template <class Integer>
  std::string with_field(std::size_t offset, Integer value) const {
    std::string changed = bytes;
    std::memcpy(changed.data() + offset, &value, sizeof(value));
    const auto table_offset = get_fixed<std::uint64_t>(&bytes[40]);
    const std::uint32_t table_crc = crc32c(0, as_bytes(changed).subspan(table_offset));
    std::memcpy(changed.data() + 56, &table_crc, sizeof(table_crc));
    const std::uint32_t header_crc = crc32c(0, as_bytes(changed).first(kHeaderBytes - 4));
    std::memcpy(changed.data() + 60, &header_crc, sizeof(header_crc));
    return changed;
  }
  std::size_t entry(std::size_t index) const {
    return get_fixed<std::uint64_t>(&bytes[40]) + index * kEntryBytes;
  }

  FaultFileSystem files;
  const std::string path = "/d/file";
  const Sections sections = sample_sections();
  std::string bytes;
};

TEST_CASE("section file: what was saved is loaded, and saved again it is the same file", "[unit]") {
  Fixture f;
  const Sections loaded = *load(f.path, f.files);
  REQUIRE(loaded == f.sections);
  require_ok(save("/d/again", loaded, f.files));
  REQUIRE(f.files.contents("/d/again") == f.bytes);
  REQUIRE(f.bytes.size() % 8 == 0);
}

TEST_CASE("section file: it works on the real file system", "[unit]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("file");
  REQUIRE(load(path, posix_file_system()).error().code() == Code::kNotFound);
  require_ok(save(path, sample_sections(), posix_file_system()));
  REQUIRE(*load(path, posix_file_system()) == sample_sections());
  REQUIRE(test::read_file(path) == Fixture().bytes);
  REQUIRE(test::files_with(directory.path(), ".tmp").empty());
  const auto file = *SectionFile::open(path, kKind, 9);
  REQUIRE(file->kind_version() == kKindVersion);
  REQUIRE(file->file_bytes() == std::filesystem::file_size(path));
  REQUIRE(file->section("other").error().code() == Code::kCorrupt);
}

TEST_CASE("section file: a file without sections is a file", "[unit]") {
  FaultFileSystem files;
  require_ok(save("/empty", {}, files));
  REQUIRE(load("/empty", files)->empty());
}

TEST_CASE("section file: each flipped bit of the header is detected and named", "[unit]") {
  Fixture f;
  for (std::size_t bit = 0; bit < kHeaderBytes * 8; ++bit) {
    CAPTURE(bit / 8, bit % 8);
    std::string damaged = f.bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const Status status = f.open_damaged(damaged);
    REQUIRE(status.code() == Code::kCorrupt);
    const char* field = bit / 8 < 8 ? "magic" : bit / 8 < 12 ? "format_version" : "header_crc";
    REQUIRE(status.message().find(f.path + ": " + field) == 0);
  }
}

TEST_CASE("section file: each flipped byte of the section table is detected", "[unit]") {
  Fixture f;
  for (std::size_t i = f.entry(0); i < f.bytes.size(); ++i) {
    std::string damaged = f.bytes;
    damaged[i] = static_cast<char>(~damaged[i]);
    const Status status = f.open_damaged(damaged);
    REQUIRE(status.code() == Code::kCorrupt);
    REQUIRE(status.message().find("table_crc") != std::string::npos);
  }
}

TEST_CASE("section file: every truncation is detected", "[unit]") {
  Fixture f;
  std::vector<std::size_t> sizes = {0, 1, kHeaderBytes - 1, kHeaderBytes, f.bytes.size() - 1};
  for (std::size_t size = 0; size < f.bytes.size(); size += 4096) sizes.push_back(size);
  for (std::size_t i = 0; i < f.sections.size(); ++i) {
    const auto offset = get_fixed<std::uint64_t>(&f.bytes[f.entry(i) + 32]);
    const auto length = get_fixed<std::uint64_t>(&f.bytes[f.entry(i) + 40]);
    for (const std::uint64_t border : {offset, offset + length, std::uint64_t{f.entry(i)}}) {
      for (const std::uint64_t size : {border - 1, border, border + 1}) sizes.push_back(size);
    }
  }
  for (const std::size_t size : sizes) {
    CAPTURE(size);
    const Status status = f.open_damaged(f.bytes.substr(0, size));
    REQUIRE(status.code() == Code::kCorrupt);
    REQUIRE(status.message().find(f.path + ": ") == 0);
  }
  REQUIRE(f.open_damaged(f.bytes + '\0').code() == Code::kCorrupt);
}

TEST_CASE("section file: 2,000 random bit flips are all detected", "[unit]") {
  const std::uint64_t seed = 97;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  Fixture f;
  for (int i = 0; i < 2000; ++i) {
    const std::size_t bit = random() % (f.bytes.size() * 8);
    CAPTURE(bit);
    std::string damaged = f.bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    REQUIRE(f.open_damaged(damaged).code() == Code::kCorrupt);
  }
  require_ok(f.open_damaged(f.bytes));
}

TEST_CASE("section file: hostile values behind right checksums are refused by field", "[unit]") {
  Fixture f;
  const std::uint64_t huge = ~std::uint64_t{0};
  const auto first_offset = f.entry(0) + 32;
  const auto first_length = f.entry(0) + 40;
  const auto fourth_length = f.entry(3) + 40;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {f.with_field(8, std::uint32_t{2}), "format_version: 2 is not known"},
      {f.with_field(12, std::uint32_t{0}), "kind_version: 0"},
      {f.with_field(12, std::uint32_t{4}), "kind_version: 4"},
      {f.with_field(16, std::uint32_t{0}), "kind: "},
      {f.with_field(16, 'S'), "kind: is \"Sample\", not \"sample\""},
      {f.with_field(31, 'x'), "kind: "},
      {f.with_field(32, std::uint32_t{1025}), "section_count"},
      {f.with_field(32, std::uint32_t{5}), "table_offset"},
      {f.with_field(32, std::uint32_t{7}), "table_offset"},
      {f.with_field(32, ~std::uint32_t{0}), "section_count"},
      {f.with_field(36, std::uint32_t{1}), "reserved"},
      {f.with_field(48, std::uint64_t{0}), "file_bytes"},
      {f.with_field(48, huge), "file_bytes"},
      {f.with_field(f.entry(0), '\0'), "section 0: bad name"},
      {f.with_field(f.entry(1) + 10, 'x'), "section 1: bad name"},
      {f.with_field(f.entry(1), std::uint64_t{0x7974706d65}), "section empty: appears twice"},
      {f.with_field(first_offset, huge), "section empty: offset"},
      {f.with_field(first_offset, std::uint64_t{0}), "section empty: offset"},
      {f.with_field(first_length, huge), "section empty: length"},
      {f.with_field(first_length, std::uint64_t{1}), "section empty: crc"},
      {f.with_field(fourth_length, std::uint64_t{999}), "crc"},
      {f.with_field(fourth_length, std::uint64_t{1 << 20}), "length"},
      {f.with_field(f.entry(2) + 48, std::uint32_t{0}), "section aligned: crc"},
      {f.with_field(f.entry(2) + 52, std::uint32_t{1}), "section aligned: reserved"},
      {f.with_field(70, 'x'), "padding at byte 65"},
      {f.with_field(f.entry(0) - 1, 'x'), "padding"},
  };
  for (const auto& [damaged, field] : cases) {
    CAPTURE(field);
    const Status status = f.open_damaged(damaged);
    CAPTURE(status.to_string());
    REQUIRE(status.code() == Code::kCorrupt);
    REQUIRE(status.message().find(field) != std::string::npos);
  }
  // The table's place is used to fit the checksums, so it is damaged apart.
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{64}, huge}) {
    std::string damaged = f.bytes;
    std::memcpy(damaged.data() + 40, &offset, sizeof(offset));
    const std::uint32_t crc = crc32c(0, as_bytes(damaged).first(kHeaderBytes - 4));
    std::memcpy(damaged.data() + 60, &crc, sizeof(crc));
    REQUIRE(f.open_damaged(damaged).message().find("table_offset") != std::string::npos);
  }
}

TEST_CASE("section file: a writer used wrongly says so and publishes nothing", "[unit]") {
  FaultFileSystem files;
  REQUIRE(SectionFileWriter::create("/f", "", 1, files).error().code() == Code::kInternal);
  REQUIRE(SectionFileWriter::create("/f", "seventeen letters", 1, files).has_error());
  REQUIRE(SectionFileWriter::create("/f", "k", 0, files).error().code() == Code::kInternal);
  {
    const auto writer = *SectionFileWriter::create("/f", "k", 1, files);
    REQUIRE(writer->append(as_bytes("x")).code() == Code::kInternal);
    REQUIRE(writer->begin_section("").code() == Code::kInternal);
    REQUIRE(writer->begin_section(std::string(33, 'n')).code() == Code::kInternal);
    require_ok(writer->begin_section("a"));
    REQUIRE(writer->begin_section("a").code() == Code::kInternal);
    REQUIRE(files.files() == std::vector<std::string>{"/f.tmp"});
  }
  REQUIRE(files.files().empty());
  const auto writer = *SectionFileWriter::create("/f", "k", 1, files);
  require_ok(writer->publish());
  REQUIRE(writer->publish().code() == Code::kInternal);
  REQUIRE(writer->begin_section("a").code() == Code::kInternal);
  REQUIRE(files.files() == std::vector<std::string>{"/f"});
}

/// Old and new content of one path, to be told apart.
const Sections kOld = {{"a", "old"}, {"b", std::string(5000, 'o')}};
const Sections kNew = {{"a", "new"}, {"b", std::string(9000, 'n')}, {"c", ""}};

TEST_CASE("section file: failing each call in turn never leaves a half file under the name",
          "[unit]") {
  const auto failure =
      GENERATE(FaultFileSystem::Failure::kOnce, FaultFileSystem::Failure::kFromThere);
  std::uint64_t n = 1;
  for (bool clean = false; !clean; ++n) {
    CAPTURE(n);
    FaultFileSystem files;
    require_ok(save("/f", kOld, files));
    files.fail_call(n, failure, Code::kDiskFull);
    const Status status = save("/f", kNew, files);
    clean = !files.has_failed();
    REQUIRE(status.ok() == clean);
    if (!clean) REQUIRE(status.code() == Code::kDiskFull);
    files.fail_nothing();
    const Sections found = *load("/f", files);
    REQUIRE((found == kNew || (!clean && found == kOld)));
    if (failure == FaultFileSystem::Failure::kOnce) REQUIRE_FALSE(files.exists("/f.tmp"));

    files.fail_call(1, failure);
    REQUIRE(load("/f", files).error().code() == Code::kUnavailable);
  }
  REQUIRE(n > 15);
}

TEST_CASE("section file: after a power loss the name holds the old file or the new one", "[unit]") {
  const std::uint64_t seed = GENERATE(range<std::uint64_t>(0, 50));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::uint64_t n = 1;
  for (bool published = false; !published; ++n) {
    CAPTURE(n);
    FaultFileSystem files;
    require_ok(save("/f", kOld, files));
    // The power goes at the n-th call: nothing after it happens.
    files.fail_call(n, FaultFileSystem::Failure::kFromThere);
    published = save("/f", kNew, files).ok();
    files.fail_nothing();
    if (seed == 0) {
      files.lose_power();
    } else {
      files.lose_power(random);
    }
    const auto found = load("/f", files);
    INFO(found.error().to_string());
    REQUIRE(found.has_value());
    REQUIRE((*found == kNew || (!published && *found == kOld)));
  }
  REQUIRE(n > 15);
}

}  // namespace
}  // namespace tessera::storage
