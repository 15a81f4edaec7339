#include "cli/app.h"

#include <cstdio>

#include "cli/commands.h"
#include "cli/console.h"

namespace tessera::cli {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

constexpr const char* kExamples = R"(Examples:
  tessera collection create films --dim 64 --distance cosine
  tessera import films item_vectors.npy --payload items.jsonl
  tessera query films --id 1 --limit 5 --with-payload
  tessera query films --interests-history 1,34,260 --with-payload
  tessera status

Exit codes: 0 success, 1 failure, 2 bad usage.)";

void print_failure(const Context& context, const std::string& message) {
  print_error_line(context.is_json ? show_json(Json{{"error", message}}) : "error: " + message);
}

/// CLI11 lets exceptions from callbacks of ours through, hence one more layer.
int parse_and_run(CLI::App& app, Context& context, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    print_failure(context, error.what());
    if (!context.is_json) print_error_line("Run with --help for the options.");
    return kExitUsage;
  }
  Status status = context.action();
  const Status flushed = flush_output();
  if (status.ok()) status = flushed;
  if (status.ok()) return 0;
  print_failure(context, status.message());
  return kExitFailure;
}

}  // namespace

Result<ApiClient> Context::client() const {
  TESSERA_ASSIGN_OR_RETURN(DaemonUrl url, parse_daemon_url(url_text));
  return ApiClient(std::move(url));
}

int run(int argc, char** argv) {
  Context context;
  try {
    CLI::App app("Administers a Tessera vector search daemon.", "tessera");
    app.set_version_flag("--version", "tessera " TESSERA_CLI_VERSION);
    app.add_option("--url", context.url_text, "Where the daemon listens")
        ->envname("TESSERA_URL")
        ->capture_default_str();
    app.add_flag("--json", context.is_json, "Print JSON for machines");
    app.footer(kExamples);
    app.require_subcommand(1);
    app.fallthrough();
    add_status_command(app, context);
    add_collection_commands(app, context);
    add_import_command(app, context);
    add_query_command(app, context);
    add_reindex_command(app, context);
    add_clusters_command(app, context);
    add_job_commands(app, context);
    add_verify_command(app, context);
    return parse_and_run(app, context, argc, argv);
  } catch (const std::exception& error) {
    print_failure(context, std::string("internal error: ") + error.what());
    return kExitFailure;
  }
}

}  // namespace tessera::cli
