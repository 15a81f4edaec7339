#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "server/handler.h"

namespace tessera::server {

/// Answers while the database is being opened: the process is alive, nothing is ready.
Handler starting_handler(Refuse refuse);

/// Raises the limit of open files to the most that is allowed. The limit then in force.
std::uint64_t raise_open_file_limit();

/// Puts the port into a file that is complete whenever it exists.
Status write_port_file(const std::string& path, std::uint16_t port);

}  // namespace tessera::server
