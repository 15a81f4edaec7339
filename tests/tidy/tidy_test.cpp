#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <catch2/catch.hpp>

#include "tests/datasets/source_tree.h"
#include "tests/tidy/source_rules.h"

namespace tessera::tidy {
namespace {

namespace fs = std::filesystem;

const fs::path& root() {
  static const fs::path path = testing::source_tree();
  return path;
}

const std::vector<Exception>& exceptions() {
  static const std::vector<Exception> list = {
      {"base/status.cpp", "banned-call", "prints", "a broken invariant is said before the end"},
      {"base/status.cpp", "banned-call", "ends the process", "a broken invariant of our own"},
      {"engine/stable_vector.h", "banned-call", "delete", "owns chunks through atomic pointers"},
  };
  return list;
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

bool is_text(const fs::path& path) {
  static const std::set<std::string> endings = {".h",    ".cpp",   ".inc",     ".py",
                                                ".txt",  ".cmake", ".md",      ".sh",
                                                ".toml", ".json",  ".service", ""};
  return endings.contains(path.extension().string());
}

/// Every text file of the project, relative to the root; nothing that is built or installed.
std::vector<std::string> project_files() {
  static const std::set<std::string> folders = {
      "base", "config", "storage", "index", "adapter", "retrieval", "engine", "api",      "server",
      "cli",  "cmake",  "tests",   "bench", "fuzz",    "scripts",   "docs",   "examples", ".ci"};
  std::vector<std::string> files;
  for (const auto& top : fs::directory_iterator(root())) {
    const std::string name = top.path().filename().string();
    if (top.is_regular_file() && is_text(top.path()) && name != "LICENSE") files.push_back(name);
    if (!top.is_directory() || !folders.contains(name)) continue;
    for (auto entry = fs::recursive_directory_iterator(top.path());
         entry != fs::recursive_directory_iterator(); ++entry) {
      const std::string entry_name = entry->path().filename().string();
      if (entry_name == "__pycache__" || entry_name == "node_modules") {
        entry.disable_recursion_pending();
      } else if (entry->is_regular_file() && is_text(entry->path())) {
        files.push_back(fs::relative(entry->path(), root()).string());
      }
    }
  }
  std::ranges::sort(files);
  return files;
}

std::string show(const std::vector<Finding>& findings) {
  std::ostringstream text;
  for (const Finding& finding : findings) {
    text << finding.file << ':' << finding.line << ": [" << finding.rule << "] " << finding.text
         << '\n';
  }
  return text.str();
}

/// The rules that a made-up file breaks, each once, in order.
std::vector<std::string> broken(std::string_view path, std::string_view content) {
  std::vector<std::string> rules;
  for (const Finding& finding : check_file(path, content)) rules.push_back(finding.rule);
  return rules;
}

using Rules = std::vector<std::string>;

}  // namespace

TEST_CASE("tidy: the whole project keeps its rules") {
  // The text of a licence is left as it came.
  const std::set<std::string> foreign = {"examples/movielens/README.movielens.txt"};
  std::vector<Finding> findings;
  std::size_t room_count = 0;
  for (const std::string& file : project_files()) {
    if (foreign.contains(file)) continue;
    const std::string content = read(root() / file);
    std::ranges::move(check_file(file, content), std::back_inserter(findings));
    if (file.ends_with("CMakeLists.txt") && content.find("tessera_room(") != std::string::npos) {
      ++room_count;
      std::ranges::move(check_room_build(file, content), std::back_inserter(findings));
    }
  }
  findings = apply(exceptions(), std::move(findings));
  INFO(show(findings));
  CHECK(findings.empty());
  CHECK(room_count == 10);
}

TEST_CASE("tidy: an include against the arrows is found") {
  CHECK(broken("storage/x.cpp", "#include \"index/kernels.h\"\n") == Rules{"arrow"});
  CHECK(broken("index/x.cpp", "#include \"storage/store.h\"\n") == Rules{"arrow"});
  CHECK(broken("base/x.cpp", "#  include \"config/settings.h\"\n") == Rules{"arrow"});
  CHECK(broken("api/x.cpp", "#include \"index/kernels.h\"\n") == Rules{"arrow"});
  CHECK(broken("server/x.cpp", "#include \"engine/database.h\"\n") == Rules{"arrow"});
  CHECK(broken("cli/x.cpp", "#include \"engine/database.h\"\n") == Rules{"arrow"});
  CHECK(broken("engine/x.cpp", "#include \"api/http.h\"\n") == Rules{"arrow"});
}

TEST_CASE("tidy: an include that does not start at the root is found") {
  CHECK(broken("index/x.cpp", "#include \"kernels.h\"\n") == Rules{"arrow"});
  CHECK(broken("index/x.cpp", "#include \"../storage/store.h\"\n") == Rules{"arrow"});
  CHECK(broken("index/x.cpp", "#include \"tests/support/dataset.h\"\n") == Rules{"arrow"});
}

TEST_CASE("tidy: includes along the arrows are fine") {
  CHECK(broken("engine/x.cpp", "#include <vector>\n#include \"storage/store.h\"\n").empty());
  CHECK(broken("retrieval/x.cpp", "#include \"index/clustering.h\"\n").empty());
  CHECK(broken("server/main.cpp", "#include \"engine/database.h\"\n").empty());
  CHECK(broken("tests/index/x.cpp", "#include \"storage/store.h\"\n").empty());
  CHECK(broken("tests/index/x.cpp", "#include \"search_oracle.h\"\n").empty());
  CHECK(broken("storage/x.cpp", "// #include \"index/kernels.h\"\n").empty());
}

TEST_CASE("tidy: a third-party header outside its room is found") {
  CHECK(broken("engine/x.cpp", "#include <rocksdb/db.h>\n") == Rules{"third-party"});
  CHECK(broken("engine/x.cpp", "#include <faiss/Index.h>\n") == Rules{"third-party"});
  CHECK(broken("retrieval/x.cpp", "#include <hwy/highway.h>\n") == Rules{"third-party"});
  CHECK(broken("engine/x.cpp", "#include <roaring/roaring.hh>\n") == Rules{"third-party"});
  CHECK(broken("api/x.cpp", "#include <boost/beast/http.hpp>\n") == Rules{"third-party"});
  CHECK(broken("api/x.cpp", "#include <boost/asio.hpp>\n") == Rules{"third-party"});
  CHECK(broken("server/x.cpp", "#include <nlohmann/json.hpp>\n") == Rules{"third-party"});
  CHECK(broken("cli/x.cpp", "#include <simdjson.h>\n") == Rules{"third-party"});
  CHECK(broken("server/x.cpp", "#include <toml++/toml.h>\n") == Rules{"third-party"});
  CHECK(broken("engine/x.cpp", "#include <spdlog/spdlog.h>\n") == Rules{"third-party"});
  CHECK(broken("api/x.cpp", "#include <prometheus/counter.h>\n") == Rules{"third-party"});
  CHECK(broken("storage/x.cpp", "#include <boost/system/result.hpp>\n") == Rules{"third-party"});
  CHECK(broken("base/x.cpp", "#include <some/new_library.h>\n") == Rules{"third-party"});
  CHECK(broken("storage/x.cpp", "#include <rocksdb/db.h>\n").empty());
  CHECK(broken("tests/storage/x.cpp", "#include <catch2/catch.hpp>\n").empty());
}

TEST_CASE("tidy: a banned call is found in code, not in comments or literals") {
  const Rules banned{"banned-call"};
  CHECK(broken("engine/x.cpp", "  std::cout << 1;\n") == banned);
  CHECK(broken("engine/x.cpp", "  printf(\"x\");\n") == banned);
  CHECK(broken("index/x.cpp", "  int a = rand();\n") == banned);
  CHECK(broken("index/x.cpp", "  int a = std::rand();\n") == banned);
  CHECK(broken("engine/x.cpp", "  sleep(1);\n") == banned);
  CHECK(broken("engine/x.cpp", "  std::this_thread::sleep_for(1s);\n") == banned);
  CHECK(broken("engine/x.cpp", "  int fd = ::open(name, 0);\n") == banned);
  CHECK(broken("base/log.cpp", "  ::rename(a, b);\n") == banned);
  CHECK(broken("engine/x.cpp", "  std::filesystem::rename(a, b);\n") == banned);
  CHECK(broken("server/x.cpp", "  ::fsync(fd);\n") == banned);
  CHECK(broken("engine/x.cpp", "  std::ofstream file(name);\n") == banned);
  CHECK(broken("engine/x.cpp", "  auto* p = new Thing(1);\n") == banned);
  CHECK(broken("engine/x.cpp", "  delete thing;\n") == banned);
  CHECK(broken("api/x.cpp", "  std::abort();\n") == banned);
  CHECK(broken("api/x.cpp", "  ::exit(1);\n") == banned);
  CHECK(broken("api/x.cpp", "  _exit(1);\n") == banned);

  CHECK(broken("cli/x.cpp", "  std::cout << 1;\n").empty());
  CHECK(broken("base/file.cpp", "  ::fsync(fd);\n").empty());
  CHECK(broken("storage/x.cpp", "  ::rename(a, b);\n").empty());
  CHECK(broken("engine/x.cpp", "  // sleep(1), new words; delete it\n").empty());
  CHECK(broken("engine/x.cpp", "  /* rand()\n     new Thing */ f(\"printf(1)\");\n").empty());
  CHECK(broken("engine/x.cpp", "  auto s = R\"x(\" ::open( )x\"; auto c = '\"';\n").empty());
  CHECK(broken("engine/x.cpp", "  std::unique_ptr<A> a(new A(1));\n").empty());
  CHECK(
      broken("engine/x.cpp", "  virtual void abort() = 0; peer->abort(); app.exit(e);\n").empty());
  CHECK(broken("engine/x.cpp", "  Thing(const Thing&) = delete;\n").empty());
  CHECK(broken("engine/x.cpp", "  Store::open(path); random_(); brand(1);\n").empty());
  CHECK(broken("engine/x.cpp", "  auto n = 1'000; std::cout << n; n = 2'000;\n") == banned);
  CHECK(broken("tests/engine/x.cpp", "  std::ofstream file(name);\n").empty());
}

TEST_CASE("tidy: tabs, long lines, blanks at the end and a missing pragma are found") {
  const Rules layout{"layout"};
  CHECK(broken("base/x.cpp", "\tint a;\n") == layout);
  CHECK(broken("base/x.cpp", "int a; \n") == layout);
  CHECK(broken("base/x.cpp", "int a;\r\n") == layout);
  CHECK(broken("base/x.cpp", "int a;") == layout);
  CHECK(broken("base/x.cpp", "//" + std::string(99, 'x') + "\n") == layout);
  CHECK(broken("scripts/x.py", "#" + std::string(100, 'x') + "\n") == layout);
  CHECK(broken("base/x.h", "#include <vector>\n#pragma once\n") == layout);
  CHECK(broken("base/x.h", "") == layout);

  CHECK(broken("base/x.cpp", "//" + std::string(98, 'x') + "\n").empty());
  std::string accents = "//";
  for (int i = 0; i < 98; ++i) accents += "\xC3\xA9";
  CHECK(broken("base/x.cpp", accents + "\n").empty());
  CHECK(broken("docs/x.md", std::string(500, 'x') + "\n").empty());
  CHECK(broken("base/x.h", "// What it is.\n#pragma once\n").empty());
}

TEST_CASE("tidy: paths of one machine and open ends without a number are found") {
  const Rules words{"words"};
  CHECK(broken("docs/x.md", std::string("see /wo") + "rk/main\n") == words);
  CHECK(broken("scripts/x.py", std::string("a = '/ro") + "ot/x'\n") == words);
  CHECK(broken("base/x.cpp", std::string("// TO") + "DO: later\n") == words);
  CHECK(broken("base/x.cpp", std::string("// TO") + "DO(#12): later\n").empty());
}

TEST_CASE("tidy: a room's build may not use a room outside the table") {
  CHECK(check_room_build("index/CMakeLists.txt", "tessera_room(index USES base)\n").empty());
  CHECK(check_room_build("base/CMakeLists.txt", "tessera_room(base LINKS a::b)\n").empty());
  CHECK(
      check_room_build("index/CMakeLists.txt", "tessera_room(index USES storage base)\n").size() ==
      1);
  CHECK(check_room_build("index/CMakeLists.txt", "tessera_room(api USES base)\n").size() == 1);
  CHECK(check_room_build("index/CMakeLists.txt", "add_library(index x.cpp)\n").size() == 1);
}

TEST_CASE("tidy: an exception hides its finding, and is itself a finding once it is not needed") {
  const std::vector<Exception> allow = {{"engine/x.cpp", "banned-call", "sleeps", "because"}};
  const auto findings = check_file("engine/x.cpp", "  sleep(1);\n");
  REQUIRE(findings.size() == 1);
  CHECK(apply(allow, findings).empty());
  const auto stale = apply(allow, {});
  REQUIRE(stale.size() == 1);
  CHECK(stale[0].rule == "stale-exception");
  CHECK(apply(allow, check_file("engine/y.cpp", "  sleep(1);\n")).size() == 2);
}

}  // namespace tessera::tidy
