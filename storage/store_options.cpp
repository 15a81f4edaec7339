#include "storage/store_options.h"

#include <algorithm>

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/env.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include "storage/batch.h"

namespace tessera::storage {
namespace {

constexpr double kFilterBitsPerKey = 10;
// Vectors from 64 dimensions on go to blob files, so that compaction moves only their references.
constexpr std::uint64_t kBlobBytesMin = 256;

rocksdb::CompressionType supported(rocksdb::CompressionType wanted) {
  const std::vector<rocksdb::CompressionType> types = rocksdb::GetSupportedCompressions();
  return std::find(types.begin(), types.end(), wanted) != types.end() ? wanted
                                                                      : rocksdb::kNoCompression;
}

rocksdb::BlockBasedTableOptions table_options(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  // Counted in the cache, so that memory stays bounded whatever the number of tables.
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kFilterBitsPerKey));
  table.optimize_filters_for_memory = true;
  table.block_size = 16 << 10;
  table.format_version = 5;
  return table;
}

rocksdb::ColumnFamilyOptions small_record_options(const StoreOptions& options,
                                                  const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table_options(cache)));
  family.write_buffer_size = options.write_buffer_bytes;
  // Every family has a block of memory at least: together they must stay far below what all may
  // take, or each write flushes one of them.
  family.arena_block_size = static_cast<std::size_t>(
      std::clamp<std::uint64_t>(options.write_buffer_bytes / 64, 16 << 10, 1 << 20));
  family.level_compaction_dynamic_level_bytes = true;
  family.compression = supported(rocksdb::kLZ4Compression);
  family.bottommost_compression = supported(rocksdb::kZSTD);
  // Point lookups of ids that are not there are the rule in a bulk load.
  family.memtable_whole_key_filtering = true;
  family.memtable_prefix_bloom_size_ratio = 0.02;
  return family;
}

rocksdb::ColumnFamilyOptions vector_options(const StoreOptions& options,
                                            const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions family = small_record_options(options, cache);
  // Floats of embeddings do not compress.
  family.compression = rocksdb::kNoCompression;
  family.bottommost_compression = rocksdb::kDisableCompressionOption;
  family.enable_blob_files = true;
  family.min_blob_size = kBlobBytesMin;
  family.blob_compression_type = rocksdb::kNoCompression;
  family.enable_blob_garbage_collection = true;
  family.blob_garbage_collection_age_cutoff = 0.25;
  family.blob_garbage_collection_force_threshold = 0.5;
  return family;
}

}  // namespace

rocksdb::DBOptions database_options(const StoreOptions& options, rocksdb::Env* env) {
  rocksdb::DBOptions database;
  database.env = env;
  database.create_if_missing = !options.read_only;
  database.create_missing_column_families = !options.read_only;

  // The default mode stops at damage in the middle of the log and forgets what follows.
  database.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  database.track_and_verify_wals_in_manifest = true;
  database.paranoid_checks = true;
  // Covers blob files too, which have no other check of the whole file.
  database.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();

  database.max_open_files = options.open_file_count_max;
  database.max_background_jobs = options.background_thread_count;
  database.db_write_buffer_size = options.write_buffer_bytes;
  // Bounds the time of a restart.
  database.max_total_wal_size = 4 * options.write_buffer_bytes;
  database.compaction_readahead_size = 2 << 20;
  database.bytes_per_sync = 1 << 20;

  database.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  database.max_log_file_size = 1 << 20;
  database.keep_log_file_num = 4;
  return database;
}

std::vector<rocksdb::ColumnFamilyDescriptor> family_descriptors(const StoreOptions& options) {
  const std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  const rocksdb::ColumnFamilyOptions small = small_record_options(options, cache);
  descriptors.emplace_back(rocksdb::kDefaultColumnFamilyName, small);
  for (std::size_t i = 0; i < kFamilyNames.size(); ++i) {
    const bool is_vectors = static_cast<Family>(i) == Family::kVectors;
    descriptors.emplace_back(kFamilyNames[i], is_vectors ? vector_options(options, cache) : small);
  }
  return descriptors;
}

}  // namespace tessera::storage
