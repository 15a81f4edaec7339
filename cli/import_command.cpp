#include <memory>

#include "cli/commands.h"
#include "cli/console.h"
#include "cli/importer.h"
#include "cli/progress.h"

namespace tessera::cli {
namespace {

struct ImportFlags {
  ImportOptions options;
  std::string format;
  std::string payload_match = "auto";
  std::string on_error = "stop";
  double retry_seconds = 30;
  bool is_creating = false;
  std::optional<std::string> distance;
  IndexFlags index;
};

/// Rates are of this run alone; what an earlier run imported took none of its time.
ProgressState progress_state(const ImportProgress& progress, double seconds) {
  ProgressState state;
  const double read = static_cast<double>(progress.done_bytes - progress.start_bytes);
  const double rows = static_cast<double>(progress.imported_count - progress.resumed_count);
  state.text = with_separators(progress.imported_count) + " rows, " +
               with_separators(static_cast<std::uint64_t>(rows / seconds)) + " rows/s, " +
               bytes_text(read / seconds) + "/s";
  if (progress.bad_count > 0) state.text += ", " + with_separators(progress.bad_count) + " bad";
  if (!progress.retry_reason.empty()) state.text += ", waiting for the daemon";
  if (!progress.total_bytes) return state;
  const double total = static_cast<double>(*progress.total_bytes);
  state.share = total > 0 ? static_cast<double>(progress.done_bytes) / total : 1;
  state.text +=
      ", " + bytes_text(static_cast<double>(progress.done_bytes)) + " of " + bytes_text(total);
  if (read > 0) {
    state.eta_seconds = (total - static_cast<double>(progress.done_bytes)) * seconds / read;
  }
  return state;
}

void print_summary(const Context& context, const ImportOptions& options,
                   const ImportSummary& summary) {
  const auto sent = static_cast<double>(summary.imported_count - summary.resumed_count);
  const double rate = summary.seconds > 0 ? sent / summary.seconds : 0;
  if (context.is_json) {
    print(show_json({{"collection", options.collection},
                     {"created", summary.is_created},
                     {"imported", summary.imported_count},
                     {"resumed", summary.resumed_count},
                     {"bad", summary.bad_count},
                     {"skipped_zero", summary.skipped_count},
                     {"seconds", summary.seconds},
                     {"rows_per_second", rate}}) +
          "\n");
    return;
  }
  std::string text =
      "imported " + with_separators(summary.imported_count) + " rows into " + options.collection;
  if (summary.resumed_count > 0) {
    text += " (" + with_separators(summary.resumed_count) + " of them before)";
  }
  if (summary.bad_count > 0) text += ", " + with_separators(summary.bad_count) + " bad rows";
  if (summary.skipped_count > 0) {
    text += ", " + with_separators(summary.skipped_count) + " all-zero rows left out";
  }
  text += " in " + duration_text(summary.seconds) + " (" +
          with_separators(static_cast<std::uint64_t>(rate)) + " rows/s)\n";
  print(text);
}

Status run_command(const Context& context, const ImportOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const DaemonUrl url, parse_daemon_url(context.url_text));
  ProgressBar bar("import " + options.collection, !context.is_json);
  const auto begin = std::chrono::steady_clock::now();
  ImportListener listener;
  listener.on_progress = [&](const ImportProgress& progress) {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    bar.update(progress_state(progress, std::max(elapsed.count(), 1e-3)));
  };
  listener.on_message = [](const std::string& message) { print_error_line(message); };
  ImportSummary summary;
  const Status status = run_import(url, options, listener, summary);
  bar.finish();
  if (status.ok() || summary.imported_count > 0) print_summary(context, options, summary);
  return status;
}

RowOptions::PayloadMatch payload_match_of(const std::string& text) {
  if (text == "row") return RowOptions::PayloadMatch::kByRow;
  return text == "id" ? RowOptions::PayloadMatch::kById : RowOptions::PayloadMatch::kAuto;
}

/// Turns the texts of the flags into options; throws CLI::ValidationError.
void complete(ImportFlags& flags) {
  ImportOptions& options = flags.options;
  if (!flags.format.empty()) {
    const Result<FileFormat> format = parse_file_format(flags.format);
    if (!format) throw CLI::ValidationError("--format", format.error().message());
    options.rows.format = *format;
  }
  options.rows.payload_match = payload_match_of(flags.payload_match);
  options.skips_bad_rows = flags.on_error == "skip";
  options.retry_for =
      std::chrono::milliseconds(static_cast<std::int64_t>(flags.retry_seconds * 1000));
  if (flags.is_creating != flags.distance.has_value()) {
    throw CLI::ValidationError("--create and --distance", "belong together");
  }
  Json params = Json::object();
  if (flags.distance) params["distance"] = distance_name(*flags.distance);
  flags.index.append_to(params);
  if (flags.is_creating) {
    options.create = std::move(params);
  } else if (!params.empty()) {
    throw CLI::ValidationError("index settings", "need --create");
  }
}

void add_row_flags(CLI::App& command, ImportFlags& flags) {
  RowOptions& rows = flags.options.rows;
  command.add_option("--format", flags.format, "When the name does not tell it (\"-\" is a pipe)")
      ->check(CLI::IsMember({"jsonl", "npy", "fvecs", "bvecs", "csv"}));
  command.add_option("--vector-name", rows.vector_name, "Named vector that bare rows fill");
  command.add_option("--id-field,--id-column", rows.id_field, "JSON lines, CSV: where the id is")
      ->capture_default_str();
  command.add_option("--vector-field", rows.vector_field, "JSON lines: where the vector is")
      ->capture_default_str();
  command.add_flag("--payload-rest", rows.takes_rest_as_payload,
                   "JSON lines: all other fields become payload");
  command
      .add_option("--vector-prefix", rows.csv_vector_prefix,
                  "CSV: columns PREFIX0, PREFIX1, ... hold the vector")
      ->capture_default_str();
  command.add_option("--vector-column", rows.csv_vector_column,
                     "CSV: this column holds the vector as a JSON list");
  command.add_option("--first-id", rows.first_id, "Number the rows from here (npy, vecs: 0)");
  command.add_option("--ids", rows.ids_file, "npy, vecs: one-dimensional .npy of integer ids");
  command.add_option("--payload", rows.payloads_file, "npy, vecs: JSON lines with the payloads");
  command
      .add_option("--payload-match", flags.payload_match,
                  "By row number or by the field --id-field; auto: by id if the first line has it")
      ->check(CLI::IsMember({"auto", "row", "id"}))
      ->capture_default_str();
  command.add_flag("--skip-zero", rows.skips_zero_rows, "Leave all-zero vectors out");
}

void add_transfer_flags(CLI::App& command, ImportFlags& flags) {
  ImportOptions& options = flags.options;
  command.add_option("--batch", options.batch_row_count, "Rows in a request")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command.add_option("--parallel", options.connection_count, "Requests under way at once")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command.add_option("--on-error", flags.on_error, "What a bad row does")
      ->check(CLI::IsMember({"stop", "skip"}))
      ->capture_default_str();
  command
      .add_option("--max-errors", options.bad_row_count_max,
                  "With skip: more bad rows than this end the import")
      ->capture_default_str();
  command.add_flag("--resume", options.resumes, "Go on where an interrupted import stopped");
  command.add_option("--state", options.state_path,
                     "State file for --resume; default: first file + .tessera-import");
  command
      .add_option("--retry-seconds", flags.retry_seconds,
                  "How long a request is repeated while the daemon is away or busy")
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str();
  command.add_flag("--create", flags.is_creating,
                   "Create the collection if missing; needs --distance");
  command.add_option("--distance", flags.distance, "cosine, euclid, dot or manhattan");
  flags.index.add_to(command);
}

}  // namespace

void add_import_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("import", "Loads points from files");
  const auto flags = std::make_shared<ImportFlags>();
  command->add_option("collection", flags->options.collection, "Name of the collection")
      ->required();
  command->add_option("files", flags->options.files, "JSON lines, .npy, .fvecs, .bvecs, CSV, or -")
      ->required();
  add_row_flags(*command, *flags);
  add_transfer_flags(*command, *flags);
  command->footer(
      "Examples:\n"
      "  tessera import films films.jsonl\n"
      "  tessera import films item_vectors.npy --payload items.jsonl --create --distance cosine\n"
      "  tessera import sift base.fvecs --parallel 4\n"
      "  tessera import notes notes.csv --id-column note_id --vector-column embedding\n"
      "  zcat films.jsonl.gz | tessera import films - --format jsonl\n"
      "  tessera import films films.jsonl --resume     # after an interruption");
  command->callback([flags, &context] {
    complete(*flags);
    context.action = [flags, &context] { return run_command(context, flags->options); };
  });
}

}  // namespace tessera::cli
