#include "storage/rocksdb_status.h"

namespace tessera::storage {
namespace {

/// Some subcodes say more than the code they come with.
Code code_of_subcode(rocksdb::Status::SubCode subcode, Code code) {
  switch (subcode) {
    case rocksdb::Status::kNoSpace:
    case rocksdb::Status::kSpaceLimit:
      return Code::kDiskFull;
    case rocksdb::Status::kMemoryLimit:
      return Code::kResourceExhausted;
    case rocksdb::Status::kPathNotFound:
      return Code::kNotFound;
    case rocksdb::Status::kNone:
    case rocksdb::Status::kMutexTimeout:
    case rocksdb::Status::kLockTimeout:
    case rocksdb::Status::kLockLimit:
    case rocksdb::Status::kDeadlock:
    case rocksdb::Status::kStaleFile:
    case rocksdb::Status::KMergeOperandsInsufficientCapacity:
    case rocksdb::Status::kManualCompactionPaused:
    case rocksdb::Status::kOverwritten:
    case rocksdb::Status::kTxnNotPrepared:
    case rocksdb::Status::kIOFenced:
    case rocksdb::Status::kMaxSubCode:
      return code;
  }
  return code;
}

Code code_of(rocksdb::Status::Code code) {
  switch (code) {
    case rocksdb::Status::kOk:
      return Code::kOk;
    case rocksdb::Status::kNotFound:
      return Code::kNotFound;
    case rocksdb::Status::kCorruption:
      return Code::kCorrupt;
    case rocksdb::Status::kIOError:
    case rocksdb::Status::kShutdownInProgress:
    case rocksdb::Status::kTimedOut:
    case rocksdb::Status::kAborted:
    case rocksdb::Status::kBusy:
    case rocksdb::Status::kTryAgain:
      return Code::kUnavailable;
    case rocksdb::Status::kNotSupported:
    case rocksdb::Status::kInvalidArgument:
    case rocksdb::Status::kMergeInProgress:
    case rocksdb::Status::kIncomplete:
    case rocksdb::Status::kExpired:
    case rocksdb::Status::kCompactionTooLarge:
    case rocksdb::Status::kColumnFamilyDropped:
    case rocksdb::Status::kMaxCode:
      return Code::kInternal;
  }
  return Code::kInternal;
}

}  // namespace

Status status_of(const rocksdb::Status& status, const std::string& context) {
  if (status.ok()) return {};
  return {code_of_subcode(status.subcode(), code_of(status.code())),
          context + ": " + status.ToString()};
}

}  // namespace tessera::storage
