#include "engine/jobs.h"

#include <chrono>
#include <exception>

#include "base/log.h"

namespace tessera::engine {
namespace {

std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

struct Jobs::Job {
  explicit Job(Description description) : description(std::move(description)), context(cancel) {}
  const Description description;
  CancelToken cancel;
  JobContext context;
  // Guarded by Jobs::mutex_.
  std::uint64_t id = 0;
  JobState state = JobState::kQueued;
  std::string error;
  std::int64_t created_at_us = 0, started_at_us = 0;
  std::optional<std::int64_t> finished_at_us;
};

Jobs::Jobs() : thread_([this] { run(); }) {}

Jobs::~Jobs() {
  stop();
}

void Jobs::stop() {
  begin_shutdown();
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<Jobs::Job> Jobs::add_job(const Description& description) {
  auto job = std::make_shared<Job>(description);
  job->id = next_id_++;
  job->created_at_us = now_us();
  jobs_.emplace(job->id, job);
  std::size_t finished = 0;
  for (const auto& [id, other] : jobs_) finished += other->finished_at_us.has_value();
  for (auto it = jobs_.begin(); finished > kFinishedMax && it != jobs_.end();) {
    if (it->second->finished_at_us) {
      it = jobs_.erase(it);
      --finished;
    } else {
      ++it;
    }
  }
  return job;
}

Result<std::uint64_t> Jobs::start(const Description& description, Work work) {
  Lock lock(mutex_);
  if (is_stopping_) return Status(Code::kUnavailable, "the daemon is shutting down");
  for (const auto& [id, job] : jobs_) {
    const Description& other = job->description;
    if (!job->finished_at_us && other.kind == description.kind &&
        other.collection == description.collection) {
      return Status(Code::kAlreadyExists, "job " + std::to_string(id) + " (" + other.kind +
                                              " of collection `" + other.collection +
                                              "`) is not finished yet");
    }
  }
  const auto job = add_job(description);
  queue_.emplace_back(job, std::move(work));
  changed_.notify_all();
  return job->id;
}

Status Jobs::run_here(const Description& description, const Work& work) {
  std::shared_ptr<Job> job;
  {
    Lock lock(mutex_);
    if (is_stopping_) return {Code::kCancelled, "the daemon is shutting down"};
    job = add_job(description);
    job->state = JobState::kRunning;
    job->started_at_us = now_us();
  }
  execute(job, work);
  Lock lock(mutex_);
  if (job->state == JobState::kDone) return {};
  return {job->state == JobState::kCancelled ? Code::kCancelled : Code::kInternal, job->error};
}

void Jobs::execute(const std::shared_ptr<Job>& job, const Work& work) {
  Status status;
  try {
    status = work(job->context);
  } catch (const std::exception& error) {
    status = Status(Code::kInternal, error.what());
  }
  if (!status.ok() && status.code() != Code::kCancelled) {
    log::error("a background job failed", {{"job", job->id},
                                           {"kind", job->description.kind},
                                           {"collection", job->description.collection},
                                           {"error", status.to_string()}});
  }
  // Progress comes in steps; what is done is done.
  if (status.ok()) job->context.report(job->context.total(), job->context.total());
  Lock lock(mutex_);
  finish(*job, status);
}

void Jobs::finish(Job& job, const Status& status) {
  job.finished_at_us = now_us();
  job.state = status.ok()                         ? JobState::kDone
              : status.code() == Code::kCancelled ? JobState::kCancelled
                                                  : JobState::kFailed;
  job.error = status.message();
  changed_.notify_all();
}

void Jobs::run() {
  set_thread_priority(kBackgroundPriority);
  while (true) {
    std::pair<std::shared_ptr<Job>, Work> next;
    {
      Lock lock(mutex_);
      while (queue_.empty() && !is_stopping_) changed_.wait(lock);
      if (is_stopping_) {
        for (auto& [job, work] : queue_) finish(*job, {Code::kCancelled, "the daemon stopped"});
        queue_.clear();
        return;
      }
      next = std::move(queue_.front());
      queue_.pop_front();
      if (next.first->cancel.is_cancelled()) {
        finish(*next.first, {Code::kCancelled, "cancelled before it began"});
        continue;
      }
      next.first->state = JobState::kRunning;
      next.first->started_at_us = now_us();
    }
    execute(next.first, next.second);
  }
}

JobInfo Jobs::info_of(const Job& job) {
  JobInfo info;
  info.id = job.id;
  info.kind = job.description.kind;
  info.collection = job.description.collection;
  info.detail = job.description.detail;
  info.state = job.state;
  info.done = job.context.done();
  info.total = job.context.total();
  info.error = job.error;
  info.created_at_us = job.created_at_us;
  info.finished_at_us = job.finished_at_us;
  if (job.state == JobState::kRunning && info.done > 0 && info.total >= info.done) {
    const double elapsed = static_cast<double>(now_us() - job.started_at_us) / 1e6;
    info.eta_seconds =
        elapsed * static_cast<double>(info.total - info.done) / static_cast<double>(info.done);
  }
  return info;
}

std::vector<JobInfo> Jobs::list() const {
  SharedLock lock(mutex_);
  std::vector<JobInfo> infos;
  for (const auto& [id, job] : jobs_) infos.push_back(info_of(*job));
  return infos;
}

Result<JobInfo> Jobs::get(std::uint64_t id) const {
  SharedLock lock(mutex_);
  const auto found = jobs_.find(id);
  if (found == jobs_.end())
    return Status(Code::kNotFound, "Job " + std::to_string(id) + " not found");
  return info_of(*found->second);
}

Status Jobs::cancel(std::uint64_t id) {
  Lock lock(mutex_);
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return {Code::kNotFound, "Job " + std::to_string(id) + " not found"};
  if (found->second->finished_at_us) {
    return {Code::kBadRequest, "Job " + std::to_string(id) + " has already finished"};
  }
  found->second->cancel.cancel();
  return {};
}

void Jobs::cancel_collection(const std::string& collection) {
  Lock lock(mutex_);
  const auto unfinished = [&]() TESSERA_REQUIRES(mutex_) {
    bool any = false;
    for (const auto& [id, job] : jobs_) {
      if (job->description.collection != collection || job->finished_at_us) continue;
      job->cancel.cancel();
      any = any || job->state == JobState::kRunning;
    }
    return any;
  };
  while (unfinished()) changed_.wait(lock);
}

void Jobs::begin_shutdown() {
  Lock lock(mutex_);
  is_stopping_ = true;
  for (const auto& [id, job] : jobs_) job->cancel.cancel();
  changed_.notify_all();
}

}  // namespace tessera::engine
