#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/cancel.h"
#include "base/metrics.h"
#include "config/settings.h"
#include "engine/build_budget.h"
#include "engine/helper_threads.h"
#include "storage/data_directory.h"
#include "storage/store.h"

namespace tessera::engine {

class CollectionImpl;
class Jobs;

/// What every collection shares with its database. Outlives the collections.
/// Thread rule: the references are to objects that are safe from any thread.
struct Shared {
  const config::Settings& settings;
  storage::Store& store;
  const storage::DataDirectory& directory;
  Jobs& jobs;
  metrics::Registry& registry;
  BuildBudget& builds;
  unsigned build_thread_count = 1;  ///< Of one background build.
  /// Set by a write that was not synced; the flusher clears it.
  std::atomic<bool> has_unsynced_writes = false;
  /// Cancelled when the daemon stops: for work that no request's token can end.
  CancelToken stopping = {};
  /// Too little free disk: writes that need space are refused.
  std::atomic<bool> is_disk_full = false;
  /// Makes the hidden collection of a collection's users and attaches it. Set before any
  /// collection is used. kNotFound when the owner has been deleted; kDiskFull, kUnavailable.
  std::function<Status(CollectionImpl& owner)> create_users = {};
  /// Of batches of queries: with the thread of one request there are as many as cores.
  HelperThreads batch_threads =
      HelperThreads(std::max(1U, std::thread::hardware_concurrency()) - 1);
  /// The collection of that name; null when there is none. Set as create_users.
  std::function<std::shared_ptr<const CollectionImpl>(const std::string& name)> find_collection =
      {};
};

}  // namespace tessera::engine
