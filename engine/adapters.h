#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tessera::adapter {
class Adapter;
}

namespace tessera::engine {

struct WriteResult;

/// What is known of a trained adapter.
struct AdapterInfo {
  std::string name;
  std::uint64_t version = 0;  ///< Counts the uploads of its name since that was last free.
  std::int64_t created_at_us = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t parameter_count = 0;
  std::string backbone;
  std::size_t dim = 0;           ///< Without the bias.
  std::size_t context_size = 0;  ///< Items of a round that are context.
  std::size_t max_history = 0;
  bool has_item_bias = false;
  /// Why its record cannot be used; of the others above only the name is then known for sure.
  std::string error;
};

/// As the commit queue carries them.
struct PutAdapter {
  std::string name;
  std::string_view file;  ///< The caller's, who waits.
  std::shared_ptr<const adapter::Adapter> adapter;
  AdapterInfo info;  ///< Completed when it is committed.
};
struct DeleteAdapter {
  std::string name;
};

/// The trained adapters of one collection. Writes are as Collection::write() with
/// `wait`: in order with those of points, on disk and visible once answered; so are its errors.
/// An adapter whose record is damaged is listed with an error; it can be replaced and removed.
/// Thread rule: safe from any thread. A query that has begun keeps the adapter that it began with.
class Adapters {
 public:
  virtual ~Adapters() = default;

  /// Adds or replaces it. kInvalidArgument names what is wrong with the file, or why it fits no
  /// vector of the collection, or the limit that it exceeds.
  virtual Result<AdapterInfo> put(const std::string& name, std::string_view file) = 0;
  /// kNotFound "No adapter `x` found".
  virtual Result<WriteResult> remove(const std::string& name) = 0;
  /// kNotFound as above.
  [[nodiscard]] virtual Result<AdapterInfo> get(const std::string& name) const = 0;
  /// In the order of their names.
  [[nodiscard]] virtual Result<std::vector<AdapterInfo>> list() const = 0;
};

}  // namespace tessera::engine
