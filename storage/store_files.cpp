#include "storage/store_files.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include <rocksdb/db.h>
#include <rocksdb/env.h>

#include "base/file.h"
#include "base/log.h"
#include "storage/batch.h"
#include "storage/data_directory.h"
#include "storage/log_check.h"
#include "storage/rocksdb_status.h"

namespace tessera::storage {
namespace {

/// Finds damage that RocksDB would take for a torn end of a log, and cuts off what is torn in a way
/// that it would take for damage.
Status check_logs(const std::string& path, bool read_only) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> names, list_directory(path));
  for (const std::string& name : names) {
    if (!name.ends_with(".log") && !name.starts_with("MANIFEST-")) continue;
    const std::string file_path = path + "/" + name;
    LogCheck check;
    {
      TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file,
                               posix_file_system().map(file_path));
      check = check_log(file->bytes());
    }
    if (check.state == LogCheck::State::kDamaged) {
      return {Code::kCorrupt, "store: " + file_path + " is damaged at byte " +
                                  std::to_string(check.offset) +
                                  "; opening would lose what follows"};
    }
    if (check.state == LogCheck::State::kWhole || read_only) continue;
    log::warn("the last record of a log is torn and dropped",
              {{"path", file_path}, {"byte", check.offset}});
    TESSERA_RETURN_IF_ERROR(posix_file_system().truncate(file_path, check.offset));
  }
  return {};
}

/// Without CURRENT a new store would be made, and the old one's tables deleted as garbage.
Status check_absent(const std::string& path, const rocksdb::DBOptions& options, bool read_only) {
  std::vector<std::string> names;
  if (options.env->GetChildren(path, &names).ok()) {
    for (const std::string_view name : names) {
      if (name.ends_with(".sst") || name.ends_with(".blob") || name.ends_with(".log")) {
        return {Code::kCorrupt,
                "store " + path + ": CURRENT is missing, but " + std::string(name) + " is there"};
      }
    }
  }
  if (read_only) return {Code::kNotFound, "store " + path + ": does not exist"};
  return {};
}

/// Looks only at the list of families, so that a newer store is refused before anything changes.
Status check_families(const std::string& path, const rocksdb::DBOptions& options, bool read_only) {
  if (!options.env->FileExists(path + "/CURRENT").ok()) {
    return check_absent(path, options, read_only);
  }
  std::vector<std::string> names;
  const rocksdb::Status status = rocksdb::DB::ListColumnFamilies(options, path, &names);
  TESSERA_RETURN_IF_ERROR(status_of(status, "store " + path));
  for (const std::string& name : names) {
    const bool known =
        name == rocksdb::kDefaultColumnFamilyName ||
        std::find(kFamilyNames.begin(), kFamilyNames.end(), name) != kFamilyNames.end();
    if (!known) {
      return {Code::kCorrupt,
              "store " + path + ": was written by a newer version (family \"" + name + "\")"};
    }
  }
  return {};
}

}  // namespace

Status check_store_files(const std::string& path, const rocksdb::DBOptions& options,
                         bool read_only) {
  TESSERA_RETURN_IF_ERROR(check_logs(path, read_only));
  return check_families(path, options, read_only);
}

}  // namespace tessera::storage
