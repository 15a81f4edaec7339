#include "cli/batch_sender.h"

#include <algorithm>
#include <span>

namespace tessera::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kFirstPause{100};
constexpr std::chrono::milliseconds kLongestPause{5'000};

/// Whether the refusal is about the rows, so that fewer of them may be accepted.
bool is_about_rows(int http_status) {
  return http_status == 400 || http_status == 413 || http_status == 422;
}

bool is_worth_repeating(int http_status) {
  return http_status == 408 || http_status == 429 || http_status == 503;
}

bool is_worth_repeating(const Status& failure) {
  return failure.code() == Code::kUnavailable || failure.code() == Code::kTimeout;
}

}  // namespace

BatchSender::BatchSender(const DaemonUrl& url, Options options)
    : url_(url),
      options_(std::move(options)),
      target_(collection_path(options_.collection, "/points?wait=true")) {
  for (std::uint32_t i = 0; i < std::max(1U, options_.connection_count); ++i) {
    threads_.emplace_back([this] { work(); });
  }
}

BatchSender::~BatchSender() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    queue_.clear();
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool BatchSender::submit(Batch& batch, std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  const auto has_room = [this] { return pending_count_ < 2 * threads_.size(); };
  // Batches that ended make room only when their outcomes are taken: then there is nothing to wait
  // for here.
  changed_.wait_for(lock, wait, [&] { return has_room() || !outcomes_.empty(); });
  if (!has_room()) return false;
  ++pending_count_;
  queue_.push_back(std::move(batch));
  lock.unlock();
  changed_.notify_all();
  return true;
}

std::vector<BatchOutcome> BatchSender::take_outcomes(std::chrono::milliseconds wait) {
  std::vector<BatchOutcome> taken;
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, wait, [this] { return !outcomes_.empty() || pending_count_ == 0; });
    taken.swap(outcomes_);
    pending_count_ -= taken.size();
  }
  changed_.notify_all();
  return taken;
}

std::size_t BatchSender::pending_count() const {
  const std::lock_guard lock(mutex_);
  return pending_count_;
}

std::string BatchSender::retry_reason() const {
  const std::lock_guard lock(mutex_);
  return retry_reason_;
}

void BatchSender::work() {
  ApiClient client(url_, options_.http);
  while (true) {
    Batch batch;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return is_stopping_ || !queue_.empty(); });
      if (is_stopping_) return;
      batch = std::move(queue_.front());
      queue_.pop_front();
    }
    BatchOutcome outcome;
    outcome.number = batch.number;
    if (!batch.rows.empty()) send_rows(client, batch.rows, 0, batch.rows.size(), outcome);
    {
      const std::lock_guard lock(mutex_);
      outcomes_.push_back(std::move(outcome));
    }
    changed_.notify_all();
  }
}

void BatchSender::send_rows(ApiClient& client, const std::vector<ImportRow>& rows,
                            std::size_t begin, std::size_t end, BatchOutcome& outcome) {
  const std::span<const ImportRow> sent(rows.data() + begin, end - begin);
  const Result<ApiReply> reply =
      send_with_retries(client, make_upsert_body(sent, options_.is_binary));
  if (!reply) {
    outcome.failure = reply.error();
  } else if (reply->ok()) {
    outcome.accepted_count += end - begin;
  } else if (!is_about_rows(reply->http_status)) {
    outcome.failure = reply->to_status();
  } else if (end - begin == 1) {
    outcome.bad_rows.push_back({rows[begin].where, reply->error});
  } else {
    const std::size_t middle = begin + (end - begin) / 2;
    send_rows(client, rows, begin, middle, outcome);
    const bool is_left = options_.stops_at_bad_row && !outcome.bad_rows.empty();
    if (outcome.failure.ok() && !is_left) send_rows(client, rows, middle, end, outcome);
  }
}

Result<ApiReply> BatchSender::send_with_retries(ApiClient& client, const UpsertBody& body) {
  std::optional<Clock::time_point> deadline;
  std::chrono::milliseconds next_pause = kFirstPause;
  while (true) {
    Result<ApiReply> reply = client.send("PUT", target_, body.bytes, body.content_type);
    const bool is_final =
        reply ? !is_worth_repeating(reply->http_status) : !is_worth_repeating(reply.error());
    if (is_final) {
      const std::lock_guard lock(mutex_);
      retry_reason_.clear();
      return reply;
    }
    const auto now = Clock::now();
    if (!deadline) deadline = now + options_.retry_for;
    std::chrono::milliseconds duration = next_pause;
    next_pause = std::min(next_pause * 2, kLongestPause);
    if (reply && reply->retry_after_seconds) {
      const std::chrono::seconds asked(*reply->retry_after_seconds);
      duration = std::max<std::chrono::milliseconds>(duration, asked);
    }
    if (now + duration > *deadline) return reply;
    if (!pause(duration, reply ? reply->error : reply.error().message())) return reply;
  }
}

bool BatchSender::pause(std::chrono::milliseconds duration, const std::string& reason) {
  std::unique_lock lock(mutex_);
  retry_reason_ = reason;
  return !changed_.wait_for(lock, duration, [this] { return is_stopping_; });
}

}  // namespace tessera::cli
