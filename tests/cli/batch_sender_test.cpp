#include "cli/batch_sender.h"

#include <catch2/catch.hpp>

#include "fake_daemon.h"

using namespace tessera;
using namespace tessera::cli;
using namespace tessera::cli::test;

namespace {

Batch batch_of(std::uint64_t number) {
  Batch batch;
  batch.number = number;
  ImportRow& row = batch.rows.emplace_back();
  row.id = PointId(number);
  row.vectors.emplace_back("", std::vector<float>{1});
  return batch;
}

TEST_CASE("batch sender: outcomes that nobody took do not make a new batch wait", "[unit]") {
  FakeCollection collection;
  const FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
  const auto url = parse_daemon_url(daemon.url());
  REQUIRE(url.has_value());
  BatchSender::Options options;
  options.collection = "c";
  options.connection_count = 1;
  BatchSender sender(*url, options);
  // Longer than any test may run: a wait for the whole time would not go unnoticed.
  constexpr auto kForever = std::chrono::hours(1);
  std::size_t taken_count = 0;
  for (std::uint64_t number = 0; number < 20; ++number) {
    Batch batch = batch_of(number);
    while (!sender.submit(batch, kForever)) taken_count += sender.take_outcomes(kForever).size();
  }
  while (sender.pending_count() > 0) taken_count += sender.take_outcomes(kForever).size();
  CHECK(taken_count == 20);
  CHECK(collection.ids.size() == 20);
}

}  // namespace
