#include <atomic>
#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/store.h"
#include "tests/storage/store_model.h"
#include "tests/storage/store_support.h"
#include "tests/support/temporary_directory.h"

namespace tessera::storage {
namespace {

using tessera::test::TemporaryDirectory;
using test::Model;
using test::open_or_fail;
using test::require_ok;

constexpr const char* kWriterName = "store crash: the writer that is killed";
constexpr const char* kDirectoryVariable = "TESSERA_TEST_CRASH_DIRECTORY";
constexpr std::uint64_t kSeed = 4711;
constexpr auto kPatience = std::chrono::seconds(60);

/// What the writer tells of its progress. It lies in a mapped file, so it outlives the writer.
struct Ledger {
  std::atomic<std::uint64_t> sent;
  std::atomic<std::uint64_t> acknowledged;
  std::atomic<std::uint64_t> first;  ///< The operation to begin with, set by the parent.
};

class MappedLedger {
 public:
  explicit MappedLedger(const std::string& directory) {
    const int descriptor = ::open((directory + "/ledger").c_str(), O_RDWR | O_CREAT, 0600);
    REQUIRE(descriptor >= 0);
    REQUIRE(::ftruncate(descriptor, sizeof(Ledger)) == 0);
    void* address =
        ::mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    ::close(descriptor);
    REQUIRE(address != MAP_FAILED);
    ledger_ = static_cast<Ledger*>(address);
  }
  ~MappedLedger() { ::munmap(ledger_, sizeof(Ledger)); }
  MappedLedger(const MappedLedger&) = delete;
  MappedLedger& operator=(const MappedLedger&) = delete;
  Ledger* operator->() { return ledger_; }

 private:
  Ledger* ledger_ = nullptr;
};

// A process of its own, started by the test below: after a fork alone RocksDB's threads are
// missing.
TEST_CASE(kWriterName, "[.]") {
  const char* directory = std::getenv(kDirectoryVariable);
  if (directory == nullptr) {
    WARN("this case is started by the crash test");
    return;
  }
  MappedLedger ledger(directory);
  const auto store = open_or_fail(std::string(directory) + "/store");
  Model ignored;
  for (std::uint64_t number = ledger->first;; ++number) {
    ledger->sent = number;
    require_ok(store->write(test::make_operation(kSeed + number, number, ignored), true));
    ledger->acknowledged = number;
  }
}

pid_t start_writer(const std::string& directory) {
  REQUIRE(::setenv(kDirectoryVariable, directory.c_str(), 1) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::execl("/proc/self/exe", "storage_tests", kWriterName, nullptr);
    ::_exit(127);
  }
  return child;
}

/// Kills the writer once it has acknowledged this operation, after `delay` more.
void kill_after(pid_t child, MappedLedger& ledger, std::uint64_t operation,
                std::chrono::microseconds delay) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (ledger->acknowledged < operation) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    REQUIRE(::waitpid(child, nullptr, WNOHANG) == 0);
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  std::this_thread::sleep_for(delay);
  REQUIRE(::kill(child, SIGKILL) == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
}

void run_cycles(int cycle_count) {
  CAPTURE(kSeed);
  const TemporaryDirectory directory;
  MappedLedger ledger(directory.path());
  std::mt19937_64 random(kSeed);
  Model model;
  std::uint64_t applied = 0;  // Operations 1 to this one are in the model.
  for (int cycle = 0; cycle < cycle_count; ++cycle) {
    CAPTURE(cycle, applied);
    ledger->first = applied + 1;
    ledger->sent = applied;
    ledger->acknowledged = applied;
    const pid_t child = start_writer(directory.path());
    kill_after(child, ledger, applied + 1 + random() % 60,
               std::chrono::microseconds(random() % 5000));

    const auto store = open_or_fail(directory.file("store"));
    const std::uint64_t found = test::last_operation(*store);
    CAPTURE(found, ledger->acknowledged.load(), ledger->sent.load());
    REQUIRE(found >= ledger->acknowledged);
    REQUIRE(found <= ledger->sent);
    for (; applied < found; ++applied)
      test::make_operation(kSeed + applied + 1, applied + 1, model);
    require_same(*store, model);
  }
}

TEST_CASE("store crash: what was acknowledged survives 20 kills, what was under way is whole",
          "[crash]") {
  run_cycles(20);
}

TEST_CASE("store crash: what was acknowledged survives 300 kills", "[.][slow][crash]") {
  run_cycles(300);
}

}  // namespace
}  // namespace tessera::storage
