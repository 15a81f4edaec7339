#include "tests/datasets/source_tree.h"

namespace tessera::testing {

std::filesystem::path source_tree() {
  return TESSERA_SOURCE_DIR;
}

}  // namespace tessera::testing
