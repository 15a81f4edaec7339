#pragma once

#include <string>

#include <rocksdb/options.h>

#include "base/status.h"

namespace tessera::storage {

/// Looks at a store's files before RocksDB opens and changes them: kCorrupt for a damaged log, a
/// newer format or a missing CURRENT; kNotFound when a read-only store is not there. Cuts a torn
/// end off a log unless read_only. Reads the logs once.
Status check_store_files(const std::string& path, const rocksdb::DBOptions& options,
                         bool read_only);

}  // namespace tessera::storage
