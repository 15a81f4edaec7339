#pragma once

#include <filesystem>

namespace tessera::testing {

/// The root of the source tree that the program was built from. Its path is compiled into one file
/// alone, so that a compiler cache serves every other file to another checkout.
std::filesystem::path source_tree();

}  // namespace tessera::testing
