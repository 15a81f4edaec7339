// What libFuzzer calls before anything else: `<target> --write-seeds=FOLDER` writes the target's
// seeds into the folder and ends.

#include "tests/fuzz/seeds.h"

#include <cstdlib>
#include <fstream>
#include <iostream>

#include "base/log.h"

namespace tessera::fuzz {
namespace {

constexpr std::string_view kWriteSeeds = "--write-seeds=";

bool write_seeds(const std::string& folder) {
  const std::vector<std::string> texts = seeds();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string path = folder + "/seed-" + std::to_string(i);
    std::ofstream file(path, std::ios::binary);
    file << texts[i];
    if (!file.flush()) {
      std::cerr << path << ": cannot be written\n";
      return false;
    }
  }
  return true;
}

}  // namespace
}  // namespace tessera::fuzz

extern "C" int LLVMFuzzerInitialize(int* argument_count, char*** arguments) {
  tessera::log::configure(tessera::log::Level::kOff, tessera::log::Format::kText);
  for (int i = 1; i < *argument_count; ++i) {
    const std::string_view argument = (*arguments)[i];
    if (!argument.starts_with(tessera::fuzz::kWriteSeeds)) continue;
    const std::string folder(argument.substr(tessera::fuzz::kWriteSeeds.size()));
    std::exit(tessera::fuzz::write_seeds(folder) ? 0 : 1);
  }
  return 0;
}
