#include "cli/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/console.h"

namespace tessera::cli {
namespace {

constexpr std::chrono::milliseconds kBarInterval{100};
constexpr std::chrono::milliseconds kLineInterval{5'000};

}  // namespace

ProgressBar::ProgressBar(std::string label, bool is_shown)
    : label_(std::move(label)),
      is_shown_(is_shown),
      is_terminal_(is_error_terminal()),
      next_draw_(std::chrono::steady_clock::now() +
                 (is_terminal_ ? std::chrono::milliseconds(0) : kLineInterval)) {}

ProgressBar::~ProgressBar() {
  finish();
}

void ProgressBar::update(const ProgressState& state) {
  state_ = state;
  is_dirty_ = true;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_draw_) return;
  next_draw_ = now + (is_terminal_ ? kBarInterval : kLineInterval);
  draw();
}

void ProgressBar::finish() {
  if (!is_shown_ || !state_) return;
  if (is_terminal_) {
    draw();
    std::fputc('\n', stderr);
  } else if (is_dirty_) {
    draw();
  }
  state_.reset();
}

void ProgressBar::draw() {
  is_dirty_ = false;
  if (!is_shown_) return;
  const std::string text =
      is_terminal_ ? "\r\x1b[K" + line(terminal_width()) : line(std::string::npos) + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

std::string ProgressBar::line(std::size_t width) const {
  constexpr std::size_t kBarWidth = 24;
  std::string text = label_ + "  ";
  if (state_->share) {
    const double share = std::clamp(*state_->share, 0.0, 1.0);
    if (is_terminal_) {
      const auto filled = static_cast<std::size_t>(std::floor(share * kBarWidth));
      text += '[' + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "] ";
    }
    // Rounded down: 100 % is only shown when everything is done.
    text += std::to_string(static_cast<int>(std::floor(share * 100))) + "%  ";
  }
  text += state_->text;
  if (state_->eta_seconds) text += ", " + duration_text(*state_->eta_seconds) + " left";
  return width == std::string::npos ? text : shortened(text, width > 1 ? width - 1 : 1);
}

}  // namespace tessera::cli
