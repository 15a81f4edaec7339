// A configuration file -> settings. Errors are the file's; what was accepted, written out as the
// daemon shows it and loaded again, is the same.

#include <fstream>
#include <sstream>

#include "config/settings.h"
#include "tests/datasets/source_tree.h"
#include "tests/fuzz/seeds.h"
#include "tests/support/temporary_directory.h"

namespace tessera::fuzz {
namespace {

Result<config::Settings> load_text(std::string_view text) {
  static const test::TemporaryDirectory directory;
  const std::string path = directory.file("tessera.toml");
  std::ofstream(path, std::ios::binary) << text;
  return config::load({.file = path, .environment = {}, .flags = {}});
}

/// All settings as a file.
std::string file_of(const config::Settings& settings) {
  std::string text;
  std::string section;
  for (const config::SettingInfo& info : config::describe(settings)) {
    const std::size_t dot = info.path.find('.');
    if (info.path.substr(0, dot) != section) {
      section = info.path.substr(0, dot);
      text += "[" + section + "]\n";
    }
    text += info.path.substr(dot + 1) + " = " + info.value + "\n";
  }
  return text;
}

void check_settings(std::string_view text) {
  const Result<config::Settings> settings = load_text(text);
  if (settings.has_error()) {
    TESSERA_ASSERT(settings.error().code() == Code::kInvalidArgument);
    TESSERA_ASSERT(!settings.error().message().empty());
    return;
  }
  const std::string shown = file_of(*settings);
  const Result<config::Settings> again = load_text(shown);
  TESSERA_ASSERT(again.has_value());
  TESSERA_ASSERT(file_of(*again) == shown);
}

}  // namespace

std::vector<std::string> seeds() {
  std::ifstream file(testing::source_tree() / "config/tessera.toml");
  TESSERA_ASSERT(file.is_open());
  std::ostringstream shipped;
  shipped << file.rdbuf();
  return {shipped.str(),
          file_of({}),
          "",
          "[server]\nport = \"7\"\nhost = 'é\\u0041'\n",
          "server.body_bytes_max = \"32MiB\"\nlog = {level = \"debug\"}\n",
          "[storage]\npath = \"\"\"a\\\n  b\"\"\"\nfree_bytes_min = 0x10\n"};
}

}  // namespace tessera::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  tessera::fuzz::check_settings(tessera::fuzz::text_of(data, size));
  return 0;
}
