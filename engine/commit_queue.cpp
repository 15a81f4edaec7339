#include "engine/commit_queue.h"

#include <exception>

namespace tessera::engine {
namespace {

constexpr std::size_t kGroupPointCountMax = 20'000;

std::size_t point_count(const WriteOperation& operation) {
  if (const auto* upsert = std::get_if<UpsertPoints>(&operation)) return upsert->points.size();
  const auto* users = std::get_if<WriteUsers>(&operation);
  if (users == nullptr) return 1;
  std::size_t count = users->users.size();
  for (const UserChange& user : users->users) count += user.events.size();
  return count;
}

const PointSelector* selector_of(const WriteOperation& operation) {
  return std::visit(
      [](const auto& op) -> const PointSelector* {
        if constexpr (requires { op.selector; }) {
          return &op.selector;
        } else {
          return nullptr;
        }
      },
      operation);
}

bool must_begin_group(const WriteOperation& operation) {
  const PointSelector* selector = selector_of(operation);
  return selector != nullptr && std::holds_alternative<Filter>(*selector);
}

}  // namespace

bool must_be_alone(const WriteOperation& operation) {
  return std::holds_alternative<CreatePayloadIndex>(operation) ||
         std::holds_alternative<DeletePayloadIndex>(operation) ||
         std::holds_alternative<PutAdapter>(operation) ||
         std::holds_alternative<DeleteAdapter>(operation);
}

std::vector<PendingWrite*> CommitQueue::take_group() {
  std::vector<PendingWrite*> group;
  std::size_t points = 0;
  while (!queue_.empty() && points < kGroupPointCountMax) {
    const WriteOperation& next = queue_.front()->operation;
    const bool is_alone = must_be_alone(next);
    if (!group.empty() && (is_alone || must_begin_group(next))) break;
    points += point_count(next);
    group.push_back(queue_.front());
    queue_.pop_front();
    if (is_alone) break;
  }
  return group;
}

void CommitQueue::run(PendingWrite& write) {
  Lock lock(mutex_);
  if (!closed_.ok()) {
    write.result = Result<WriteResult>(closed_);
    return;
  }
  queue_.push_back(&write);
  while (true) {
    while (has_leader_ && !write.is_done) changed_.wait(lock);
    if (write.is_done) return;
    has_leader_ = true;
    std::vector<PendingWrite*> group = take_group();
    lock.unlock();
    Status failure;
    try {
      commit_(group);
    } catch (const std::exception& error) {
      failure = Status(Code::kUnavailable, std::string("a write failed: ") + error.what() +
                                               "; the collection takes no writes until a restart");
    }
    lock.lock();
    if (!failure.ok()) {
      closed_ = failure;
      group.insert(group.end(), queue_.begin(), queue_.end());
      queue_.clear();
      for (PendingWrite* carried : group) carried->result = Result<WriteResult>(failure);
    }
    for (PendingWrite* carried : group) carried->is_done = true;
    has_leader_ = false;
    changed_.notify_all();
  }
}

void CommitQueue::reopen() {
  Lock lock(mutex_);
  closed_ = Status();
}

void CommitQueue::close(Status status) {
  Lock lock(mutex_);
  closed_ = status;
  while (has_leader_) changed_.wait(lock);
  for (PendingWrite* write : queue_) {
    write->result = Result<WriteResult>(status);
    write->is_done = true;
  }
  queue_.clear();
  changed_.notify_all();
}

std::size_t CommitQueue::length() const {
  SharedLock lock(mutex_);
  return queue_.size();
}

}  // namespace tessera::engine
