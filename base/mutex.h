#pragma once

#include <mutex>
#include <shared_mutex>

/// Clang's thread-safety annotations; nothing elsewhere.
#if defined(__clang__)
#define TESSERA_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define TESSERA_THREAD_ATTRIBUTE(x)
#endif
#define TESSERA_CAPABILITY(x) TESSERA_THREAD_ATTRIBUTE(capability(x))
#define TESSERA_SCOPED_CAPABILITY TESSERA_THREAD_ATTRIBUTE(scoped_lockable)
#define TESSERA_GUARDED_BY(x) TESSERA_THREAD_ATTRIBUTE(guarded_by(x))
#define TESSERA_REQUIRES(...) TESSERA_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define TESSERA_REQUIRES_SHARED(...) \
  TESSERA_THREAD_ATTRIBUTE(requires_shared_capability(__VA_ARGS__))
#define TESSERA_ACQUIRE(...) TESSERA_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define TESSERA_ACQUIRE_SHARED(...) TESSERA_THREAD_ATTRIBUTE(acquire_shared_capability(__VA_ARGS__))
#define TESSERA_RELEASE(...) TESSERA_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define TESSERA_EXCLUDES(...) TESSERA_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))

namespace tessera {

/// std::shared_mutex that clang's analysis knows. Use Lock and SharedLock to hold it.
class TESSERA_CAPABILITY("mutex") Mutex {
 public:
  void lock() TESSERA_ACQUIRE() { mutex_.lock(); }
  void unlock() TESSERA_RELEASE() { mutex_.unlock(); }
  void lock_shared() TESSERA_ACQUIRE_SHARED() { mutex_.lock_shared(); }
  void unlock_shared() TESSERA_RELEASE() { mutex_.unlock_shared(); }

 private:
  std::shared_mutex mutex_;
};

/// Holds a Mutex exclusively for its lifetime. `std::condition_variable_any` can wait on it.
class TESSERA_SCOPED_CAPABILITY Lock {
 public:
  explicit Lock(Mutex& mutex) TESSERA_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~Lock() TESSERA_RELEASE() { mutex_.unlock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  void lock() TESSERA_ACQUIRE() { mutex_.lock(); }
  void unlock() TESSERA_RELEASE() { mutex_.unlock(); }

 private:
  Mutex& mutex_;
};

/// Holds a Mutex shared for its lifetime.
class TESSERA_SCOPED_CAPABILITY SharedLock {
 public:
  explicit SharedLock(Mutex& mutex) TESSERA_ACQUIRE_SHARED(mutex) : mutex_(mutex) {
    mutex_.lock_shared();
  }
  ~SharedLock() TESSERA_RELEASE() { mutex_.unlock_shared(); }
  SharedLock(const SharedLock&) = delete;
  SharedLock& operator=(const SharedLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace tessera
