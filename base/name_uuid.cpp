#include "base/name_uuid.h"

#include <algorithm>
#include <array>

#include <boost/uuid/name_generator_sha1.hpp>
#include <boost/uuid/uuid.hpp>

namespace tessera {
namespace {

constexpr boost::uuids::uuid kNamespace = {{0x1b, 0x8e, 0x2d, 0x6c, 0x4f, 0x53, 0x4b, 0x0a, 0x9d,
                                            0x37, 0x7c, 0x21, 0x5e, 0x90, 0xaf, 0x64}};

}  // namespace

PointId name_uuid(std::string_view name) {
  const boost::uuids::name_generator_sha1 generate(kNamespace);
  const boost::uuids::uuid made = generate(name.data(), name.size());
  std::array<std::uint8_t, 16> bytes{};
  std::copy(made.begin(), made.end(), bytes.begin());
  return PointId::from_uuid(bytes);
}

}  // namespace tessera
