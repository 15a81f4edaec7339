#include "storage/section_file.h"

#include <algorithm>
#include <optional>

#include "storage/fixed.h"

namespace tessera::storage {
namespace {

constexpr std::string_view kMagic = "TESSERA\n";
constexpr std::uint32_t kFormatVersion = 1;

// Header: magic, format version, kind version, kind, section count, zero, table offset, file bytes,
// CRC of the table, CRC of the header before this field.
constexpr std::size_t kHeaderBytes = 64;
constexpr std::size_t kHeaderCrcOffset = kHeaderBytes - sizeof(std::uint32_t);
constexpr std::size_t kKindLengthMax = 16;

// Table entry: name, offset, length, CRC, zero.
constexpr std::size_t kEntryBytes = 56;
constexpr std::size_t kNameLengthMax = 32;
constexpr std::uint32_t kSectionCountMax = 1024;

constexpr std::size_t kAlignment = 64;

std::uint64_t align_up(std::uint64_t offset) {
  return (offset + kAlignment - 1) / kAlignment * kAlignment;
}

std::string padded(std::string_view text, std::size_t size) {
  std::string field(text);
  field.resize(size, '\0');
  return field;
}

/// A zero-padded name, or nullopt when it is empty or bytes follow the padding.
std::optional<std::string_view> unpadded(std::string_view field) {
  const std::string_view text = field.substr(0, field.find('\0'));
  const std::string_view rest = field.substr(text.size());
  if (text.empty() || rest.find_first_not_of('\0') != std::string_view::npos) return std::nullopt;
  return text;
}

struct Section {
  std::string name;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint32_t crc = 0;
};

class Writer final : public SectionFileWriter {
 public:
  Writer(std::string path, std::string_view kind, std::uint32_t kind_version, FileSystem& files)
      : path_(std::move(path)),
        temporary_path_(path_ + std::string(kTemporarySuffix)),
        kind_(kind),
        kind_version_(kind_version),
        files_(files) {}

  ~Writer() override {
    if (state_ != State::kTemporaryExists) return;
    file_.reset();
    // Nobody can be told of a failure here; what is left goes when the directory is opened.
    static_cast<void>(files_.remove_file(temporary_path_));
  }

  Status start() {
    TESSERA_ASSIGN_OR_RETURN(file_, files_.create(temporary_path_));
    state_ = State::kTemporaryExists;
    // The header is written last: until then the file does not begin with the magic.
    return write(as_bytes(std::string(kHeaderBytes, '\0')));
  }

  Status begin_section(std::string_view name) override {
    TESSERA_RETURN_IF_ERROR(check_writing());
    if (name.empty() || name.size() > kNameLengthMax || name.find('\0') != std::string_view::npos) {
      return misuse("a section's name has 1 to 32 characters: \"" + std::string(name) + "\"");
    }
    for (const Section& section : sections_) {
      if (section.name == name) return misuse("two sections are called " + section.name);
    }
    if (sections_.size() == kSectionCountMax) return misuse("too many sections");
    TESSERA_RETURN_IF_ERROR(pad());
    sections_.push_back({std::string(name), size_bytes_, 0, 0});
    return {};
  }

  Status append(std::span<const std::byte> bytes) override {
    TESSERA_RETURN_IF_ERROR(check_writing());
    if (sections_.empty()) return misuse("bytes were appended before a section began");
    Section& section = sections_.back();
    TESSERA_RETURN_IF_ERROR(write(bytes));
    section.length += bytes.size();
    section.crc = crc32c(section.crc, bytes);
    return {};
  }

  Result<std::unique_ptr<MappedFile>> map_written() override {
    TESSERA_RETURN_IF_ERROR(check_writing());
    return files_.map(temporary_path_);
  }

  [[nodiscard]] std::uint64_t section_offset() const override {
    return sections_.empty() ? size_bytes_ : sections_.back().offset;
  }

  Status publish() override {
    TESSERA_RETURN_IF_ERROR(check_writing());
    is_writing_ = false;
    TESSERA_RETURN_IF_ERROR(pad());
    const std::string table = encode_table();
    const std::uint64_t table_offset = size_bytes_;
    TESSERA_RETURN_IF_ERROR(write(as_bytes(table)));
    TESSERA_RETURN_IF_ERROR(file_->write_at(0, as_bytes(encode_header(table_offset, table))));
    TESSERA_RETURN_IF_ERROR(file_->sync());
    TESSERA_RETURN_IF_ERROR(file_->close());
    file_.reset();
    TESSERA_RETURN_IF_ERROR(files_.rename(temporary_path_, path_));
    state_ = State::kRenamed;
    return files_.sync_directory(parent_directory(path_));
  }

 private:
  enum class State : unsigned char { kNotStarted, kTemporaryExists, kRenamed };

  Status misuse(const std::string& what) const { return {Code::kInternal, path_ + ": " + what}; }

  Status check_writing() const {
    return is_writing_ ? Status() : misuse("the file was published or failed before");
  }

  Status write(std::span<const std::byte> bytes) {
    const Status status = file_->append(bytes);
    // What reached the file is unknown now, so nothing more may be built on it.
    if (!status.ok()) is_writing_ = false;
    size_bytes_ += bytes.size();
    return status;
  }

  Status pad() { return write(as_bytes(std::string(align_up(size_bytes_) - size_bytes_, '\0'))); }

  std::string encode_table() const {
    std::string table;
    for (const Section& section : sections_) {
      table += padded(section.name, kNameLengthMax);
      put_fixed(table, section.offset);
      put_fixed(table, section.length);
      put_fixed(table, section.crc);
      put_fixed(table, std::uint32_t{0});
    }
    return table;
  }

  std::string encode_header(std::uint64_t table_offset, const std::string& table) const {
    std::string header(kMagic);
    put_fixed(header, kFormatVersion);
    put_fixed(header, kind_version_);
    header += padded(kind_, kKindLengthMax);
    put_fixed(header, static_cast<std::uint32_t>(sections_.size()));
    put_fixed(header, std::uint32_t{0});
    put_fixed(header, table_offset);
    put_fixed(header, size_bytes_);
    put_fixed(header, crc32c(0, as_bytes(table)));
    put_fixed(header, crc32c(0, as_bytes(header)));
    return header;
  }

  const std::string path_;
  const std::string temporary_path_;
  const std::string kind_;
  const std::uint32_t kind_version_;
  FileSystem& files_;

  std::unique_ptr<WritableFile> file_;
  std::vector<Section> sections_;
  std::uint64_t size_bytes_ = 0;
  State state_ = State::kNotStarted;
  bool is_writing_ = true;
};

class Reader final : public SectionFile {
 public:
  Reader(std::string path, std::unique_ptr<MappedFile> file)
      : path_(std::move(path)), file_(std::move(file)), bytes_(file_->bytes()) {}

  Status check(std::string_view kind, std::uint32_t kind_version_max) {
    TESSERA_RETURN_IF_ERROR(check_header(kind, kind_version_max));
    return check_table();
  }

  [[nodiscard]] std::uint32_t kind_version() const override { return kind_version_; }

  [[nodiscard]] Result<std::span<const std::byte>> section(std::string_view name) const override {
    for (const Section& section : sections_) {
      if (section.name == name) return bytes_.subspan(section.offset, section.length);
    }
    return corrupt("there is no section \"" + std::string(name) + "\"");
  }

  [[nodiscard]] std::vector<std::string> section_names() const override {
    std::vector<std::string> names;
    for (const Section& section : sections_) names.push_back(section.name);
    return names;
  }

  void release(std::string_view name) const override {
    if (const auto found = section(name); found.has_value()) file_->release(*found);
  }

  [[nodiscard]] std::uint64_t file_bytes() const override { return bytes_.size(); }

 private:
  Status corrupt(const std::string& what) const { return {Code::kCorrupt, path_ + ": " + what}; }

  template <class Integer>
  Integer field(std::uint64_t offset) const {
    return get_fixed<Integer>(bytes_.data() + offset);
  }

  std::string_view text(std::uint64_t offset, std::size_t size) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + offset, size};
  }

  Status check_header(std::string_view kind, std::uint32_t kind_version_max) {
    if (bytes_.size() < kHeaderBytes) {
      return corrupt("header: the file has " + std::to_string(bytes_.size()) + " bytes");
    }
    if (text(0, kMagic.size()) != kMagic) return corrupt("magic: not a Tessera file");
    // The format version stands before the checksum: a newer format may have another header.
    if (const auto version = field<std::uint32_t>(8); version != kFormatVersion) {
      return corrupt("format_version: " + std::to_string(version) + " is not known here, only " +
                     std::to_string(kFormatVersion));
    }
    if (field<std::uint32_t>(kHeaderCrcOffset) != crc32c(0, bytes_.first(kHeaderCrcOffset))) {
      return corrupt("header_crc: does not match");
    }
    const std::optional<std::string_view> own_kind = unpadded(text(16, kKindLengthMax));
    if (own_kind != kind) {
      return corrupt("kind: is \"" + std::string(own_kind.value_or("")) + "\", not \"" +
                     std::string(kind) + "\"");
    }
    kind_version_ = field<std::uint32_t>(12);
    if (kind_version_ == 0 || kind_version_ > kind_version_max) {
      return corrupt("kind_version: " + std::to_string(kind_version_) +
                     " is not known here, only 1 to " + std::to_string(kind_version_max));
    }
    if (field<std::uint32_t>(32) > kSectionCountMax) return corrupt("section_count: out of range");
    if (field<std::uint32_t>(36) != 0) return corrupt("reserved: is not zero");
    if (field<std::uint64_t>(48) != bytes_.size()) {
      return corrupt("file_bytes: the header says " + std::to_string(field<std::uint64_t>(48)) +
                     ", the file has " + std::to_string(bytes_.size()));
    }
    return {};
  }

  Status check_table() {
    const auto section_count = field<std::uint32_t>(32);
    const std::uint64_t table_offset = field<std::uint64_t>(40);
    const std::uint64_t table_bytes = section_count * kEntryBytes;
    if (table_offset < kHeaderBytes || table_offset > bytes_.size() ||
        bytes_.size() - table_offset != table_bytes) {
      return corrupt("table_offset: the table does not end the file");
    }
    if (field<std::uint32_t>(56) != crc32c(0, bytes_.subspan(table_offset))) {
      return corrupt("table_crc: does not match");
    }
    std::uint64_t end = kHeaderBytes;
    for (std::uint32_t i = 0; i < section_count; ++i) {
      TESSERA_RETURN_IF_ERROR(check_entry(table_offset + i * kEntryBytes, table_offset, end));
    }
    if (align_up(end) != table_offset) return corrupt("table_offset: bytes outside every section");
    return check_padding(end, table_offset);
  }

  /// `end`: where the section before ended; becomes the end of this one.
  Status check_entry(std::uint64_t entry, std::uint64_t table_offset, std::uint64_t& end) {
    const std::optional<std::string_view> name = unpadded(text(entry, kNameLengthMax));
    if (!name) return corrupt("section " + std::to_string(sections_.size()) + ": bad name");
    const std::string label = "section " + std::string(*name);
    for (const Section& section : sections_) {
      if (section.name == *name) return corrupt(label + ": appears twice");
    }
    const Section section = {std::string(*name), field<std::uint64_t>(entry + 32),
                             field<std::uint64_t>(entry + 40), field<std::uint32_t>(entry + 48)};
    if (field<std::uint32_t>(entry + 52) != 0) return corrupt(label + ": reserved is not zero");
    if (section.offset != align_up(end) || section.offset > table_offset) {
      return corrupt(label + ": offset does not follow the section before");
    }
    if (section.length > table_offset - section.offset) {
      return corrupt(label + ": length reaches past the table");
    }
    TESSERA_RETURN_IF_ERROR(check_padding(end, section.offset));
    if (crc32c(0, bytes_.subspan(section.offset, section.length)) != section.crc) {
      return corrupt(label + ": crc does not match");
    }
    end = section.offset + section.length;
    sections_.push_back(section);
    return {};
  }

  Status check_padding(std::uint64_t begin, std::uint64_t end) const {
    const auto padding = bytes_.subspan(begin, end - begin);
    const bool zero =
        std::all_of(padding.begin(), padding.end(), [](std::byte b) { return b == std::byte{0}; });
    if (!zero) return corrupt("padding at byte " + std::to_string(begin) + ": is not zero");
    return {};
  }

  const std::string path_;
  const std::unique_ptr<MappedFile> file_;
  const std::span<const std::byte> bytes_;
  std::uint32_t kind_version_ = 0;
  std::vector<Section> sections_;
};

}  // namespace

Result<std::unique_ptr<SectionFileWriter>> SectionFileWriter::create(const std::string& path,
                                                                     std::string_view kind,
                                                                     std::uint32_t kind_version,
                                                                     FileSystem& files) {
  if (kind.empty() || kind.size() > kKindLengthMax || kind.find('\0') != std::string_view::npos) {
    return Status(Code::kInternal, path + ": a file's kind has 1 to 16 characters");
  }
  if (kind_version == 0) return Status(Code::kInternal, path + ": kind versions begin at 1");
  auto writer = std::make_unique<Writer>(path, kind, kind_version, files);
  TESSERA_RETURN_IF_ERROR(writer->start());
  return std::unique_ptr<SectionFileWriter>(std::move(writer));
}

Result<std::unique_ptr<const SectionFile>> SectionFile::open(const std::string& path,
                                                             std::string_view kind,
                                                             std::uint32_t kind_version_max,
                                                             FileSystem& files) {
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> file, files.map(path));
  auto reader = std::make_unique<Reader>(path, std::move(file));
  TESSERA_RETURN_IF_ERROR(reader->check(kind, kind_version_max));
  return std::unique_ptr<const SectionFile>(std::move(reader));
}

}  // namespace tessera::storage
