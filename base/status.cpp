#include "base/status.h"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace tessera {

const char* code_name(Code code) {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kInvalidArgument:
      return "invalid_argument";
    case Code::kBadRequest:
      return "bad_request";
    case Code::kFormat:
      return "format";
    case Code::kValidation:
      return "validation";
    case Code::kNotFound:
      return "not_found";
    case Code::kAlreadyExists:
      return "already_exists";
    case Code::kForbidden:
      return "forbidden";
    case Code::kTimeout:
      return "timeout";
    case Code::kCancelled:
      return "cancelled";
    case Code::kResourceExhausted:
      return "resource_exhausted";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kDiskFull:
      return "disk_full";
    case Code::kUnimplemented:
      return "unimplemented";
    case Code::kCorrupt:
      return "corrupt";
    case Code::kInternal:
      return "internal";
  }
  return "unknown";
}

std::string Status::to_string() const {
  return ok() ? "ok" : std::string(code_name(code_)) + ": " + message_;
}

Status Status::with_context(const std::string& context) const {
  return ok() ? *this : Status(code_, context + ": " + message_);
}

void throw_exception_from_error(const Status& status, const boost::source_location&) {
  throw std::logic_error("value() of a failed result: " + status.to_string());
}

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace tessera
