#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tessera::cli {

/// Writes to standard output; what was written is complete only after flush_output().
void print(std::string_view text);
/// Writes a line to standard error at once, over a progress bar if one is shown there.
void print_error_line(std::string_view line);
/// kUnavailable when standard output could not take everything (a full disk, a closed pipe).
Status flush_output();

[[nodiscard]] bool is_output_terminal();
[[nodiscard]] bool is_error_terminal();
[[nodiscard]] bool is_input_terminal();
/// Columns of the terminal behind standard error, 80 when unknown.
[[nodiscard]] std::size_t terminal_width();
/// A line of standard input without its newline; empty at its end.
std::string read_input_line();

/// Columns padded to the widest cell, with a header line. Every row has as many cells as `header`.
std::string format_table(const std::vector<std::string>& header,
                         const std::vector<std::vector<std::string>>& rows);
/// At most `width` characters of UTF-8 text, the last one an ellipsis when something was cut;
/// control characters become spaces.
std::string shortened(std::string_view text, std::size_t width);
/// "1,234,567"
std::string with_separators(std::uint64_t number);
/// "42 s", "3 min 20 s", "2 h 5 min"
std::string duration_text(double seconds);
/// "12.3 MB" (powers of ten).
std::string bytes_text(double bytes);

}  // namespace tessera::cli
