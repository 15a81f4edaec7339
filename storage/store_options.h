#pragma once

#include <vector>

#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include "storage/store.h"

namespace tessera::storage {

/// How RocksDB is set up for us. `env` is where its files are.
[[nodiscard]] rocksdb::DBOptions database_options(const StoreOptions& options, rocksdb::Env* env);

/// The default family, which holds the store's format number, then ours in the order of Family.
[[nodiscard]] std::vector<rocksdb::ColumnFamilyDescriptor> family_descriptors(
    const StoreOptions& options);

/// Store::open with another place for the files, for tests of failing disks. `env` outlives the
/// store.
Result<std::unique_ptr<Store>> open_store(const std::string& path, const StoreOptions& options,
                                          rocksdb::Env* env);

}  // namespace tessera::storage
