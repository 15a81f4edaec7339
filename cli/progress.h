#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace tessera::cli {

/// What a long piece of work says about itself. `share` is absent while the total is unknown.
struct ProgressState {
  std::optional<double> share;  ///< 0 to 1.
  std::string text;             ///< "12,000 rows, 4,100 rows/s, 3.2 MB/s"
  std::optional<double> eta_seconds;
};

/// Shows progress on standard error: a bar that is redrawn on a terminal, a line every few seconds
/// elsewhere. Thread rule: confined to one thread.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label, bool is_shown = true);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// Cheap to call often: draws at most ten times a second (a line every five seconds).
  void update(const ProgressState& state);
  /// Draws the last state and ends the line.
  void finish();

 private:
  void draw();
  [[nodiscard]] std::string line(std::size_t width) const;

  const std::string label_;
  const bool is_shown_;
  const bool is_terminal_;
  std::chrono::steady_clock::time_point next_draw_;
  std::optional<ProgressState> state_;
  bool is_dirty_ = false;
};

}  // namespace tessera::cli
