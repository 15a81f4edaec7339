#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/sessions.h"

namespace tessera::engine {

/// Calls of a test on sessions, whose options it keeps: their stored text is a number.
class SessionCaller {
 public:
  virtual ~SessionCaller() = default;
  virtual Sessions& sessions() = 0;

  Result<SessionRoundAnswer> start(StartSession request) {
    request.options_text = std::to_string(options_.size());
    options_.push_back(request.options);
    return sessions().start(std::move(request), false, CancelToken());
  }
  Result<SessionRoundAnswer> next(const SessionId& id, const NextRound& request = {}) {
    return sessions().next(id, request, reader(), false, CancelToken());
  }
  Result<SessionInfo> get(const SessionId& id, bool with_vectors = false) {
    return sessions().get(id, with_vectors, reader(), CancelToken());
  }
  SessionOptionsReader reader() {
    return [this](std::string_view text) -> Result<SessionOptions> {
      return options_.at(std::stoul(std::string(text)));
    };
  }

 private:
  std::vector<SessionOptions> options_;
};

}  // namespace tessera::engine
