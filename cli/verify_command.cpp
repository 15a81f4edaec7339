#include <memory>

#include "cli/commands.h"
#include "cli/console.h"
#include "storage/verify.h"

namespace tessera::cli {
namespace {

Json report_json(const storage::VerifyReport& report) {
  Json problems = Json::array();
  for (const storage::Problem& problem : report.problems) {
    problems.push_back({{"severity", storage::severity_name(problem.severity)},
                        {"where", problem.where},
                        {"what", problem.what}});
  }
  return {{"ok", report.ok()},
          {"errors", report.error_count},
          {"warnings", report.warning_count},
          {"collections", report.collection_count},
          {"points", report.point_count},
          {"payloads", report.payload_count},
          {"events", report.event_count},
          {"adapters", report.adapter_count},
          {"sessions", report.session_count},
          {"vectors", report.row_count},
          {"segment_files", report.segment_file_count},
          {"segment_rows_live", report.live_segment_row_count},
          {"segment_rows_stale", report.stale_segment_row_count},
          {"rows_outside_segments", report.unsegmented_row_count},
          {"segment_bytes", report.segment_bytes},
          {"problems", std::move(problems)}};
}

void print_report(const storage::VerifyReport& report) {
  for (const storage::Problem& problem : report.problems) {
    print(std::string(storage::severity_name(problem.severity)) + ": " + problem.where + ": " +
          problem.what + "\n");
  }
  const std::uint64_t total = report.error_count + report.warning_count;
  if (total > report.problems.size()) {
    print("... and " + with_separators(total - report.problems.size()) + " more\n");
  }
  print("checked " + with_separators(report.collection_count) + " collections, " +
        with_separators(report.point_count) + " points, " + with_separators(report.row_count) +
        " vectors, " + with_separators(report.segment_file_count) + " index files (" +
        bytes_text(static_cast<double>(report.segment_bytes)) +
        "): " + with_separators(report.error_count) + " errors, " +
        with_separators(report.warning_count) + " warnings\n");
}

Status verify(const Context& context, const std::string& path) {
  storage::VerifyProgress progress;
  if (!context.is_json && is_error_terminal()) {
    progress = [](std::string_view step) { print_error_line("checking " + std::string(step)); };
  }
  const CancelToken cancel;
  TESSERA_ASSIGN_OR_RETURN(const storage::VerifyReport report,
                           storage::verify_data_directory(path, progress, cancel));
  if (context.is_json) {
    print(show_json(report_json(report)) + "\n");
  } else {
    print_report(report);
  }
  if (report.ok()) return {};
  return {Code::kCorrupt, path + " is damaged: " + with_separators(report.error_count) + " errors"};
}

}  // namespace

void add_verify_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "verify", "Checks a data directory offline: every checksum, store against index");
  const auto path = std::make_shared<std::string>();
  command->add_option("--data", *path, "Data directory of a daemon that is not running")
      ->required();
  command->footer(
      "Warnings (what can be rebuilt) leave the exit code at 0.\n"
      "Example:\n  tessera verify --data /var/lib/tessera");
  command->callback(
      [path, &context] { context.action = [path, &context] { return verify(context, *path); }; });
}

}  // namespace tessera::cli
