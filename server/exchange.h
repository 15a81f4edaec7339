#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/optional.hpp>
#include <boost/system/error_code.hpp>

#include "api/http.h"
#include "base/cancel.h"
#include "server/request_body.h"

namespace tessera::server {

/// Beast's view of RequestBody.
struct BodyFormat {
  using value_type = RequestBody;

  class reader {
   public:
    template <bool is_request, class Fields>
    reader(boost::beast::http::header<is_request, Fields>&, value_type& body) : body_(body) {}

    void init(const boost::optional<std::uint64_t>&, boost::system::error_code& ec) { ec = {}; }
    template <class ConstBufferSequence>
    std::size_t put(const ConstBufferSequence& buffers, boost::system::error_code& ec) {
      std::size_t count = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers); ++it) {
        const boost::asio::const_buffer part = *it;
        if (!body_.append(static_cast<const char*>(part.data()), part.size())) {
          ec = make_error_code(boost::system::errc::not_enough_memory);
          return count;
        }
        count += part.size();
      }
      ec = {};
      return count;
    }
    void finish(boost::system::error_code& ec) { ec = {}; }

   private:
    value_type& body_;
  };
};

/// One request and its answer. A worker has it between submission and `is_answered`, the session's
/// strand at all other times; `cancel` belongs to both.
struct Exchange {
  using Clock = std::chrono::steady_clock;

  boost::beast::http::request_parser<BodyFormat> parser;
  std::optional<CancelToken> cancel;
  api::HttpRequest request;
  api::HttpResponse response;
  Clock::time_point begin;  ///< The request had come in full.
  bool is_answered = false;
};

}  // namespace tessera::server
