#include "base/name_uuid.h"

#include <catch2/catch.hpp>

namespace tessera {

// Made by Python: uuid.uuid5(uuid.UUID("1b8e2d6c-4f53-4b0a-9d37-7c215e90af64"), name).
TEST_CASE("name uuid: names have the UUIDs of RFC 9562, version 5", "[unit]") {
  REQUIRE(name_uuid("u-42").to_string() == "504ccf16-1cd2-5b77-8dd0-9a7cbc528f1c");
  REQUIRE(name_uuid("").to_string() == "15f7e69a-0408-5484-87bf-0c03ac78d357");
  REQUIRE(name_uuid("Zoë \U0001F600").to_string() == "c9341f14-80db-54f1-8d77-7cbe7ba800fd");
  REQUIRE(name_uuid(std::string(128, 'x')).to_string() == "8f02692b-811c-5456-b7c6-ef80b86e7f1b");
}

}  // namespace tessera
