#pragma once

#include <functional>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "base/status.h"
#include "cli/api_client.h"

namespace tessera::cli {

/// What all commands share. Arguments are parsed first; then `action`, set by the command that was
/// named, is run once.
struct Context {
  std::string url_text = "http://127.0.0.1:6333";
  bool is_json = false;
  std::function<Status()> action;

  [[nodiscard]] Result<ApiClient> client() const;
};

// Each adds its command (and subcommands) to the parser. The context outlives the parser.
void add_status_command(CLI::App& app, Context& context);
void add_collection_commands(CLI::App& app, Context& context);
void add_import_command(CLI::App& app, Context& context);
void add_query_command(CLI::App& app, Context& context);
void add_reindex_command(CLI::App& app, Context& context);
void add_clusters_command(CLI::App& app, Context& context);
void add_job_commands(CLI::App& app, Context& context);
void add_verify_command(CLI::App& app, Context& context);

/// A name as the dialect spells it ("Cosine"); throws CLI::ValidationError for others.
std::string distance_name(const std::string& text);

/// Index settings of a vector, as `collection create`, `import --create` and `reindex` take them.
struct IndexFlags {
  std::optional<std::string> type;
  std::optional<std::uint64_t> list_count;
  std::optional<std::uint64_t> probe_count;
  std::optional<std::uint64_t> pq_segment_count;
  std::optional<std::uint64_t> m;
  std::optional<std::uint64_t> ef_construct;

  void add_to(CLI::App& command);
  /// Adds the members "index" and "hnsw_config" that were asked for. Throws CLI::ValidationError
  /// for IVF settings without an IVF type.
  void append_to(Json& params) const;
};

/// Polls a job and shows its progress until it ends. A failed or cancelled job is a Status.
Result<Json> wait_for_job(ApiClient& client, std::uint64_t id, const std::string& label,
                          bool is_progress_shown);

}  // namespace tessera::cli
