#include "tests/datasets/dataset.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>

#include <zlib.h>

#include "tests/datasets/source_tree.h"

namespace tessera::testing {
namespace {

Status bad_file(const std::filesystem::path& path, const std::string& what) {
  return {Code::kFormat, path.string() + ": " + what};
}

float half_to_float(std::uint16_t half) {
  const int exponent = half >> 10 & 0x1f;
  const int mantissa = half & 0x3ff;
  float magnitude = 0;
  if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  } else if (exponent == 31) {
    magnitude = mantissa == 0 ? std::numeric_limits<float>::infinity()
                              : std::numeric_limits<float>::quiet_NaN();
  } else {
    magnitude = std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  }
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

/// What the header of a .npy file says.
struct NpyHeader {
  bool is_half = false;
  std::size_t row_count = 0;
  std::size_t dim = 0;
};

Result<NpyHeader> parse_npy_header(const std::filesystem::path& path, const std::string& text) {
  NpyHeader header;
  if (text.find("'<f2'") != std::string::npos) {
    header.is_half = true;
  } else if (text.find("'<f4'") == std::string::npos) {
    return bad_file(path, "descr: neither <f2 nor <f4");
  }
  if (text.find("'fortran_order': False") == std::string::npos) {
    return bad_file(path, "fortran_order: only C order is read");
  }
  const std::size_t shape = text.find("'shape': (");
  if (shape == std::string::npos ||
      std::sscanf(text.c_str() + shape, "'shape': (%zu, %zu)", &header.row_count, &header.dim) !=
          2 ||
      header.dim == 0) {
    return bad_file(path, "shape: not two-dimensional");
  }
  return header;
}

/// Reads big-endian 32-bit numbers and bytes of a gzipped or plain file.
class GzipReader {
 public:
  explicit GzipReader(const std::filesystem::path& path)
      : file_(gzopen(path.c_str(), "rb"), &gzclose) {}
  [[nodiscard]] bool is_open() const { return file_ != nullptr; }
  bool read(void* to, std::size_t bytes) {
    return gzread(file_.get(), to, static_cast<unsigned>(bytes)) == static_cast<int>(bytes);
  }
  bool read(std::uint32_t& number) {
    std::array<std::uint8_t, 4> bytes = {};
    if (!read(bytes.data(), bytes.size())) return false;
    number = static_cast<std::uint32_t>(bytes[0]) << 24 |
             static_cast<std::uint32_t>(bytes[1]) << 16 |
             static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3];
    return true;
  }

 private:
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

/// Normal deviates by Box and Muller's method: the library's distributions differ between
/// implementations, these rows do not.
class NormalSource {
 public:
  explicit NormalSource(std::uint64_t seed) : random_(seed) {}
  float next() {
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return static_cast<float>(radius * std::cos(2 * 3.14159265358979323846 * uniform()));
  }
  std::size_t below(std::size_t limit) { return random_() % limit; }

 private:
  /// In (0, 1].
  double uniform() { return (static_cast<double>(random_() >> 11) + 1) / 9007199254740992.0; }
  std::mt19937_64 random_;
};

}  // namespace

std::optional<std::filesystem::path> data_directory() {
  const char* named = std::getenv("TESSERA_DATA_DIR");
  const std::filesystem::path path =
      named != nullptr ? std::filesystem::path(named) : source_tree() / ".." / "shared" / "data";
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return std::nullopt;
  return path;
}

Result<Matrix> read_npy(const std::filesystem::path& path, std::size_t row_count_max) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 10> start = {};
  if (!file.read(start.data(), start.size())) return bad_file(path, "cannot be read");
  if (std::memcmp(start.data(), "\x93NUMPY\x01", 7) != 0) {
    return bad_file(path, "is not a .npy file of version 1");
  }
  std::string text(
      static_cast<unsigned char>(start[8]) + 256U * static_cast<unsigned char>(start[9]), '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(text.size()))) {
    return bad_file(path, "ends within its header");
  }
  TESSERA_ASSIGN_OR_RETURN(const NpyHeader header, parse_npy_header(path, text));
  Matrix matrix;
  matrix.row_count = std::min(header.row_count, row_count_max);
  matrix.dim = header.dim;
  const std::size_t value_bytes = header.is_half ? sizeof(std::uint16_t) : sizeof(float);
  std::vector<char> line(header.dim * value_bytes);
  for (std::size_t i = 0; i < matrix.row_count; ++i) {
    if (!file.read(line.data(), static_cast<std::streamsize>(line.size()))) {
      return bad_file(path, "ends in row " + std::to_string(i));
    }
    for (std::size_t j = 0; j < header.dim; ++j) {
      if (header.is_half) {
        std::uint16_t half = 0;
        std::memcpy(&half, line.data() + j * value_bytes, value_bytes);
        matrix.values.push_back(half_to_float(half));
      } else {
        float value = 0;
        std::memcpy(&value, line.data() + j * value_bytes, value_bytes);
        matrix.values.push_back(value);
      }
    }
  }
  return matrix;
}

Result<Matrix> read_idx_images(const std::filesystem::path& path, std::size_t row_count_max) {
  constexpr std::uint32_t kUnsignedBytesInThreeDimensions = 0x00000803;
  constexpr std::uint32_t kSideMax = 4096;
  GzipReader file(path);
  std::uint32_t magic = 0, count = 0, height = 0, width = 0;
  if (!file.is_open() || !file.read(magic) || !file.read(count) || !file.read(height) ||
      !file.read(width)) {
    return bad_file(path, "cannot be read");
  }
  if (magic != kUnsignedBytesInThreeDimensions) return bad_file(path, "is not an IDX image file");
  if (height == 0 || height > kSideMax || width == 0 || width > kSideMax) {
    return bad_file(path, "height or width is out of range");
  }
  Matrix matrix;
  matrix.row_count = std::min<std::size_t>(count, row_count_max);
  matrix.dim = static_cast<std::size_t>(height) * width;
  std::vector<std::uint8_t> image(matrix.dim);
  for (std::size_t i = 0; i < matrix.row_count; ++i) {
    if (!file.read(image.data(), image.size())) {
      return bad_file(path, "ends in image " + std::to_string(i));
    }
    matrix.values.insert(matrix.values.end(), image.begin(), image.end());
  }
  return matrix;
}

Matrix clustered_rows(const ClusterShape& shape) {
  NormalSource centre_source(shape.seed);
  std::vector<float> centres(shape.cluster_count * shape.dim);
  for (float& value : centres) value = centre_source.next();
  NormalSource source(shape.seed + 0x9e3779b97f4a7c15ULL * (shape.sample + 1));
  Matrix matrix;
  matrix.row_count = shape.row_count;
  matrix.dim = shape.dim;
  matrix.values.resize(shape.row_count * shape.dim);
  for (std::size_t i = 0; i < shape.row_count; ++i) {
    const float* centre = centres.data() + source.below(shape.cluster_count) * shape.dim;
    double squares = 0;
    for (std::size_t j = 0; j < shape.dim; ++j) {
      const float value = centre[j] + shape.spread * source.next();
      matrix.row(i)[j] = value;
      squares += static_cast<double>(value) * value;
    }
    if (!shape.is_unit) continue;
    for (std::size_t j = 0; j < shape.dim; ++j) {
      matrix.row(i)[j] = static_cast<float>(matrix.row(i)[j] / std::sqrt(squares));
    }
  }
  return matrix;
}

}  // namespace tessera::testing
