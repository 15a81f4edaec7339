#pragma once

#include <map>
#include <memory>
#include <string>

#include "adapter/adapter.h"
#include "base/mutex.h"
#include "engine/adapters.h"
#include "engine/vector_field.h"

namespace tessera::engine {

class CollectionImpl;

/// The adapters of a collection in memory; the store has their files.
/// Thread rule: safe from any thread; commit() is the commit queue's.
class AdapterRegistry final : public Adapters {
 public:
  explicit AdapterRegistry(CollectionImpl& owner) : owner_(owner) {}

  struct Entry {
    AdapterInfo info;
    std::shared_ptr<const adapter::Adapter> adapter;  ///< Null when it is damaged.
  };

  /// Reads all from the store; what is damaged is logged. Called once, before any other use.
  Status load();

  Result<AdapterInfo> put(const std::string& name, std::string_view file) override;
  Result<WriteResult> remove(const std::string& name) override;
  [[nodiscard]] Result<AdapterInfo> get(const std::string& name) const override;
  [[nodiscard]] Result<std::vector<AdapterInfo>> list() const override;

  /// One that can be used, never null. kNotFound "No adapter `x` found"; kCorrupt.
  [[nodiscard]] Result<std::shared_ptr<const Entry>> find(const std::string& name) const;
  /// Whether it makes vectors that this one can be searched by; kInvalidArgument says why not.
  static Status check_fits(const adapter::Adapter& adapter, const VectorField::Identity& vector);

  // Write the store, synced unless the settings say otherwise, and then the registry.
  Status commit(PutAdapter& put);
  Status commit(const DeleteAdapter& remove);

 private:
  static Entry read(const std::string& name, const std::optional<storage::AdapterRecord>& record);
  [[nodiscard]] std::shared_ptr<const Entry> entry(const std::string& name) const;
  Status write(storage::Batch&& batch);

  CollectionImpl& owner_;
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<const Entry>> entries_ TESSERA_GUARDED_BY(mutex_);
};

}  // namespace tessera::engine
