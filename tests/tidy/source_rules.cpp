#include "tests/tidy/source_rules.h"

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace tessera::tidy {
namespace {

using Rooms = std::set<std::string, std::less<>>;

/// Room -> rooms that it may include from, besides itself.
const std::map<std::string, Rooms, std::less<>>& arrows() {
  static const std::map<std::string, Rooms, std::less<>> table = {
      {"base", {}},
      {"config", {"base"}},
      {"storage", {"base"}},
      {"index", {"base"}},
      {"adapter", {"base"}},
      {"retrieval", {"adapter", "index", "base"}},
      {"engine", {"retrieval", "adapter", "index", "storage", "config", "base"}},
      {"api", {"engine", "base"}},
      {"server", {"api", "config", "base"}},
      {"cli", {"storage", "base"}},
  };
  return table;
}

/// Where the program is put together, and so the one file of its room that sees the engine.
constexpr std::string_view kComposition = "server/main.cpp";

/// Prefix of a third-party header -> rooms that may name it. The longest prefix decides.
const std::map<std::string, Rooms, std::less<>>& third_party() {
  static const std::map<std::string, Rooms, std::less<>> table = {
      {"rocksdb/", {"storage"}},
      {"faiss/", {"index"}},
      {"hwy/", {"index", "adapter"}},
      {"roaring/", {"index"}},
      {"omp.h", {"index"}},
      {"cblas.h", {"index", "adapter"}},
      {"boost/asio", {"server", "cli"}},
      {"boost/beast", {"server", "cli"}},
      {"boost/optional.hpp", {"server", "cli"}},
      {"boost/system/error_code.hpp", {"server", "cli"}},
      {"boost/system/result.hpp", {"base"}},
      {"boost/assert/source_location.hpp", {"base"}},
      {"boost/uuid/", {"base"}},
      {"spdlog/", {"base"}},
      {"prometheus/", {"base"}},
      {"toml++/", {"config"}},
      {"simdjson.h", {"api", "engine"}},
      {"nlohmann/", {"api", "engine", "cli", "adapter"}},
      {"CLI/", {"server", "cli"}},
      {"zlib.h", {"cli"}},
      // The operating system's.
      {"sys/", {"base", "storage", "server", "cli", "engine", "index", "config"}},
      {"linux/", {"base", "storage", "server"}},
      {"netinet/", {"server", "cli"}},
      {"arpa/", {"server", "cli"}},
  };
  return table;
}

/// Headers with an ending that are C's or the system's own.
bool is_system_header(std::string_view header) {
  static const Rooms known = {"unistd.h", "fcntl.h",    "errno.h",     "signal.h", "pthread.h",
                              "poll.h",   "sched.h",    "immintrin.h", "cpuid.h",  "arm_neon.h",
                              "time.h",   "dirent.h",   "nmmintrin.h", "malloc.h", "cxxabi.h",
                              "stdlib.h", "execinfo.h", "x86intrin.h", "dlfcn.h",  "stdio.h"};
  return header.find('.') == std::string_view::npos || known.contains(header);
}

struct BannedCall {
  std::regex pattern;
  std::string text;
  /// Rooms (or single files) in which it is allowed.
  std::vector<std::string> allowed_in;
};

const std::vector<BannedCall>& banned_calls() {
  static const std::vector<BannedCall> table = {
      {std::regex(R"(std::(cout|cerr|clog)\b|\b(printf|fprintf|puts|fputs|putchar)\s*\()"),
       "prints: only the command line and main do",
       {"cli/", "server/main.cpp"}},
      {std::regex(R"((^|[^:\w.>])(std::)?s?rand\s*\()"),
       "rand(): use a seeded <random> engine",
       {}},
      {std::regex(R"(\b(u|nano)?sleep\s*\(|\bsleep_(for|until)\s*\()"),
       "sleeps: wait for the event, with a deadline",
       {"cli/"}},
      {std::regex(R"((^|[^\w.>:])::(open(at)?|creat|rename(at)?|unlink|fsync|fdatasync)\s*\()"),
       "raw file call: base/file.h has the one that reports errors and syncs",
       {"base/file.", "storage/"}},
      {std::regex(R"(\bf(re)?open\s*\(|\bstd::o?fstream\b|filesystem::(rename|resize_file)\b)"),
       "raw file call: base/file.h has the one that reports errors and syncs",
       {"base/file.", "storage/", "cli/"}},
      // A private constructor is out of make_unique's reach: new straight into a smart pointer.
      {std::regex(R"(^(?!.*\b(unique|shared)_ptr<.*[({]new\b).*\bnew\s+[A-Za-z_:(])"),
       "new: use std::make_unique or a container",
       {}},
      {std::regex(R"(\bdelete\s*(\[\s*\])?\s+?[A-Za-z_(*])"), "delete: an owner does that", {}},
      {std::regex(R"((std::|(^|[^\w>])::)_?(exit|abort|quick_exit)\s*\(|\b_exit\s*\()"),
       "ends the process: return a Status",
       {"server/main.cpp", "cli/main.cpp"}},
  };
  return table;
}

std::vector<std::string> lines_of(std::string_view content) {
  std::vector<std::string> lines;
  std::istringstream stream{std::string(content)};
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string room_of(std::string_view path) {
  const std::string first(path.substr(0, path.find('/')));
  return arrows().contains(first) && first.size() < path.size() ? first : "";
}

bool ends_with_any(std::string_view path, std::initializer_list<std::string_view> endings) {
  return std::ranges::any_of(endings, [&](std::string_view end) { return path.ends_with(end); });
}

/// Collects the findings of one file.
class Report {
 public:
  explicit Report(std::string_view path) : path_(path) {}
  void add(std::size_t line_index, std::string rule, std::string text) {
    findings_.push_back(
        {path_, static_cast<int>(line_index) + 1, std::move(rule), std::move(text)});
  }
  std::vector<Finding> take() { return std::move(findings_); }

 private:
  std::string path_;
  std::vector<Finding> findings_;
};

void check_own_include(std::string_view path, const std::string& room, const std::string& header,
                       std::size_t line_index, Report& report) {
  const std::string target = room_of(header);
  if (target.empty()) {
    // Tests and benchmarks may also name a file beside them.
    const bool is_test = room.empty() && !header.starts_with("..");
    if (!is_test) {
      report.add(line_index, "arrow", "\"" + header + "\" is in no room: name it from the root");
    }
    return;
  }
  if (room.empty() || target == room || arrows().at(room).contains(target)) return;
  if (path == kComposition && target == "engine") return;
  report.add(line_index, "arrow", room + " must not include from " + target + ": " + header);
}

void check_other_include(const std::string& room, const std::string& header, std::size_t line_index,
                         Report& report) {
  if (room.empty() || is_system_header(header)) return;
  const Rooms* rooms = nullptr;
  std::size_t longest = 0;
  for (const auto& [prefix, allowed] : third_party()) {
    if (header.starts_with(prefix) && prefix.size() > longest) {
      rooms = &allowed;
      longest = prefix.size();
    }
  }
  if (rooms == nullptr) {
    report.add(line_index, "third-party", "<" + header + "> is in no room's list");
  } else if (!rooms->contains(room)) {
    report.add(line_index, "third-party", "<" + header + "> must not be named in " + room);
  }
}

void check_code(std::string_view path, std::string_view content, Report& report) {
  static const std::regex include(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"])re");
  const std::string room = room_of(path);
  const std::vector<std::string> raw = lines_of(content);
  const std::vector<std::string> code = lines_of(code_only(content));
  for (std::size_t i = 0; i < raw.size(); ++i) {
    std::smatch match;
    // The path of an include is a literal, so it is read from the raw line; that the line is no
    // comment is seen in the stripped one.
    if (code[i].find("include") != std::string::npos && std::regex_search(raw[i], match, include)) {
      if (match[1] == "\"") {
        check_own_include(path, room, match[2], i, report);
      } else {
        check_other_include(room, match[2], i, report);
      }
      continue;
    }
    if (room.empty()) continue;
    for (const BannedCall& call : banned_calls()) {
      const bool is_allowed = std::ranges::any_of(
          call.allowed_in, [&](const std::string& place) { return path.starts_with(place); });
      if (!is_allowed && std::regex_search(code[i], call.pattern)) {
        report.add(i, "banned-call", call.text);
      }
    }
  }
  if (path.ends_with(".h")) {
    const auto first = std::ranges::find_if(
        code, [](const std::string& line) { return line.find_first_not_of(' ') != line.npos; });
    if (first == code.end() || !first->starts_with("#pragma once")) {
      report.add(0, "layout", "a header begins with #pragma once");
    }
  }
}

void check_words(const std::string& line, std::size_t line_index, Report& report) {
  // Written in two parts, so that this file does not hold them.
  static const std::vector<std::string> places = {
      "/wo"
      "rk/",
      "/ro"
      "ot/",
      "/ho"
      "me/",
      "shared/des"
      "ign"};
  static const std::regex todo(
      "\\b(TO"
      "DO|FIX"
      "ME|X"
      "XX)\\b(\\(#[0-9]+\\))?");
  for (const std::string& place : places) {
    if (line.find(place) != std::string::npos) {
      report.add(line_index, "words", "names a place of one machine: " + place);
    }
  }
  for (std::sregex_iterator match(line.begin(), line.end(), todo), end; match != end; ++match) {
    if (!(*match)[2].matched) {
      report.add(line_index, "words", (*match)[1].str() + " without a number, as in (#12)");
    }
  }
}

}  // namespace

std::string code_only(std::string_view content) {
  std::string code(content);
  const auto blank = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < std::min(end, code.size()); ++i) {
      if (code[i] != '\n') code[i] = ' ';
    }
  };
  const auto after = [&](std::string_view text, std::size_t from) {
    const std::size_t at = content.find(text, from);
    return at == std::string_view::npos ? content.size() : at + text.size();
  };
  const auto is_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
  };
  for (std::size_t i = 0; i < content.size();) {
    const std::string_view rest = content.substr(i);
    std::size_t end = i + 1;
    if (rest.starts_with("//")) {
      end = std::min(content.find('\n', i), content.size());
      blank(i, end);
    } else if (rest.starts_with("/*")) {
      end = after("*/", i + 2);
      blank(i, end);
    } else if (rest.starts_with("R\"")) {
      const std::size_t open = std::min(content.find('(', i), content.size());
      const std::string close =
          ")" + std::string(content.substr(i + 2, open - std::min(open, i + 2))) + "\"";
      end = after(close, open);
      blank(i + 2, end - 1);
    } else if (content[i] == '"' || (content[i] == '\'' && (i == 0 || !is_word(content[i - 1])))) {
      // A quote after a digit separates digits, as in 1'000.
      while (end < content.size() && content[end] != content[i] && content[end] != '\n') {
        end += content[end] == '\\' ? 2 : 1;
      }
      blank(i + 1, end);
      ++end;
    }
    i = end;
  }
  return code;
}

std::vector<Finding> check_file(std::string_view path, std::string_view content) {
  Report report(path);
  const bool is_cpp = ends_with_any(path, {".h", ".cpp", ".inc"});
  const bool is_program = is_cpp || path.ends_with(".py") || content.starts_with("#!");
  const std::vector<std::string> lines = lines_of(content);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    if (line.find('\t') != std::string::npos) report.add(i, "layout", "tab");
    if (line.find('\r') != std::string::npos) report.add(i, "layout", "carriage return");
    if (line.ends_with(' ')) report.add(i, "layout", "space at the end of the line");
    // Columns are characters: bytes that continue a UTF-8 sequence do not count.
    const auto columns = std::ranges::count_if(
        line, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
    if (is_program && columns > 100) {
      report.add(i, "layout", std::to_string(columns) + " columns, 100 at most");
    }
    check_words(line, i, report);
  }
  if (!content.empty() && !content.ends_with('\n')) {
    report.add(lines.size() - 1, "layout", "no newline at the end");
  }
  if (is_cpp) check_code(path, content, report);
  return report.take();
}

std::vector<Finding> check_room_build(std::string_view path, std::string_view content) {
  static const std::regex declaration(R"(tessera_room\((\w+)\s*(?:USES((?:\s+[a-z_]+)*))?)");
  Report report(path);
  const std::string room = room_of(path);
  std::match_results<std::string_view::const_iterator> match;
  if (!std::regex_search(content.begin(), content.end(), match, declaration)) {
    report.add(0, "arrow", "declares no room");
    return report.take();
  }
  if (match[1].str() != room) report.add(0, "arrow", "declares another room: " + match[1].str());
  std::istringstream used{match[2].str()};
  for (std::string other; used >> other;) {
    if (!room.empty() && !arrows().at(room).contains(other)) {
      report.add(0, "arrow", room + " must not use " + other);
    }
  }
  return report.take();
}

std::vector<Finding> apply(const std::vector<Exception>& exceptions,
                           std::vector<Finding> findings) {
  for (const Exception& exception : exceptions) {
    const auto allowed = std::ranges::remove_if(findings, [&](const Finding& finding) {
      return finding.file == exception.file && finding.rule == exception.rule &&
             finding.text.find(exception.text) != std::string::npos;
    });
    const bool is_stale = allowed.empty();
    findings.erase(allowed.begin(), allowed.end());
    if (is_stale) {
      findings.push_back({exception.file, 0, "stale-exception",
                          exception.rule + " '" + exception.text + "' is no longer broken here"});
    }
  }
  return findings;
}

}  // namespace tessera::tidy
