#pragma once

#include <exception>
#include <new>
#include <string>
#include <utility>

#include <rocksdb/status.h>

#include "base/status.h"

namespace tessera::storage {

/// The one place where RocksDB's answers become ours, decided by its codes.
[[nodiscard]] Status status_of(const rocksdb::Status& status, const std::string& context);

/// Calls into RocksDB, which may run out of memory; no exception leaves this room.
template <class Call>
[[nodiscard]] auto guarded_call(const char* context, Call&& call) -> decltype(call()) {
  try {
    return std::forward<Call>(call)();
  } catch (const std::bad_alloc&) {
    return Status(Code::kResourceExhausted, std::string(context) + ": out of memory");
  } catch (const std::exception& failure) {
    return Status(Code::kInternal, std::string(context) + ": " + failure.what());
  }
}

}  // namespace tessera::storage
