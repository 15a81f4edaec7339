#include "bench/support/watch.h"

#include <csignal>
#include <cstdio>
#include <thread>

namespace tessera::bench {
namespace {

volatile std::sig_atomic_t signal_number = 0;

void remember(int number) {
  signal_number = number;
}

}  // namespace

Watch::Watch(std::chrono::seconds limit) : deadline_(Clock::now() + limit) {
  struct sigaction action = {};
  action.sa_handler = remember;  // Without SA_RESTART: a blocking read returns.
  sigemptyset(&action.sa_mask);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void Watch::check() const {
  if (signal_number != 0) {
    throw Failure("stopped by signal " + std::to_string(signal_number));
  }
  if (Clock::now() > deadline_) throw Failure("the time limit of the run has passed");
}

void Watch::wait(std::chrono::milliseconds pause) const {
  check();
  std::this_thread::sleep_for(pause);
}

int exit_status_of(const char* program, const std::function<void()>& run) {
  try {
    run();
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "%s: %s\n", program, failure.what());
    return 1;
  }
  return 0;
}

double seconds_since(Watch::Clock::time_point start) {
  return std::chrono::duration<double>(Watch::Clock::now() - start).count();
}

void say_progress(const std::string& line) {
  std::fprintf(stderr, "  .. %s\n", line.c_str());
}

}  // namespace tessera::bench
