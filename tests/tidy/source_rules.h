#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tessera::tidy {

/// One broken rule, with the place where it is broken.
struct Finding {
  std::string file;  ///< Relative to the repository root.
  int line = 0;      ///< From 1.
  std::string rule;  ///< "arrow", "third-party", "banned-call", "layout", "words".
  std::string text;
};

/// A place where a rule is broken on purpose. One that no longer applies is a finding itself.
struct Exception {
  std::string file;
  std::string rule;
  std::string text;  ///< Part of the finding's text.
  std::string reason;
};

/// Everything wrong with one file. `path` is relative to the repository root and decides which
/// rules apply: rooms have arrows, third-party rooms and banned calls; every file has layout and
/// words.
std::vector<Finding> check_file(std::string_view path, std::string_view content);

/// Everything wrong with a room's CMakeLists.txt: it may use the rooms of the table, no others.
std::vector<Finding> check_room_build(std::string_view path, std::string_view content);

/// Removes what `exceptions` allow; adds a finding for each exception that allowed nothing.
std::vector<Finding> apply(const std::vector<Exception>& exceptions, std::vector<Finding> findings);

/// C++ with comments and the insides of literals replaced by spaces; lines stay where they are.
std::string code_only(std::string_view content);

}  // namespace tessera::tidy
