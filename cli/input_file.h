#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tessera::cli {

/// A file read in order through a fixed buffer, or standard input as "-".
/// Thread rule: confined to one thread.
class InputFile {
 public:
  static Result<InputFile> open(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  /// nullopt for pipes and terminals, which cannot be sought either.
  [[nodiscard]] std::optional<std::uint64_t> size_bytes() const { return size_bytes_; }
  [[nodiscard]] std::int64_t modified_ns() const { return modified_ns_; }

  Status seek(std::uint64_t offset);
  /// Bytes read; fewer than asked for only at the end of the file.
  Result<std::size_t> read(std::span<std::byte> out);
  /// kCorrupt when the file ends before `out` is full.
  Status read_exactly(std::span<std::byte> out);

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  InputFile() = default;

  std::string path_;
  std::unique_ptr<std::FILE, Closer> file_;
  std::optional<std::uint64_t> size_bytes_;
  std::int64_t modified_ns_ = 0;
};

/// Reads single bytes and lines with their positions. Thread rule: confined to one thread.
class TextReader {
 public:
  /// Longest line or record that is kept; a longer one would break the promise of bounded memory.
  static constexpr std::size_t kRecordBytesMax = 16U << 20;

  explicit TextReader(InputFile file) : file_(std::move(file)), buffer_(256U << 10) {}

  [[nodiscard]] const InputFile& file() const { return file_; }
  /// Offset of the next byte and number (from 1) of the line it is in.
  [[nodiscard]] std::uint64_t offset() const { return buffer_offset_ + position_; }
  [[nodiscard]] std::uint64_t line_number() const { return line_number_; }
  Status seek(std::uint64_t offset, std::uint64_t line_number);

  /// The next byte without taking it, -1 at the end.
  Result<int> peek();
  /// Takes the byte that peek() showed.
  void take();
  /// Replaces `line` by the next line without its end (LF or CRLF). false at the end of the file.
  /// When the line is longer than kRecordBytesMax, its beginning is kept and is_too_long() is true.
  Result<bool> read_line(std::string& line);
  [[nodiscard]] bool is_too_long() const { return is_too_long_; }

 private:
  /// Fills the buffer when it is used up; false at the end.
  Result<bool> fill();

  InputFile file_;
  std::vector<char> buffer_;
  std::size_t size_ = 0;
  std::size_t position_ = 0;
  std::uint64_t buffer_offset_ = 0;
  std::uint64_t line_number_ = 1;
  bool is_too_long_ = false;
};

}  // namespace tessera::cli
