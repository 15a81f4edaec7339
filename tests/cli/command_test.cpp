#include <array>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "cli/console.h"
#include "cli/json_text.h"
#include "fake_daemon.h"
#include "scratch_directory.h"

using namespace tessera;
using namespace tessera::cli;
using namespace tessera::cli::test;

namespace {

struct Run {
  int exit_code = -1;
  std::string output;
  std::string errors;
};

/// Runs the command that was built beside the tests, with nothing on standard input.
Run run_tessera(const ScratchDirectory& scratch, std::vector<std::string> arguments) {
  const std::string binary =
      (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "tessera").string();
  REQUIRE(std::filesystem::exists(binary));
  arguments.insert(arguments.begin(), binary);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::array<char*, 1> environment{nullptr};

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  const int flags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, 1, scratch.path("out").c_str(), flags, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, scratch.path("err").c_str(), flags, 0600);
  pid_t child = 0;
  const int failed =
      ::posix_spawn(&child, binary.c_str(), &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  REQUIRE(failed == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  Run run;
  run.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  run.output = ScratchDirectory::read(scratch.path("out"));
  run.errors = ScratchDirectory::read(scratch.path("err"));
  return run;
}

FakeReply result_of(const std::string& json) {
  return {200, R"({"result":)" + json + R"(,"status":"ok","time":0})", ""};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("command: help and version succeed, bad usage exits with 2 and says why") {
  const ScratchDirectory scratch;
  const Run version = run_tessera(scratch, {"--version"});
  CHECK(version.exit_code == 0);
  CHECK(version.output == "tessera " TESSERA_CLI_VERSION "\n");
  for (const char* command :
       {"status", "import", "query", "reindex", "clusters", "jobs", "verify", "collection"}) {
    const Run help = run_tessera(scratch, {command, "--help"});
    CHECK(help.exit_code == 0);
    CHECK(has(help.output, "Usage:"));
  }
  const std::vector<std::vector<std::string>> bad{
      {},
      {"frobnicate"},
      {"collection", "create"},
      {"collection", "create", "c"},
      {"collection", "create", "c", "--dim", "0"},
      {"collection", "create", "c", "--dim", "3", "--distance", "chebyshev"},
      {"collection", "create", "c", "--vector", "a:3"},
      {"collection", "create", "c", "--vector", "a:x:dot"},
      {"collection", "create", "c", "--dim", "3", "--vector", "a:3:dot"},
      {"collection", "create", "c", "--dim", "3", "--index", "kd_tree"},
      {"collection", "create", "c", "--dim", "3", "--datatype", "float8"},
      {"collection", "create", "c", "--dim", "3", "--lists", "8"},
      {"collection", "delete", "c"},
      {"import", "c"},
      {"import", "c", "x.jsonl", "--create"},
      {"import", "c", "x.jsonl", "--on-error", "ignore"},
      {"query", "c", "--vector", "[1", "--exact"},
      {"query", "c", "--id", "x"},
      {"query", "c", "--id", "1", "--vector", "[1]"},
      {"query", "c", "--body", "[1]"},
      {"clusters", "c", "--show", "--count", "3"},
      {"verify"}};
  for (const auto& arguments : bad) {
    std::string line;
    for (const std::string& argument : arguments) line += argument + " ";
    INFO(line);
    const Run run = run_tessera(scratch, arguments);
    CHECK(run.exit_code == 2);
    CHECK(run.output.empty());
    CHECK(has(run.errors, "error: "));
  }
}

TEST_CASE("command: failures exit with 1, on standard error, as JSON when asked") {
  const ScratchDirectory scratch;
  std::string url;
  {
    const FakeDaemon daemon([](const FakeRequest&) { return FakeReply(); });
    url = daemon.url();
  }
  const Run away = run_tessera(scratch, {"--url", url, "status"});
  CHECK(away.exit_code == 1);
  CHECK(away.output.empty());
  CHECK(away.errors ==
        "error: cannot reach " + url + ": Connection refused. Is tesserad running?\n");
  const Run json = run_tessera(scratch, {"status", "--json", "--url", url});
  CHECK(json.exit_code == 1);
  const auto parsed = parse_json(json.errors);
  REQUIRE(parsed.has_value());
  CHECK(has(member_text(*parsed, "error"), "cannot reach"));
  CHECK(run_tessera(scratch, {"status", "--url", "nonsense"}).exit_code == 1);
  const Run verify = run_tessera(scratch, {"verify", "--data", scratch.path("none")});
  CHECK(verify.exit_code == 1);
  CHECK(has(verify.errors, scratch.path("none")));
}

TEST_CASE("command: status shows daemon, collections and running jobs") {
  const ScratchDirectory scratch;
  FakeDaemon daemon([](const FakeRequest& request) {
    if (request.target == "/") {
      return FakeReply{200, R"({"title":"tessera","version":"1.19.0",
        "tessera":{"version":"0.1.0","commit":"abc","cpu":"avx2"}})",
                       ""};
    }
    if (request.target == "/collections") {
      return result_of(R"({"collections":[{"name":"films"},{"name":"gone"}]})");
    }
    if (request.target == "/collections/films") {
      return result_of(R"({"status":"green","points_count":6993,"indexed_vectors_count":6000,
                          "segments_count":2})");
    }
    if (request.target == "/jobs") {
      return result_of(R"({"jobs":[{"id":4,"kind":"reindex","collection":"films","state":"running",
        "done":50,"total":200},{"id":3,"kind":"index","state":"done"}]})");
    }
    return FakeReply{404, R"({"status":{"error":"Not found"},"time":0})", ""};
  });
  const Run run = run_tessera(scratch, {"status", "--url", daemon.url()});
  INFO(run.output << run.errors);
  CHECK(run.exit_code == 0);
  CHECK(has(run.output, "tessera 0.1.0 (commit abc, kernels avx2)"));
  CHECK(has(run.output, "films       green   6,993   6,000    2"));
  CHECK(has(run.output, "4    reindex  films       running  25%"));
  CHECK_FALSE(has(run.output, "gone"));
  const Run json = run_tessera(scratch, {"--json", "status", "--url", daemon.url()});
  const auto parsed = parse_json(json.output);
  REQUIRE(parsed.has_value());
  CHECK(member_count(member(*parsed, "collections").at(0), "points_count") == 6993);
}

TEST_CASE("command: collection create sends dimensions, distances and index settings") {
  const ScratchDirectory scratch;
  FakeRequest last;
  FakeDaemon daemon([&](const FakeRequest& request) {
    last = request;
    return FakeReply();
  });
  CHECK(run_tessera(scratch,
                    {"collection", "create", "a b", "--dim", "4", "--distance", "EUCLID", "--index",
                     "ivf_pq", "--lists", "16", "--probes", "4", "--url", daemon.url()})
            .exit_code == 0);
  CHECK(last.method + " " + last.target == "PUT /collections/a%20b");
  CHECK(last.body == R"({"vectors":{"size":4,"distance":"Euclid","index":)"
                     R"({"type":"ivf_pq","lists":16,"probes":4}}})");
  CHECK(run_tessera(scratch, {"collection", "create", "c", "--vector", "a:2:dot", "--vector",
                              "b:3:manhattan", "--m", "8", "--url", daemon.url()})
            .exit_code == 0);
  CHECK(last.body == R"({"vectors":{"a":{"size":2,"distance":"Dot","hnsw_config":{"m":8}},)"
                     R"("b":{"size":3,"distance":"Manhattan","hnsw_config":{"m":8}}}})");
}

TEST_CASE("command: query builds the request and shows hits, interests and payloads") {
  const ScratchDirectory scratch;
  FakeRequest last;
  FakeDaemon daemon([&](const FakeRequest& request) {
    last = request;
    return result_of(R"({"points":[{"id":18446744073709551615,"version":1,"score":0.875,
      "payload":{"title":"Ünï","genres":["A","B"]},"interest":{"component":1,"rank":0}}],
      "interests":[{"component":1,"weight":0.5,"quota":1,"returned":1,"medoid":7}]})");
  });
  const Run run = run_tessera(
      scratch, {"query", "c", "--interests-history", "1,2", "--limit", "3", "--with-payload",
                "--filter", R"({"must":[]})", "--ef", "64", "--exact", "--url", daemon.url()});
  INFO(run.output << run.errors);
  CHECK(run.exit_code == 0);
  CHECK(last.target == "/collections/c/points/query");
  CHECK(last.body == R"({"query":{"interests":{"history":[1,2]}},"limit":3,"filter":{"must":[]},)"
                     R"("with_payload":true,"params":{"hnsw_ef":64,"exact":true}})");
  CHECK(has(run.output, "1     18446744073709551615  0.875  1         title: Ünï; genres: A, B"));
  CHECK(has(run.output, "1         0.5     1      1         7"));
  const std::string body = scratch.write("q.json", R"({"query":[1,2],"limit":1})");
  run_tessera(scratch,
              {"query", "c", "--body", "@" + body, "--offset", "2", "--url", daemon.url()});
  CHECK(last.body == R"({"query":[1,2],"limit":1,"offset":2})");
}

TEST_CASE("command: reindex --wait follows the job to its end, good or bad") {
  const ScratchDirectory scratch;
  std::size_t polls = 0;
  std::string end = R"({"state":"done","done":10,"total":10})";
  FakeDaemon daemon([&](const FakeRequest& request) {
    if (request.method == "POST") return result_of(R"({"job":9})");
    return ++polls < 3 ? result_of(R"({"state":"running","done":5,"total":10,"eta_seconds":1})")
                       : result_of(end);
  });
  const std::vector<std::string> arguments{"reindex", "c",     "--index",   "hnsw",
                                           "--wait",  "--url", daemon.url()};
  CHECK(run_tessera(scratch, arguments).exit_code == 0);
  CHECK(polls == 3);
  polls = 0;
  end = R"({"state":"failed","error":"no memory"})";
  const Run failed = run_tessera(scratch, arguments);
  CHECK(failed.exit_code == 1);
  CHECK(has(failed.errors, "error: job 9 failed: no memory"));
}

TEST_CASE("command: import reports the bad line, exits with 1 and can be resumed") {
  const ScratchDirectory scratch;
  FakeCollection collection;
  FakeDaemon daemon([&](const FakeRequest& request) { return collection.handle(request); });
  const std::string path =
      scratch.write("a.jsonl", "{\"id\":1,\"vector\":[1]}\nnonsense\n{\"id\":3,\"vector\":[3]}\n");
  const Run stopped = run_tessera(scratch, {"import", "c", path, "--url", daemon.url()});
  CHECK(stopped.exit_code == 1);
  CHECK(has(stopped.errors, "error: " + path + ":2: "));
  const Run resumed = run_tessera(scratch, {"import", "c", path, "--resume", "--on-error", "skip",
                                            "--json", "--url", daemon.url()});
  INFO(resumed.errors);
  CHECK(resumed.exit_code == 0);
  const auto summary = parse_json(resumed.output);
  REQUIRE(summary.has_value());
  CHECK(member_count(*summary, "imported") == 2);
  CHECK(member_count(*summary, "bad") == 1);
  CHECK(collection.ids == std::vector<std::string>{"1", "3"});
  const Run missing = run_tessera(scratch, {"import", "c", scratch.path("no.npy")});
  CHECK(missing.exit_code == 1);
  CHECK(has(missing.errors, "no.npy: cannot open: No such file or directory"));
}

TEST_CASE("console: numbers, durations and cut texts are written for people", "[unit]") {
  CHECK(with_separators(0) == "0");
  CHECK(with_separators(999) == "999");
  CHECK(with_separators(1234567) == "1,234,567");
  CHECK(duration_text(0.25) == "0.2 s");
  CHECK(duration_text(59.7) == "1 min 0 s");
  CHECK(duration_text(3725) == "1 h 2 min");
  CHECK(bytes_text(999) == "999 B");
  CHECK(bytes_text(12'345'678) == "12.3 MB");
  CHECK(shortened("äbc", 3) == "äbc");
  CHECK(shortened("äbcd\n", 3) == "äb…");
  CHECK(shortened("a\tb", 5) == "a b");
}
