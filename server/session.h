#pragma once

#include <boost/asio/ip/tcp.hpp>

#include "server/core.h"
#include "server/io_threads.h"

namespace tessera::server {

/// Serves the requests of one connection, in their order, until it ends. Returns at once; the
/// session keeps itself alive. `socket` belongs to `thread`, which `core` outlives.
void start_session(boost::asio::ip::tcp::socket socket, IoThread& thread, Core& core);

/// Tells a client in one answer that there are too many connections, and closes.
void start_refusal(boost::asio::ip::tcp::socket socket, Core& core);

}  // namespace tessera::server
