#include "storage/data_directory.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "storage/section_file.h"

namespace tessera::storage {
namespace {

constexpr std::string_view kLockName = "LOCK";
constexpr std::string_view kFormatName = "FORMAT";
constexpr std::string_view kProbeFrom = "probe-1.tmp";
constexpr std::string_view kProbeTo = "probe-2.tmp";
constexpr std::size_t kProbeBytes = 4096;

std::string join(const std::string& directory, std::string_view name) {
  return directory + "/" + std::string(name);
}

bool is_temporary(std::string_view name) {
  return name.ends_with(kTemporarySuffix);
}

Result<std::string> read_text(const std::string& path, FileSystem& files) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file, files.map(path));
  const auto bytes = file->bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

/// Writes a small file so that it is there whole or not at all.
Status write_text(const std::string& path, const std::string& text, FileSystem& files) {
  const std::string temporary_path = path + std::string(kTemporarySuffix);
  {
    TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file,
                             files.create(temporary_path));
    TESSERA_RETURN_IF_ERROR(file->append(as_bytes(text)));
    TESSERA_RETURN_IF_ERROR(file->sync());
    TESSERA_RETURN_IF_ERROR(file->close());
  }
  TESSERA_RETURN_IF_ERROR(files.rename(temporary_path, path));
  return files.sync_directory(parent_directory(path));
}

/// kNotFound when there is no FORMAT.
Status check_format(const std::string& path, FileSystem& files) {
  const std::string format_path = join(path, kFormatName);
  TESSERA_ASSIGN_OR_RETURN(const std::string text, read_text(format_path, files));
  std::uint32_t format = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, format);
  if (error != std::errc() || std::string_view(rest, end) != "\n" || format == 0) {
    return {Code::kCorrupt, format_path + ": is not a format number"};
  }
  if (format > kDirectoryFormat) {
    return {Code::kCorrupt, format_path +
                                ": the directory was written by a newer version (format " +
                                std::to_string(format) + "; this program reads up to " +
                                std::to_string(kDirectoryFormat) + ")"};
  }
  return {};
}

/// Whether the directory is ours: it has a FORMAT that we read, or is empty but for what an
/// interrupted first start or the operating system leaves.
Result<bool> has_format(const std::string& path, FileSystem& files) {
  const Status status = check_format(path, files);
  if (status.ok()) return true;
  if (status.code() != Code::kNotFound) return status;
  TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> names, list_directory(path, files));
  for (const std::string& name : names) {
    if (name == kLockName || name == "lost+found") continue;
    if (name == "FORMAT.tmp" || name == kProbeFrom || name == kProbeTo) continue;
    return Status(Code::kUnavailable, path + ": holds \"" + name +
                                          "\" and no FORMAT file, so it is not a data directory");
  }
  return false;
}

std::string owner_of(const std::string& lock_path, FileSystem& files) {
  const Result<std::string> text = read_text(lock_path, files);
  if (text.has_error()) return "another process";
  const std::string digits = text->substr(0, text->find_first_not_of("0123456789"));
  return digits.empty() ? "another process" : "process " + digits;
}

Result<std::unique_ptr<FileLock>> lock(const std::string& path, FileLock::Mode mode,
                                       FileSystem& files) {
  const std::string lock_path = join(path, kLockName);
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<FileLock> held, files.try_lock(lock_path, mode));
  if (held != nullptr) return held;
  if (mode == FileLock::Mode::kExclusive) {
    // The process id in the file is the last daemon's; readers do not write theirs.
    TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> shared,
                             files.try_lock(lock_path, FileLock::Mode::kShared));
    if (shared != nullptr)
      return Status(Code::kUnavailable, path + ": is being read by an offline tool");
  }
  return Status(Code::kUnavailable, path + ": is in use by " + owner_of(lock_path, files));
}

Status run_probe(const std::string& from, const std::string& to, FileSystem& files) {
  const std::string text(kProbeBytes, 'p');
  {
    TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file, files.create(from));
    TESSERA_RETURN_IF_ERROR(file->append(as_bytes(text)));
    TESSERA_RETURN_IF_ERROR(file->sync());
    TESSERA_RETURN_IF_ERROR(file->close());
  }
  TESSERA_RETURN_IF_ERROR(files.rename(from, to));
  TESSERA_RETURN_IF_ERROR(files.sync_directory(parent_directory(to)));
  TESSERA_ASSIGN_OR_RETURN(const std::string found, read_text(to, files));
  if (found != text) return {Code::kUnavailable, to + ": mmap: other bytes than were written"};
  return files.remove_file(to);
}

/// Finds out at the start, not at the first write, that a file system lacks what we rely on.
Status probe(const std::string& path, FileSystem& files) {
  const Status status = run_probe(join(path, kProbeFrom), join(path, kProbeTo), files);
  return status.with_context(path + ": cannot hold a data directory");
}

Status remove_temporary_files(const std::string& path, FileSystem& files) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries, files.list(path));
  for (const DirectoryEntry& entry : entries) {
    if (entry.is_directory || !is_temporary(entry.name)) continue;
    TESSERA_RETURN_IF_ERROR(files.remove_file(join(path, entry.name)));
    log::info("removed an unfinished file", {{"path", join(path, entry.name)}});
  }
  return {};
}

Status remove_leftovers(const DataDirectory& directory, FileSystem& files) {
  TESSERA_RETURN_IF_ERROR(remove_temporary_files(directory.path(), files));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries,
                           files.list(directory.segments_path()));
  for (const DirectoryEntry& entry : entries) {
    if (!entry.is_directory) continue;
    TESSERA_RETURN_IF_ERROR(
        remove_temporary_files(join(directory.segments_path(), entry.name), files));
  }
  return {};
}

/// Depth is that of the tree on disk, which the operating system bounds by its path length.
Status remove_tree(const std::string& path, FileSystem& files) {
  const Result<std::vector<DirectoryEntry>> entries = files.list(path);
  if (entries.has_error()) {
    return entries.error().code() == Code::kNotFound ? Status() : entries.error();
  }
  for (const DirectoryEntry& entry : *entries) {
    const std::string child = join(path, entry.name);
    const Status status = entry.is_directory ? remove_tree(child, files) : files.remove_file(child);
    if (!status.ok() && status.code() != Code::kNotFound) return status;
  }
  return files.remove_directory(path);
}

std::string without_trailing_slashes(const std::string& path) {
  const std::size_t last = path.find_last_not_of('/');
  return last == std::string::npos ? path.substr(0, 1) : path.substr(0, last + 1);
}

}  // namespace

Result<std::unique_ptr<DataDirectory>> DataDirectory::open(const std::string& given_path,
                                                           FileSystem& files) {
  if (given_path.empty()) return Status(Code::kInvalidArgument, "the data directory has no path");
  const std::string path = without_trailing_slashes(given_path);
  TESSERA_RETURN_IF_ERROR(create_directories(path, files));
  // Looked at before the lock is taken too: locking would create a file in a foreign directory.
  TESSERA_RETURN_IF_ERROR(has_format(path, files).error());
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<FileLock> held,
                           lock(path, FileLock::Mode::kExclusive, files));
  TESSERA_ASSIGN_OR_RETURN(const bool formatted, has_format(path, files));
  TESSERA_RETURN_IF_ERROR(held->write_owner(std::to_string(::getpid()) + "\n"));
  TESSERA_RETURN_IF_ERROR(probe(path, files));
  if (!formatted) {
    TESSERA_RETURN_IF_ERROR(
        write_text(join(path, kFormatName), std::to_string(kDirectoryFormat) + "\n", files));
  }
  auto directory = std::make_unique<DataDirectory>(DataDirectory(path, std::move(held)));
  TESSERA_RETURN_IF_ERROR(create_directories(directory->segments_path(), files));
  TESSERA_RETURN_IF_ERROR(remove_leftovers(*directory, files));
  return directory;
}

Result<std::unique_ptr<DataDirectory>> DataDirectory::open_read_only(const std::string& given_path,
                                                                     FileSystem& files) {
  if (given_path.empty()) return Status(Code::kInvalidArgument, "the data directory has no path");
  const std::string path = without_trailing_slashes(given_path);
  TESSERA_RETURN_IF_ERROR(check_format(path, files));
  Result<std::unique_ptr<FileLock>> held = lock(path, FileLock::Mode::kShared, files);
  // A copy of a directory may lack the lock file; then nobody can hold it either.
  if (held.has_error() && held.error().code() != Code::kNotFound) return held.error();
  std::unique_ptr<FileLock> shared = held.has_value() ? std::move(*held) : nullptr;
  return std::make_unique<DataDirectory>(DataDirectory(path, std::move(shared)));
}

std::string DataDirectory::segment_directory(std::uint32_t collection) const {
  return segments_path() + "/" + std::to_string(collection);
}

std::string DataDirectory::segment_path(std::uint32_t collection, std::uint16_t vector,
                                        std::uint64_t segment) const {
  return segment_directory(collection) + "/" + std::to_string(vector) + "-" +
         std::to_string(segment) + ".seg";
}

Status create_directories(const std::string& path, FileSystem& files) {
  // Depth first, so that each new name is synced into a directory that is durable itself.
  const std::string parent = parent_directory(path);
  const Status status = files.create_directory(path);
  if (status.code() == Code::kAlreadyExists) {
    const Status listed = files.list(path).error();
    return listed.code() == Code::kNotFound
               ? Status(Code::kUnavailable, path + ": exists and is not a directory")
               : Status();
  }
  if (status.code() == Code::kNotFound && parent != path) {
    TESSERA_RETURN_IF_ERROR(create_directories(parent, files));
    TESSERA_RETURN_IF_ERROR(files.create_directory(path));
  } else if (!status.ok()) {
    return status;
  }
  return files.sync_directory(parent);
}

Result<std::vector<std::string>> list_directory(const std::string& path, FileSystem& files) {
  const Result<std::vector<DirectoryEntry>> entries = files.list(path);
  std::vector<std::string> names;
  if (entries.has_error()) {
    if (entries.error().code() == Code::kNotFound) return names;
    return entries.error();
  }
  for (const DirectoryEntry& entry : *entries) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  return names;
}

Status remove_all(const std::string& given_path, FileSystem& files) {
  const std::string path = without_trailing_slashes(given_path);
  const std::string parent = parent_directory(path);
  const Result<std::vector<DirectoryEntry>> siblings = files.list(parent);
  if (siblings.has_error()) {
    return siblings.error().code() == Code::kNotFound ? Status() : siblings.error();
  }
  const std::string name = path.substr(path.find_last_of('/') + 1);
  const auto entry =
      std::find_if(siblings->begin(), siblings->end(),
                   [&name](const DirectoryEntry& sibling) { return sibling.name == name; });
  if (entry == siblings->end()) return {};
  TESSERA_RETURN_IF_ERROR(entry->is_directory ? remove_tree(path, files) : files.remove_file(path));
  return files.sync_directory(parent);
}

Result<std::uint64_t> free_bytes(const std::string& path, FileSystem& files) {
  return files.free_bytes(path);
}

}  // namespace tessera::storage
