#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include <unistd.h>

#include "base/status.h"

namespace tessera::test {

/// A fresh directory, removed with everything in it: under TMPDIR, else in memory where there is
/// room, else under /tmp. What survives a power loss cannot be learnt from any of them, so syncing
/// may as well cost nothing.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    path_ = parent() + "/tessera-test-XXXXXX";
    TESSERA_ASSERT(::mkdtemp(path_.data()) != nullptr);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  static std::string parent() {
    if (const char* chosen = std::getenv("TMPDIR")) return chosen;
    std::error_code failure;
    const auto space = std::filesystem::space("/dev/shm", failure);
    constexpr std::uintmax_t kRoomBytes = 1 << 30;
    const bool fits = !failure && space.available >= kRoomBytes && ::access("/dev/shm", W_OK) == 0;
    return fits ? "/dev/shm" : "/tmp";
  }

  std::string path_;
};

}  // namespace tessera::test
