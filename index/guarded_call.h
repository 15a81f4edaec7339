#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include <faiss/impl/FaissException.h>

#include "base/status.h"

namespace tessera::index {

/// Keeps OpenMP regions of the calling thread inside that thread. OpenMP keeps this setting per
/// thread, so every thread that enters a library needs it; guarded_call does it.
void use_one_library_thread();

/// The one door to FAISS: calls `function`, which returns Status or Result<T>, and turns what it
/// throws into a Status whose message begins with `name`. Out of memory is kResourceExhausted,
/// anything else kInternal.
template <class Function>
auto guarded_call(const char* name, Function&& function) -> decltype(function()) {
  const auto failure = [name](Code code, const char* what) {
    return Status(code, std::string(name) + ": " + what);
  };
  try {
    use_one_library_thread();
    return std::forward<Function>(function)();
  } catch (const std::bad_alloc&) {
    return failure(Code::kResourceExhausted, "out of memory");
  } catch (const std::length_error&) {
    return failure(Code::kResourceExhausted, "the size is beyond what memory can hold");
  } catch (const faiss::FaissException& exception) {
    return failure(Code::kInternal, exception.what());
  } catch (const std::exception& exception) {
    return failure(Code::kInternal, exception.what());
  } catch (...) {
    return failure(Code::kInternal, "an unknown exception");
  }
}

}  // namespace tessera::index
