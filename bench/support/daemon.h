#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "bench/support/watch.h"

namespace tessera::bench {

/// A folder under `parent` that is removed with everything in it.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::filesystem::path& parent);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A real tesserad with its default settings on a free port. It ends with this object, and with
/// this process however that ends. Data, log and port file lie in `folder`. Failures throw Failure.
/// Thread rule: start and end it on one thread; the rest may be read from any while it runs.
class Daemon {
 public:
  Daemon(std::filesystem::path binary, std::filesystem::path folder, const Watch& watch);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// Seconds from starting the program until GET /readyz answers 200.
  double start();
  /// SIGTERM; seconds until the process is gone. Any exit status but 0 is a Failure.
  double stop();
  /// SIGKILL.
  void kill();

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::uint64_t resident_bytes() const;  ///< VmRSS.
  [[nodiscard]] double cpu_seconds() const;            ///< User and system, all threads.

 private:
  [[nodiscard]] bool is_gone(int& exit_status);
  [[nodiscard]] bool answers_ready();
  [[nodiscard]] std::string log_tail() const;

  const std::filesystem::path binary_;
  const std::filesystem::path folder_;
  const Watch& watch_;
  int process_id_ = 0;  ///< 0: not running.
  std::uint16_t port_ = 0;
};

}  // namespace tessera::bench
