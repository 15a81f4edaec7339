#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "api/service.h"
#include "base/log.h"
#include "base/metrics.h"
#include "config/settings.h"
#include "engine/database.h"
#include "server/command_line.h"
#include "server/server.h"
#include "server/startup.h"
#include "server/stop_signal.h"

namespace tessera::server {
namespace {

using std::chrono::milliseconds;

constexpr int kExitOk = 0;
constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
/// After shutdown_timeout_ms: for cancelled requests to answer and for the database to close.
constexpr auto kStopMargin = milliseconds(1700);
/// Descriptors beside the connections: table files, index files, logs.
constexpr std::uint64_t kOwnDescriptorCount = 512;

int fail(int exit_code, const Status& status) {
  std::fprintf(stderr, "tesserad: %s\n", status.message().c_str());
  return exit_code;
}

std::map<std::string, std::string> tessera_environment() {
  std::map<std::string, std::string> found;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (!text.starts_with("TESSERA_") || equals == std::string_view::npos) continue;
    found.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return found;
}

/// Ends the process where an orderly end is not wanted or does not come. What was acknowledged is
/// on disk by then, as it is before any other sudden end.
void force_exit(int signal) {
  if (signal != 0) {
    log::warn("stopping at once: a second signal came", {{"signal", signal}});
    ::_exit(128 + signal);
  }
  log::warn("stopping at once: background work did not end in time");
  ::_exit(kExitOk);
}

void log_start(const config::Settings& settings) {
  log::info("tesserad starts", {{"version", TESSERA_VERSION}, {"cpu", engine::cpu_level()}});
  log::info("data directory", {{"path", settings.storage.path}});
  const std::uint64_t file_count_max = raise_open_file_limit();
  if (file_count_max < settings.server.connection_count_max + kOwnDescriptorCount) {
    log::warn("the limit of open files is low for server.connection_count_max",
              {{"open_files", file_count_max},
               {"connection_count_max", settings.server.connection_count_max}});
  }
}

void log_listening(const Server& server, const config::Settings& settings) {
  log::info("listening", {{"address", server.address()}});
  if (settings.server.allow_remote) {
    log::warn(
        "nothing protects the port: server.allow_remote is set and there is no "
        "authentication");
  } else {
    log::info("port is protected by its address: only this machine reaches it");
  }
}

/// The parts of a running daemon. Destroyed last to first: the server stops asking the service,
/// then the service the database.
class Daemon {
 public:
  explicit Daemon(const config::Settings& settings)
      : settings_(settings),
        stop_(milliseconds(settings.server.shutdown_timeout_ms) + kStopMargin, force_exit) {}

  int run(const std::optional<std::string>& port_file) {
    log_start(settings_);
    auto opened = Server::open(settings_.server, registry_, &api::Service::refusal,
                               starting_handler(&api::Service::refusal));
    if (opened.has_error()) {
      const Status status = opened.error();
      return fail(status.code() == Code::kInvalidArgument ? kExitUsage : kExitFailure, status);
    }
    server_ = std::move(*opened);
    log_listening(*server_, settings_);
    if (port_file) {
      const Status written = write_port_file(*port_file, server_->port());
      if (!written.ok()) return fail(kExitFailure, written);
    }
    const Status database_opened = open_database();
    if (!database_opened.ok()) return fail(kExitFailure, database_opened);
    stop_.wait([] { return false; });
    stop();
    return kExitOk;
  }

 private:
  /// Opens on a thread of its own, so that a signal closes the port even during a long recovery.
  Status open_database() {
    std::atomic<bool> is_done = false;
    std::optional<Result<std::unique_ptr<engine::Database>>> opened;
    std::thread opener([&] {
      opened = engine::Database::open(settings_, registry_);
      is_done = true;
      stop_.wake();
    });
    stop_.wait([&] { return is_done.load(); });
    if (!is_done) {
      log::info("stopping while the database opens");
      (void)server_->shutdown(milliseconds(settings_.server.shutdown_timeout_ms));
    }
    opener.join();
    if (opened->has_error()) {
      return opened->error().with_context("cannot open the data directory " +
                                          settings_.storage.path);
    }
    database_ = std::move(**opened);
    service_ = std::make_unique<api::Service>(*database_, registry_);
    service_->set_ready(true);
    const auto handle = [service = service_.get()](const api::HttpRequest& request) {
      return service->handle(request);
    };
    const auto handle_quickly = [service = service_.get()](const api::HttpRequest& request) {
      return service->handle_quickly(request);
    };
    server_->set_handlers({handle, handle_quickly});
    log::info("ready");
    return {};
  }

  void stop() {
    log::info("stopping");
    service_->set_ready(false);
    database_->begin_shutdown();
    const milliseconds grace(settings_.server.shutdown_timeout_ms);
    if (!server_->shutdown(grace)) log::warn("some requests did not finish in time");
    server_.reset();
    service_.reset();
    database_.reset();
    log::info("stopped");
  }

  const config::Settings& settings_;
  StopSignal stop_;  // First: it blocks the signals for all threads of the others.
  metrics::Registry registry_;
  std::unique_ptr<engine::Database> database_;
  std::unique_ptr<api::Service> service_;
  std::unique_ptr<Server> server_;
};

int run(const std::vector<std::string>& arguments) {
  auto parsed = parse_command_line(arguments);
  if (parsed.has_error()) {
    const int exit_code = fail(kExitUsage, parsed.error());
    std::fprintf(stderr, "tesserad: --help lists the flags\n");
    return exit_code;
  }
  CommandLine& line = *parsed;
  if (line.action == CommandLine::Action::kShowHelp) {
    std::fputs(line.help.c_str(), stdout);
    return kExitOk;
  }
  if (line.action == CommandLine::Action::kShowVersion) {
    std::fputs("tesserad " TESSERA_VERSION "\n", stdout);
    return kExitOk;
  }
  line.sources.environment = tessera_environment();
  const auto loaded = config::load(line.sources);
  if (loaded.has_error()) return fail(kExitUsage, loaded.error());
  if (line.action == CommandLine::Action::kPrintConfig) {
    std::fputs(print_config(*loaded).c_str(), stdout);
    return kExitOk;
  }
  if (line.action == CommandLine::Action::kCheckConfig) {
    std::fputs("the configuration is valid\n", stdout);
    return kExitOk;
  }
  log::configure(loaded->log.level, loaded->log.format);
  // A client that closes while it is written to is an error of that write.
  std::signal(SIGPIPE, SIG_IGN);
  return Daemon(*loaded).run(line.port_file);
}

}  // namespace
}  // namespace tessera::server

int main(int argument_count, char** arguments) {
  try {
    return tessera::server::run({arguments, arguments + argument_count});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tesserad: %s\n", error.what());
    return 1;
  }
}
