#pragma once

#include <string>
#include <utility>

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>

namespace tessera {

/// Why an operation failed. Closed: a new code must be given an HTTP status in api/envelope.cpp,
/// where the switch has no default. Callers decide by the code, never by the text.
enum class Code : unsigned char {
  kOk,
  kInvalidArgument,  ///< The values are wrong for this collection ("Wrong input").
  kBadRequest,       ///< The request makes no sense as a whole ("Bad request").
  kFormat,           ///< The body or a parameter does not parse or has a wrong type.
  kValidation,       ///< It parses, but a value breaks a limit; the message carries the paths.
  kNotFound,
  kAlreadyExists,
  kForbidden,
  kTimeout,
  kCancelled,
  kResourceExhausted,  ///< A queue, connection or memory limit; retry later.
  kUnavailable,        ///< Starting, stopping or failed storage; retry later.
  kDiskFull,
  kUnimplemented,  ///< A known part of the dialect that this build does not have.
  kCorrupt,        ///< Stored bytes fail their check.
  kInternal,       ///< Our own bug, or a library's.
};

/// Name of a code in lower_snake_case, for logs and metrics.
[[nodiscard]] const char* code_name(Code code);

/// Success, or a code with a sentence that says what is wrong and names the field or file.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  [[nodiscard]] bool ok() const { return code_ == Code::kOk; }
  [[nodiscard]] Code code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }
  /// "code: message", for logs.
  [[nodiscard]] std::string to_string() const;

  /// The same status with "context: " in front of its message.
  [[nodiscard]] Status with_context(const std::string& context) const;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

inline Status ok_status() {
  return {};
}

/// Status reaching `value()` of a failed Result is our own bug; boost calls this.
[[noreturn]] void throw_exception_from_error(const Status& status, const boost::source_location&);

/// A value or the Status that explains its absence.
template <class T>
class [[nodiscard]] Result : public boost::system::result<T, Status> {
 public:
  using boost::system::result<T, Status>::result;
};

#define TESSERA_CONCAT_INNER(a, b) a##b
#define TESSERA_CONCAT(a, b) TESSERA_CONCAT_INNER(a, b)

/// Returns the Status of `expression` from the enclosing function unless it is ok. The name inside
/// is the line's own, so that it cannot hide one that the expression uses.
#define TESSERA_RETURN_IF_ERROR(expression) \
  TESSERA_RETURN_IF_ERROR_IMPL(TESSERA_CONCAT(returned_status_, __LINE__), expression)
#define TESSERA_RETURN_IF_ERROR_IMPL(name, expression)                  \
  do {                                                                  \
    if (::tessera::Status name = (expression); !name.ok()) return name; \
  } while (false)

/// `TESSERA_ASSIGN_OR_RETURN(auto x, f())`: x is f()'s value, or f()'s Status is returned.
#define TESSERA_ASSIGN_OR_RETURN(declaration, expression) \
  TESSERA_ASSIGN_OR_RETURN_IMPL(TESSERA_CONCAT(result_, __LINE__), declaration, expression)
#define TESSERA_ASSIGN_OR_RETURN_IMPL(temporary, declaration, expression) \
  auto temporary = (expression);                                          \
  if (temporary.has_error()) return temporary.error();                    \
  declaration = std::move(*temporary)

/// Ends the process with a message: an invariant of our own code is broken. Never for input.
#define TESSERA_ASSERT(condition)                                                  \
  do {                                                                             \
    if (!(condition)) ::tessera::assertion_failed(#condition, __FILE__, __LINE__); \
  } while (false)
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace tessera
