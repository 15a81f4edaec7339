#include "bench/support/daemon.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/support/connection.h"

namespace tessera::bench {
namespace {

using std::chrono::milliseconds;

constexpr double kReadySecondsMax = 300;
constexpr double kStopSecondsMax = 30;

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The environment without the variables that are ours and that the daemon would refuse.
std::vector<char*> daemon_environment() {
  std::vector<char*> kept;
  for (char** entry = ::environ; *entry != nullptr; ++entry) {
    const bool is_setting = std::strncmp(*entry, "TESSERA_", 8) == 0;
    if (!is_setting || std::strncmp(*entry, "TESSERA_CPU=", 12) == 0) kept.push_back(*entry);
  }
  kept.push_back(nullptr);
  return kept;
}

}  // namespace

ScratchFolder::ScratchFolder(const std::filesystem::path& parent) {
  std::string name = (parent / "tessera-bench.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw Failure(name + ": " + std::strerror(errno));
  }
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;  // Nothing depends on it; the system clears temporary folders.
  std::filesystem::remove_all(path_, ignored);
}

Daemon::Daemon(std::filesystem::path binary, std::filesystem::path folder, const Watch& watch)
    : binary_(std::move(binary)), folder_(std::move(folder)), watch_(watch) {}

Daemon::~Daemon() {
  kill();
}

double Daemon::start() {
  const std::string port_file = folder_ / "port", log = folder_ / "tesserad.log";
  std::filesystem::remove(port_file);
  std::vector<std::string> words = {binary_,   "--port",         "0",
                                    "--data",  folder_ / "data", "--port-file",
                                    port_file, "--log-level",    "info"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const std::vector<char*> environment = daemon_environment();

  const auto begin = Watch::Clock::now();
  const pid_t parent = ::getpid();
  process_id_ = ::fork();
  if (process_id_ < 0) {
    process_id_ = 0;
    throw Failure(std::string("fork: ") + std::strerror(errno));
  }
  if (process_id_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (::getppid() != parent || file < 0 || ::dup2(file, 1) < 0 || ::dup2(file, 2) < 0) {
      ::_exit(127);
    }
    ::execve(arguments[0], arguments.data(), environment.data());
    ::_exit(127);
  }
  while (!answers_ready()) {
    int exit_status = 0;
    if (is_gone(exit_status)) throw Failure(binary_.string() + " did not start:\n" + log_tail());
    if (seconds_since(begin) > kReadySecondsMax) throw Failure("the daemon does not get ready");
    watch_.wait(milliseconds(2));
  }
  return seconds_since(begin);
}

bool Daemon::answers_ready() {
  const std::string text = read_file(folder_ / "port");
  if (text.find('\n') == std::string::npos) return false;
  port_ = static_cast<std::uint16_t>(std::strtoul(text.c_str(), nullptr, 10));
  try {
    return Connection(port_).send(http_request("GET", "/readyz", "")).status == 200;
  } catch (const Failure&) {
    return false;  // It does not listen yet; the caller's clock bounds the wait.
  }
}

bool Daemon::is_gone(int& exit_status) {
  if (process_id_ == 0) return true;
  if (::waitpid(process_id_, &exit_status, WNOHANG) != process_id_) return false;
  process_id_ = 0;
  return true;
}

double Daemon::stop() {
  const auto begin = Watch::Clock::now();
  ::kill(process_id_, SIGTERM);
  int exit_status = 0;
  while (!is_gone(exit_status)) {
    if (seconds_since(begin) > kStopSecondsMax) throw Failure("the daemon does not stop");
    watch_.wait(milliseconds(1));
  }
  if (exit_status != 0) throw Failure("the daemon did not stop cleanly:\n" + log_tail());
  return seconds_since(begin);
}

void Daemon::kill() {
  if (process_id_ == 0) return;
  ::kill(process_id_, SIGKILL);
  ::waitpid(process_id_, nullptr, 0);
  process_id_ = 0;
}

std::uint64_t Daemon::resident_bytes() const {
  const std::string text = read_file("/proc/" + std::to_string(process_id_) + "/status");
  const std::size_t at = text.find("VmRSS:");
  if (at == std::string::npos) throw Failure("the daemon's VmRSS cannot be read");
  return std::strtoull(text.c_str() + at + 6, nullptr, 10) * 1024;
}

double Daemon::cpu_seconds() const {
  const std::string text = read_file("/proc/" + std::to_string(process_id_) + "/stat");
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) throw Failure("the daemon's CPU time cannot be read");
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;  // State up to cmajflt.
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::string Daemon::log_tail() const {
  const std::string text = read_file(folder_ / "tesserad.log");
  return text.substr(text.size() - std::min<std::size_t>(text.size(), 2000));
}

}  // namespace tessera::bench
