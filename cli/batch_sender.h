#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "cli/api_client.h"
#include "cli/row_source.h"
#include "cli/upsert_body.h"

namespace tessera::cli {

/// Rows that travel together. Numbers ascend from 0.
struct Batch {
  std::uint64_t number = 0;
  std::vector<ImportRow> rows;  ///< Without problems. May be empty.
};

/// A row that the daemon refused.
struct BadRow {
  std::string where;
  std::string problem;
};

struct BatchOutcome {
  std::uint64_t number = 0;
  std::size_t accepted_count = 0;
  std::vector<BadRow> bad_rows;
  Status failure;  ///< Not ok: the daemon could not take the batch for a reason beyond its rows.
};

/// Sends batches over several keep-alive connections at once, each answered only when durable.
/// A batch that the daemon refuses is halved until the rows at fault are found. While the daemon is
/// away or busy, requests are repeated with growing pauses. Upserts are idempotent, so a row may
/// arrive twice. Thread rule: used by one thread; its own threads are inside.
class BatchSender {
 public:
  struct Options {
    std::string collection;
    std::uint32_t connection_count = 2;
    std::chrono::milliseconds retry_for{30'000};  ///< From the first failure of a request.
    bool stops_at_bad_row = true;                 ///< Leaves a batch at its first bad row.
    bool is_binary = false;  ///< The daemon takes kBinaryPointsType; rows that suit it go so.
    HttpClient::Options http;
  };

  BatchSender(const DaemonUrl& url, Options options);
  /// Gives up requests that wait for a retry; others end first.
  ~BatchSender();
  BatchSender(const BatchSender&) = delete;
  BatchSender& operator=(const BatchSender&) = delete;

  /// Takes the batch as soon as fewer than twice the connections are under way; false when that did
  /// not happen in time or cannot before outcomes are taken, and the batch is left alone.
  bool submit(Batch& batch, std::chrono::milliseconds wait);
  /// What has ended since the last call; waits for at least one while any is under way.
  std::vector<BatchOutcome> take_outcomes(std::chrono::milliseconds wait);
  /// Batches submitted whose outcome was not taken yet.
  [[nodiscard]] std::size_t pending_count() const;
  /// Why requests are being repeated right now; empty when none is.
  [[nodiscard]] std::string retry_reason() const;

 private:
  void work();
  void send_rows(ApiClient& client, const std::vector<ImportRow>& rows, std::size_t begin,
                 std::size_t end, BatchOutcome& outcome);
  Result<ApiReply> send_with_retries(ApiClient& client, const UpsertBody& body);
  /// false when the sender is being destroyed.
  bool pause(std::chrono::milliseconds duration, const std::string& reason);

  const DaemonUrl url_;
  const Options options_;
  const std::string target_;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::deque<Batch> queue_;
  std::vector<BatchOutcome> outcomes_;
  std::size_t pending_count_ = 0;
  std::string retry_reason_;
  bool is_stopping_ = false;

  std::vector<std::thread> threads_;
};

}  // namespace tessera::cli
