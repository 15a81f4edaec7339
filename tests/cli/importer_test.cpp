#include "cli/importer.h"

#include <algorithm>
#include <set>

#include <catch2/catch.hpp>

#include "cli/import_state.h"
#include "fake_daemon.h"
#include "scratch_directory.h"

using namespace tessera;
using namespace tessera::cli;
using namespace tessera::cli::test;

namespace {

std::string json_lines(std::size_t count, std::size_t begin = 0) {
  std::string text;
  for (std::size_t i = begin; i < begin + count; ++i) {
    text += "{\"id\":" + std::to_string(i) + ",\"vector\":[" + std::to_string(i) + ",1]}\n";
  }
  return text;
}

struct Outcome {
  Status status;
  ImportSummary summary;
  std::vector<std::string> messages;
};

Outcome import(const FakeDaemon& daemon, const ImportOptions& options) {
  Outcome outcome;
  ImportListener listener;
  listener.on_message = [&](const std::string& text) { outcome.messages.push_back(text); };
  outcome.status = run_import(*parse_daemon_url(daemon.url()), options, listener, outcome.summary);
  return outcome;
}

ImportOptions options_for(std::vector<std::string> files, std::size_t batch_row_count = 10) {
  ImportOptions options;
  options.collection = "c";
  options.files = std::move(files);
  options.batch_row_count = batch_row_count;
  return options;
}

std::set<std::string> as_set(const std::vector<std::string>& ids) {
  return {ids.begin(), ids.end()};
}

std::set<std::string> id_range(std::size_t begin, std::size_t end) {
  std::set<std::string> ids;
  for (std::size_t i = begin; i < end; ++i) ids.insert(std::to_string(i));
  return ids;
}

bool has_message(const Outcome& outcome, const std::string& text) {
  return std::any_of(outcome.messages.begin(), outcome.messages.end(),
                     [&](const auto& message) { return message.find(text) != std::string::npos; });
}

}  // namespace

TEST_CASE("import: every row of all files arrives once, in batches, over kept connections") {
  const ScratchDirectory scratch;
  FakeCollection collection;
  FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
  const std::string first = scratch.write("a.jsonl", json_lines(95));
  const Outcome outcome =
      import(daemon, options_for({first, scratch.write("b.jsonl", json_lines(30, 95))}));
  REQUIRE(outcome.status.ok());
  CHECK(outcome.summary.imported_count == 125);
  CHECK(collection.ids.size() == 125);
  CHECK(as_set(collection.ids) == id_range(0, 125));
  CHECK(*std::max_element(collection.batch_sizes.begin(), collection.batch_sizes.end()) == 10);
  CHECK(daemon.connection_count() <= 3);
  CHECK_FALSE(std::filesystem::exists(first + ".tessera-import"));
}

TEST_CASE("import: batches are bounded by bytes, and one larger row travels alone") {
  const ScratchDirectory scratch;
  FakeCollection collection;
  FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
  ImportOptions options = options_for(
      {scratch.write("a.jsonl", json_lines(9) + "{\"id\":9,\"vector\":[1],\"payload\":{\"t\":\"" +
                                    std::string(500, 'x') + "\"}}\n" + json_lines(9, 10))});
  options.batch_bytes_max = 100;
  options.connection_count = 1;
  REQUIRE(import(daemon, options).status.ok());
  CHECK(as_set(collection.ids) == id_range(0, 19));
  CHECK(*std::max_element(collection.batch_sizes.begin(), collection.batch_sizes.end()) <= 4);
  CHECK(std::count(collection.batch_sizes.begin(), collection.batch_sizes.end(), 1) >= 1);
}

TEST_CASE("import: rows of several files without ids are numbered through") {
  const ScratchDirectory scratch;
  FakeCollection collection;
  FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
  const std::string data(2 * sizeof(float), '\0');
  ImportOptions options = options_for({scratch.write("a.npy", npy("<f4", "(2, 1)", data)),
                                       scratch.write("b.npy", npy("<f4", "(2, 1)", data))});
  REQUIRE(import(daemon, options).status.ok());
  CHECK(as_set(collection.ids) == id_range(0, 4));
}

TEST_CASE("import: a damaged later file is found before anything is sent") {
  const ScratchDirectory scratch;
  FakeCollection collection;
  FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
  const Outcome outcome =
      import(daemon, options_for({scratch.write("a.jsonl", json_lines(20)),
                                  scratch.write("b.npy", npy("<f4", "(2, 1)", "short"))}));
  CHECK(outcome.status.message().find("b.npy: is truncated") != std::string::npos);
  CHECK(collection.upsert_count == 0);
}

TEST_CASE("import: a bad line stops it after the rows before, with file and line") {
  const ScratchDirectory scratch;
  FakeCollection collection;
  FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
  const std::string path = scratch.write("a.jsonl", json_lines(25) + "oops\n" + json_lines(25, 25));
  ImportOptions options = options_for({path});
  const Outcome outcome = import(daemon, options);
  CHECK(outcome.status.code() == Code::kInvalidArgument);
  CHECK(outcome.status.message().find(path + ":26: ") == 0);
  CHECK(as_set(collection.ids) == id_range(0, 25));

  SECTION("and a resumed run that skips goes on behind them") {
    options.resumes = true;
    options.skips_bad_rows = true;
    collection.ids.clear();
    const Outcome resumed = import(daemon, options);
    REQUIRE(resumed.status.ok());
    CHECK(as_set(collection.ids) == id_range(25, 50));
    CHECK(resumed.summary.imported_count == 50);
    CHECK(resumed.summary.resumed_count == 25);
    CHECK(resumed.summary.bad_count == 1);
    CHECK(has_message(resumed, ":26: "));
  }
}

TEST_CASE("import: skipped bad lines are counted and capped") {
  const ScratchDirectory scratch;
  FakeCollection collection;
  FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
  ImportOptions options =
      options_for({scratch.write("a.jsonl", "x\n" + json_lines(15) + "y\nz\n")});
  options.skips_bad_rows = true;
  const Outcome outcome = import(daemon, options);
  REQUIRE(outcome.status.ok());
  CHECK(outcome.summary.bad_count == 3);
  CHECK(outcome.summary.imported_count == 15);
  CHECK(outcome.messages.size() == 3);
  options.bad_row_count_max = 2;
  CHECK(import(daemon, options).status.message().find("more than 2 bad rows") == 0);
}

TEST_CASE("import: a refused batch is halved until only the bad rows fail") {
  const ScratchDirectory scratch;
  FakeCollection collection;
  const std::set<std::string> bad{"3", "4", "17", "39"};
  collection.is_bad = [&](const std::string& id) { return bad.count(id) > 0; };
  FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
  const std::string path = scratch.write("a.jsonl", json_lines(40));
  ImportOptions options = options_for({path}, 16);
  options.connection_count = 1;

  SECTION("when skipping, all other rows are there") {
    options.skips_bad_rows = true;
    const Outcome outcome = import(daemon, options);
    REQUIRE(outcome.status.ok());
    CHECK(outcome.summary.bad_count == 4);
    CHECK(outcome.summary.imported_count == 36);
    std::set<std::string> expected = id_range(0, 40);
    for (const std::string& id : bad) expected.erase(id);
    CHECK(as_set(collection.ids) == expected);
    CHECK(has_message(outcome, path + ":18: Wrong input: bad point 17"));
  }
  SECTION("when stopping, the rows of its batch before the first are there") {
    const Outcome outcome = import(daemon, options);
    CHECK(outcome.status.message() == path + ":4: Wrong input: bad point 3");
    for (const char* id : {"0", "1", "2"}) CHECK(as_set(collection.ids).count(id) == 1);
    for (const char* id : {"3", "4", "5"}) CHECK(as_set(collection.ids).count(id) == 0);
  }
}

TEST_CASE(
    "import: resuming after the daemon failed loses no row and repeats at most what was "
    "under way") {
  const ScratchDirectory scratch;
  std::string csv = "id,v0\n";
  for (int i = 0; i < 200; ++i) csv += std::to_string(i) + "," + std::to_string(i) + "\n";
  std::string floats;
  for (int i = 0; i < 200; ++i) floats += raw(static_cast<float>(i));
  const std::vector<std::string> files{scratch.write("a.jsonl", json_lines(200)),
                                       scratch.write("a.csv", csv),
                                       scratch.write("a.npy", npy("<f4", "(200, 1)", floats))};
  for (const std::string& file : files) {
    for (const std::uint32_t connection_count : {1U, 4U}) {
      CAPTURE(file, connection_count);
      FakeCollection collection;
      collection.interrupt = [](std::size_t number) {
        if (number < 7) return FakeReply();
        return FakeReply{507, R"({"status":{"error":"disk is full"},"time":0})", ""};
      };
      FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
      ImportOptions options = options_for({file});
      options.connection_count = connection_count;
      const Outcome failed = import(daemon, options);
      CHECK(failed.status.code() == Code::kDiskFull);
      CHECK(failed.status.message() == "disk is full");
      CHECK(collection.ids.size() == 70);

      collection.interrupt = nullptr;
      options.resumes = true;
      const Outcome resumed = import(daemon, options);
      REQUIRE(resumed.status.ok());
      CHECK(as_set(collection.ids) == id_range(0, 200));
      CHECK(resumed.summary.imported_count == 200);
      CHECK(resumed.summary.resumed_count <= 70);
      if (connection_count == 1) CHECK(resumed.summary.resumed_count == 70);
      CHECK_FALSE(std::filesystem::exists(file + ".tessera-import"));
    }
  }
}

TEST_CASE("import: a state of other files, options or collections is not resumed") {
  const ScratchDirectory scratch;
  FakeCollection collection;
  FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
  const std::string path = scratch.write("a.jsonl", json_lines(25) + "oops\n");
  ImportOptions options = options_for({path});
  REQUIRE_FALSE(import(daemon, options).status.ok());
  options.resumes = true;

  SECTION("changed file") {
    scratch.write("a.jsonl", json_lines(26));
    CHECK(import(daemon, options).status.message().find("the files have changed since") !=
          std::string::npos);
  }
  SECTION("other options") {
    options.rows.takes_rest_as_payload = true;
    CHECK(import(daemon, options).status.message().find("other options") != std::string::npos);
  }
  SECTION("other collection") {
    options.collection = "d";
    CHECK(import(daemon, options).status.message().find("of collection \"c\"") !=
          std::string::npos);
  }
  SECTION("damaged state") {
    scratch.write("a.jsonl.tessera-import", "{\"tessera_import\":1");
    CHECK(import(daemon, options).status.code() == Code::kCorrupt);
  }
  SECTION("a run without resume starts over") {
    options.resumes = false;
    options.skips_bad_rows = true;
    collection.ids.clear();
    REQUIRE(import(daemon, options).status.ok());
    CHECK(as_set(collection.ids) == id_range(0, 25));
  }
}

TEST_CASE("import: a busy or vanishing daemon is asked again, within the time given") {
  const ScratchDirectory scratch;
  const std::string path = scratch.write("a.jsonl", json_lines(40));
  for (const int status : {503, 429, 408, 0}) {
    CAPTURE(status);
    FakeCollection collection;
    collection.interrupt = [status](std::size_t number) {
      if (number % 3 != 1) return FakeReply();
      return FakeReply{status, R"({"status":{"error":"busy"},"time":0})", "0"};
    };
    FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
    const Outcome outcome = import(daemon, options_for({path}));
    CHECK(outcome.status.ok());
    CHECK(as_set(collection.ids) == id_range(0, 40));
  }
  FakeCollection collection;
  collection.interrupt = [](std::size_t) {
    return FakeReply{503, R"({"status":{"error":"stopping"},"time":0})", ""};
  };
  FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
  ImportOptions options = options_for({path});
  options.retry_for = std::chrono::milliseconds(300);
  const Outcome outcome = import(daemon, options);
  CHECK(outcome.status.code() == Code::kUnavailable);
  CHECK(collection.ids.empty());
}

TEST_CASE("import: a missing collection is an error, or created from the first good row") {
  const ScratchDirectory scratch;
  FakeCollection collection;
  collection.exists = false;
  FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
  ImportOptions options = options_for({scratch.write("a.jsonl", json_lines(12))});
  CHECK(import(daemon, options).status.code() == Code::kNotFound);
  CHECK(collection.upsert_count == 0);

  options.create = Json{{"distance", "Dot"}};
  SECTION("unnamed") {
    const Outcome outcome = import(daemon, options);
    REQUIRE(outcome.status.ok());
    CHECK(outcome.summary.is_created);
    CHECK(collection.creations ==
          std::vector<std::string>{R"({"vectors":{"distance":"Dot","size":2}})"});
    CHECK(collection.ids.size() == 12);
  }
  SECTION("named, behind a bad row") {
    options.files = {
        scratch.write("n.jsonl", "bad\n{\"id\":1,\"vector\":{\"a\":[1],\"b\":[1,2,3]}}\n")};
    options.skips_bad_rows = true;
    REQUIRE(import(daemon, options).status.ok());
    CHECK(collection.creations ==
          std::vector<std::string>{R"({"vectors":{"a":{"distance":"Dot","size":1},)"
                                   R"("b":{"distance":"Dot","size":3}}})"});
    CHECK(collection.ids == std::vector<std::string>{"1"});
  }
  SECTION("no row") {
    options.files = {scratch.write("e.jsonl", "")};
    CHECK(import(daemon, options).status.message().find("no good row") != std::string::npos);
  }
}

TEST_CASE("import: all-zero rows are left out on request and counted") {
  const ScratchDirectory scratch;
  FakeCollection collection;
  FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
  ImportOptions options = options_for(
      {scratch.write("a.jsonl", "{\"id\":1,\"vector\":[0,0]}\n{\"id\":2,\"vector\":[0,1]}\n")});
  options.rows.skips_zero_rows = true;
  const Outcome outcome = import(daemon, options);
  REQUIRE(outcome.status.ok());
  CHECK(outcome.summary.skipped_count == 1);
  CHECK(collection.ids == std::vector<std::string>{"2"});
}

TEST_CASE("import: a state file that cannot be written is said, and no reason to fail") {
  const ScratchDirectory scratch;
  FakeCollection collection;
  FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
  const std::string path = scratch.write("a.jsonl", json_lines(12));
  std::filesystem::create_directory(path + ".tessera-import.new");
  ImportOptions options = options_for({path});
  const Outcome outcome = import(daemon, options);
  CHECK(outcome.status.ok());
  CHECK(collection.ids.size() == 12);
  CHECK(has_message(outcome, "cannot be resumed"));
  options.state_path = path + ".tessera-import";
  CHECK_FALSE(import(daemon, options).status.ok());
}
