#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "config/settings.h"
#include "engine/collection.h"

namespace tessera::engine {

/// Everything in one data directory: the catalog of collections and the background jobs.
/// Thread rule: safe from any thread.
class Database {
 public:
  /// Takes the directory's lock, opens the store, loads every collection and its index files; a
  /// damaged or missing index file is rebuilt in the background and logged.
  static Result<std::unique_ptr<Database>> open(const config::Settings& settings,
                                                metrics::Registry& registry);
  virtual ~Database() = default;

  /// kAlreadyExists "Collection `x` already exists!"; kInvalidArgument.
  virtual Status create_collection(const std::string& name, const CollectionConfig& config) = 0;
  /// Changes optimizer and hnsw settings; only members that are set.
  virtual Status update_collection(const std::string& name, const CollectionConfig& changes) = 0;
  /// false when there is none of that name.
  virtual Result<bool> delete_collection(const std::string& name) = 0;
  /// Ascending.
  [[nodiscard]] virtual std::vector<std::string> collection_names() const = 0;
  /// kNotFound "Collection `x` doesn't exist!". The pointer keeps it alive; after deletion its
  /// calls answer kNotFound.
  [[nodiscard]] virtual Result<std::shared_ptr<Collection>> collection(
      const std::string& name) const = 0;

  [[nodiscard]] virtual std::vector<JobInfo> jobs() const = 0;
  /// kNotFound "Job 7 not found".
  [[nodiscard]] virtual Result<JobInfo> job(std::uint64_t id) const = 0;
  /// Asks a job to stop; its state says when it has. Finished jobs: kBadRequest.
  virtual Status cancel_job(std::uint64_t id) = 0;

  /// Cancels background work; the destructor then returns soon. Requests still run.
  virtual void begin_shutdown() = 0;
};

/// The instruction set that distances are computed with: "avx512", "avx2", "neon", "baseline".
const char* cpu_level();

}  // namespace tessera::engine
