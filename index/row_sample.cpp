#include "index/row_sample.h"

#include <algorithm>
#include <random>

namespace tessera::index {

std::vector<std::uint32_t> sample_row_ids(std::size_t row_count, std::size_t count,
                                          std::uint64_t seed) {
  count = std::min(count, row_count);
  std::vector<std::uint32_t> ids;
  ids.reserve(count);
  // Selection sampling (Knuth, The Art of Computer Programming, volume 2, 3.4.2, algorithm S). The
  // remainder of a 64-bit number by at most 2^32 is as good as uniform.
  std::mt19937_64 random(seed);
  for (std::size_t row = 0; ids.size() < count; ++row) {
    if (random() % (row_count - row) < count - ids.size()) {
      ids.push_back(static_cast<std::uint32_t>(row));
    }
  }
  return ids;
}

std::vector<float> gather_rows(VectorSpan rows, const std::vector<std::uint32_t>& ids) {
  std::vector<float> values(ids.size() * rows.dim);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    copy_rows(rows, ids[i], 1, values.data() + i * rows.dim);
  }
  return values;
}

}  // namespace tessera::index
