#include "index/parallel.h"

#include <vector>

#include <catch2/catch.hpp>
#include <pthread.h>

namespace tessera::index {
namespace {

/// While it lives no thread can be made: each would have a stack as large as the address space.
class NoMoreThreads {
 public:
  NoMoreThreads() {
    REQUIRE(pthread_getattr_default_np(&before_) == 0);
    pthread_attr_t huge;
    REQUIRE(pthread_attr_init(&huge) == 0);
    REQUIRE(pthread_attr_setstacksize(&huge, std::size_t{1} << 47) == 0);
    REQUIRE(pthread_setattr_default_np(&huge) == 0);
    pthread_attr_destroy(&huge);
  }
  ~NoMoreThreads() {
    pthread_setattr_default_np(&before_);
    pthread_attr_destroy(&before_);
  }

 private:
  pthread_attr_t before_;
};

}  // namespace

TEST_CASE("run_blocks: without a thread to be had, the caller does all blocks", "[unit]") {
  BuildControl control;
  control.thread_count = 4;
  std::vector<int> done(100, 0);
  const NoMoreThreads none;
  const Status status = run_blocks("test", done.size(), control,
                                   [&](std::size_t block, std::size_t worker) -> Status {
                                     done[block] += worker == 0 ? 1 : 2;
                                     return {};
                                   });
  CHECK(status.ok());
  CHECK(done == std::vector<int>(100, 1));
}

}  // namespace tessera::index
