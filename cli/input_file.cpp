#include "cli/input_file.h"

#include <cerrno>
#include <cstring>

#include <sys/stat.h>
#include <unistd.h>

namespace tessera::cli {
namespace {

Status file_error(const std::string& path, const char* doing) {
  const int error = errno;
  return {error == ENOENT ? Code::kNotFound : Code::kUnavailable,
          path + ": cannot " + doing + ": " + std::strerror(error)};
}

}  // namespace

Result<InputFile> InputFile::open(const std::string& path) {
  InputFile input;
  input.path_ = path == "-" ? "standard input" : path;
  // A copy of the descriptor, so that closing it leaves standard input alone.
  input.file_.reset(path == "-" ? ::fdopen(::dup(STDIN_FILENO), "rb")
                                : std::fopen(path.c_str(), "rbe"));
  if (!input.file_) return file_error(input.path_, "open");
  // Every reader has its own large buffer.
  std::setvbuf(input.file_.get(), nullptr, _IONBF, 0);
  struct stat info {};
  if (::fstat(::fileno(input.file_.get()), &info) != 0) return file_error(input.path_, "examine");
  if (S_ISDIR(info.st_mode)) {
    return Status(Code::kInvalidArgument, path + ": is a directory, not a file");
  }
  if (S_ISREG(info.st_mode)) input.size_bytes_ = static_cast<std::uint64_t>(info.st_size);
  input.modified_ns_ = info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec;
  return input;
}

Status InputFile::seek(std::uint64_t offset) {
  if (::fseeko(file_.get(), static_cast<off_t>(offset), SEEK_SET) != 0) {
    return file_error(path_, "seek");
  }
  return {};
}

Result<std::size_t> InputFile::read(std::span<std::byte> out) {
  const std::size_t count = std::fread(out.data(), 1, out.size(), file_.get());
  if (count < out.size() && std::ferror(file_.get()) != 0) return file_error(path_, "read");
  return count;
}

Status InputFile::read_exactly(std::span<std::byte> out) {
  TESSERA_ASSIGN_OR_RETURN(const std::size_t count, read(out));
  if (count != out.size()) {
    return {Code::kCorrupt, path_ + ": ends " + std::to_string(out.size() - count) +
                                " bytes too early; it was shortened while it was read"};
  }
  return {};
}

Status TextReader::seek(std::uint64_t offset, std::uint64_t line_number) {
  TESSERA_RETURN_IF_ERROR(file_.seek(offset));
  size_ = position_ = 0;
  buffer_offset_ = offset;
  line_number_ = line_number;
  return {};
}

Result<bool> TextReader::fill() {
  if (position_ < size_) return true;
  buffer_offset_ += size_;
  position_ = size_ = 0;
  TESSERA_ASSIGN_OR_RETURN(size_, file_.read(std::as_writable_bytes(std::span(buffer_))));
  return size_ > 0;
}

Result<int> TextReader::peek() {
  TESSERA_ASSIGN_OR_RETURN(const bool is_there, fill());
  return is_there ? static_cast<unsigned char>(buffer_[position_]) : -1;
}

void TextReader::take() {
  if (buffer_[position_] == '\n') ++line_number_;
  ++position_;
}

Result<bool> TextReader::read_line(std::string& line) {
  line.clear();
  is_too_long_ = false;
  bool is_any = false;
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(const bool is_there, fill());
    if (!is_there) break;
    is_any = true;
    const char* const begin = buffer_.data() + position_;
    const auto* const newline =
        static_cast<const char*>(std::memchr(begin, '\n', size_ - position_));
    const std::size_t length =
        newline == nullptr ? size_ - position_ : static_cast<std::size_t>(newline - begin);
    const std::size_t kept = std::min(length, kRecordBytesMax - line.size());
    if (kept < length) is_too_long_ = true;
    line.append(begin, kept);
    position_ += length;
    if (newline != nullptr) {
      ++position_;
      ++line_number_;
      break;
    }
  }
  if (line.ends_with('\r')) line.pop_back();
  return is_any;
}

}  // namespace tessera::cli
