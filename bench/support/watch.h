#pragma once

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>

namespace tessera::bench {

/// Ends a benchmark from wherever it is: unwinding stops the daemon and removes its data.
/// Benchmarks alone throw it; main() catches it and prints the text.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Bounds a run: its deadline, and SIGINT, SIGTERM or SIGHUP. Thread rule: const after making.
class Watch {
 public:
  using Clock = std::chrono::steady_clock;

  /// Catches the signals from now on.
  explicit Watch(std::chrono::seconds limit);

  /// Throws Failure once the time is up or a signal has come.
  void check() const;
  /// check(), then waits `pause`.
  void wait(std::chrono::milliseconds pause) const;

 private:
  const Clock::time_point deadline_;
};

/// Runs a program: 0, or 1 after its failure was printed.
int exit_status_of(const char* program, const std::function<void()>& run);

double seconds_since(Watch::Clock::time_point start);

/// One line about what is being done, on standard error.
void say_progress(const std::string& line);

}  // namespace tessera::bench
