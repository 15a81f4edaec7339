#include "cli/commands.h"
#include "cli/console.h"

namespace tessera::cli {
namespace {

bool is_running(const Json& job) {
  const std::string state = member_text(job, "state");
  return state == "queued" || state == "running";
}

std::string percent_of(const Json& job) {
  const std::uint64_t total = member_count(job, "total");
  if (total == 0) return "-";
  return std::to_string(member_count(job, "done") * 100 / total) + "%";
}

void print_status(const Json& root, const Json& collections, const Json& jobs) {
  const Json& ours = member(root, "tessera");
  print("tessera " + member_text(ours, "version") + " (commit " + member_text(ours, "commit") +
        ", kernels " + member_text(ours, "cpu") + "), API " + member_text(root, "version") +
        "\n\n");
  std::vector<std::vector<std::string>> rows;
  for (const Json& info : collections) {
    rows.push_back({member_text(info, "name"), member_text(info, "status"),
                    with_separators(member_count(info, "points_count")),
                    with_separators(member_count(info, "indexed_vectors_count")),
                    member_text(info, "segments_count")});
  }
  if (rows.empty()) {
    print("No collections.\n");
  } else {
    print(format_table({"COLLECTION", "STATUS", "POINTS", "INDEXED", "SEGMENTS"}, rows));
  }
  rows.clear();
  for (const Json& job : jobs) {
    if (!is_running(job)) continue;
    rows.push_back({member_text(job, "id"), member_text(job, "kind"),
                    member_text(job, "collection"), member_text(job, "state"), percent_of(job)});
  }
  print("\n");
  print(rows.empty() ? "No running jobs.\n"
                     : format_table({"JOB", "KIND", "COLLECTION", "STATE", "DONE"}, rows));
}

Status show_status(const Context& context) {
  TESSERA_ASSIGN_OR_RETURN(ApiClient client, context.client());
  TESSERA_ASSIGN_OR_RETURN(Json root, client.call("GET", "/"));
  TESSERA_ASSIGN_OR_RETURN(const Json list, client.call("GET", "/collections"));
  Json collections = Json::array();
  for (const Json& entry : member(list, "collections")) {
    const std::string name = member_text(entry, "name");
    TESSERA_ASSIGN_OR_RETURN(const ApiReply reply, client.send("GET", collection_path(name)));
    if (reply.http_status == 404) continue;  // deleted since it was listed
    if (!reply.ok()) return reply.to_status();
    Json info{{"name", name}};
    info.update(reply.result);
    collections.push_back(std::move(info));
  }
  TESSERA_ASSIGN_OR_RETURN(const Json answer, client.call("GET", "/jobs"));
  const Json& jobs = answer.is_array() ? answer : member(answer, "jobs");
  if (context.is_json) {
    print(show_json({{"daemon", root}, {"collections", collections}, {"jobs", jobs}}) + "\n");
  } else {
    print_status(root, collections, jobs);
  }
  return {};
}

}  // namespace

void add_status_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("status", "Version, collections and running jobs");
  command->callback([&context] { context.action = [&context] { return show_status(context); }; });
}

}  // namespace tessera::cli
