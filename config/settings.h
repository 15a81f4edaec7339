#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/status.h"

namespace tessera::config {

struct ServerSettings {
  std::string host = "127.0.0.1";
  std::uint16_t port = 6333;  ///< 0: the system picks one; the start-up line says which.
  bool allow_remote = false;  ///< Whether `host` may be reached from other machines.
  /// Threads that read requests and answer small ones at once; 0: one a core.
  std::uint32_t io_thread_count = 0;
  std::uint32_t worker_count = 0;  ///< Threads that answer the others; 0: one a core, at least 2.
  std::uint32_t connection_count_max = 1024;
  std::uint32_t queue_length_max = 1024;  ///< Requests waiting for a worker; others get 503.
  std::uint64_t body_bytes_max = 32ULL << 20;
  std::uint64_t body_bytes_total_max = 1ULL << 30;  ///< Of all requests at once; others get 503.
  std::uint32_t header_bytes_max = 16U << 10;
  /// From the first byte to the last header byte; for a connection's first request, from connect.
  std::uint32_t header_timeout_ms = 10'000;
  std::uint32_t body_timeout_ms = 60'000;     ///< For the whole body.
  std::uint32_t write_timeout_ms = 60'000;    ///< For the whole answer.
  std::uint32_t idle_timeout_ms = 75'000;     ///< Between two requests of a connection.
  std::uint32_t request_timeout_ms = 60'000;  ///< Default deadline of a request's work.
  std::uint32_t shutdown_timeout_ms = 6'000;  ///< In-flight requests get this long to finish.
};

enum class Durability : std::uint8_t { kSync, kAsync };

struct StorageSettings {
  std::string path = "tessera-data";
  Durability durability = Durability::kSync;
  std::uint32_t flush_interval_ms = 100;  ///< Longest time that an unsynced write stays so.
  std::uint64_t block_cache_bytes = 256ULL << 20;
  std::uint64_t write_buffer_bytes = 64ULL << 20;
  std::uint64_t free_bytes_min = 64ULL << 20;  ///< Below this much free disk, writes get 507.
};

struct IndexSettings {
  std::uint32_t build_thread_count = 0;  ///< Threads a background build may use; 0: one a core.
  std::uint64_t growing_bytes_max = 256ULL << 20;  ///< Vectors of a segment that has no index yet.
  std::uint32_t build_idle_ms = 500;  ///< A build waits until writes have paused for this long,
  std::uint32_t build_wait_ms_max = 10'000;  ///< but no longer than this.
  std::uint64_t build_memory_bytes_max = 0;  ///< Of all builds at once; 0: half of the memory.
  std::uint32_t build_cpu_percent = 50;      ///< Of a build's time, while searches are answered.
};

struct AdapterSettings {
  std::uint32_t count_max = 16;           ///< Of one collection.
  std::uint64_t bytes_max = 16ULL << 20;  ///< Of one adapter's file.
};

struct UserSettings {
  /// Memory for the interests of users who were asked about lately; of one vector of a collection.
  std::uint64_t mixture_bytes_max = 64ULL << 20;
};

struct SessionSettings {
  std::uint32_t ttl_s = 3600;                 ///< A session ends when it was not used for so long,
  std::uint32_t ttl_s_max = 7 * 24 * 3600;    ///< or for what it names, up to this.
  std::uint32_t count_max = 100'000;          ///< Of a collection.
  std::uint32_t round_count_max = 1000;       ///< Of a session.
  std::uint32_t returned_count_max = 10'000;  ///< Points returned by all rounds of a session.
  std::uint64_t bytes_max = 1ULL << 20;       ///< Of a session in the store.
};

struct LogSettings {
  log::Level level = log::Level::kInfo;
  log::Format format = log::Format::kText;
};

/// Everything a daemon can be told. Thread rule: immutable after load.
struct Settings {
  ServerSettings server;
  StorageSettings storage;
  IndexSettings index;
  AdapterSettings adapters;
  UserSettings users;
  SessionSettings sessions;
  LogSettings log;
};

/// One setting as the documentation and `tesserad --print-config` show it.
struct SettingInfo {
  std::string path;         ///< "server.port"
  std::string environment;  ///< "TESSERA_SERVER_PORT"
  std::string value;        ///< As TOML text.
};

/// Where settings come from; later ones win: defaults, file, environment, flags.
struct Sources {
  std::optional<std::string> file;                 ///< TOML; unknown keys are an error.
  std::map<std::string, std::string> environment;  ///< Variables named TESSERA_...; others ignored.
  std::map<std::string, std::string> flags;        ///< "server.port" -> "7000".
};

/// TESSERA_ variables that are no setting's and are left alone: other parts of Tessera read them.
/// Variables that Kubernetes and container links set for a service named "tessera"
/// (TESSERA_SERVICE_..., TESSERA_PORT...) are left alone as well.
inline constexpr std::string_view kForeignVariables[] = {
    "TESSERA_CPU", "TESSERA_DATA_DIR", "TESSERA_CRASH_AT", "TESSERA_URL", "TESSERA_API_KEY",
};

/// kInvalidArgument names file (with line), variable or flag, the setting, its value and the
/// limits. A misspelt TESSERA_ variable is an error.
Result<Settings> load(const Sources& sources);

/// Every setting with its current value, in file order.
std::vector<SettingInfo> describe(const Settings& settings);

}  // namespace tessera::config
