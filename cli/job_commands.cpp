#include <chrono>
#include <memory>
#include <thread>

#include "cli/commands.h"
#include "cli/console.h"
#include "cli/progress.h"

namespace tessera::cli {
namespace {

constexpr std::chrono::milliseconds kPollInterval{250};

ProgressState progress_of(const Json& job) {
  ProgressState state;
  const auto total = static_cast<double>(member_count(job, "total"));
  const auto done = static_cast<double>(member_count(job, "done"));
  if (total > 0) state.share = done / total;
  state.text = member_text(job, "state");
  if (total > 0) {
    state.text += ", " + with_separators(member_count(job, "done")) + " of " +
                  with_separators(member_count(job, "total"));
  }
  const Json& eta = member(job, "eta_seconds");
  if (eta.is_number()) state.eta_seconds = eta.get<double>();
  return state;
}

std::string job_path(std::uint64_t id) {
  return "/jobs/" + std::to_string(id);
}

/// Where each of `flags` says nothing, the daemon decides.
struct TrainFlags {
  std::string collection;
  std::optional<std::string> vector;
  std::optional<std::uint64_t> count;
  std::optional<std::uint64_t> iterations;
  std::optional<std::uint64_t> seed;
  std::optional<std::uint64_t> sample;
  bool is_shown = false;
};

struct ReindexFlags {
  std::string collection;
  std::optional<std::string> vector;
  IndexFlags index;
  bool waits = false;
};

/// Number of the job that a call started.
Result<std::uint64_t> job_id_of(const Json& result) {
  const Json& job = member(result, "job");
  if (!job.is_number_unsigned()) {
    return Status(Code::kInternal, "the daemon started no job: " + show_json(result));
  }
  return job.get<std::uint64_t>();
}

/// Ends a command that has started a job: waits for it, or says its number.
Status report_job(const Context& context, ApiClient& client, const Json& result,
                  const std::string& label, bool waits) {
  TESSERA_ASSIGN_OR_RETURN(const std::uint64_t id, job_id_of(result));
  if (!waits) {
    const std::string number = std::to_string(id);
    print(context.is_json ? show_json({{"job", id}}) + "\n"
                          : "started job " + number + "; tessera jobs show " + number +
                                " tells how far it is\n");
    return {};
  }
  TESSERA_ASSIGN_OR_RETURN(const Json job, wait_for_job(client, id, label, !context.is_json));
  print(context.is_json ? show_json(job) + "\n" : label + ": done\n");
  return {};
}

Status reindex(const Context& context, const ReindexFlags& flags, const Json& body) {
  TESSERA_ASSIGN_OR_RETURN(ApiClient client, context.client());
  TESSERA_ASSIGN_OR_RETURN(
      const Json result,
      client.call("POST", collection_path(flags.collection, "/reindex"), show_json(body)));
  return report_job(context, client, result, "reindex " + flags.collection, flags.waits);
}

Status train(const Context& context, const TrainFlags& flags) {
  TESSERA_ASSIGN_OR_RETURN(ApiClient client, context.client());
  Json body = Json::object();
  if (flags.vector) body["vector"] = *flags.vector;
  if (flags.count) body["count"] = *flags.count;
  if (flags.iterations) body["iterations"] = *flags.iterations;
  if (flags.seed) body["seed"] = *flags.seed;
  if (flags.sample) body["sample"] = *flags.sample;
  TESSERA_ASSIGN_OR_RETURN(
      const Json result,
      client.call("POST", collection_path(flags.collection, "/clusters"), show_json(body)));
  return report_job(context, client, result, "clusters " + flags.collection, true);
}

Status show_clusters(const Context& context, const TrainFlags& flags) {
  TESSERA_ASSIGN_OR_RETURN(ApiClient client, context.client());
  std::string target = collection_path(flags.collection, "/clusters");
  if (flags.vector) target += "?vector=" + percent_encoded(*flags.vector);
  TESSERA_ASSIGN_OR_RETURN(const Json info, client.call("GET", target));
  if (context.is_json) {
    print(show_json(info) + "\n");
    return {};
  }
  std::vector<std::vector<std::string>> rows{{"count", member_text(info, "count")},
                                             {"trained at", member_text(info, "trained_at")},
                                             {"version", member_text(info, "version")},
                                             {"drift", member_text(info, "drift")}};
  const Json& sizes = member(info, "sizes");
  std::uint64_t largest = 0;
  std::uint64_t total = 0;
  for (const Json& size : sizes) {
    const std::uint64_t count = size.is_number_unsigned() ? size.get<std::uint64_t>() : 0;
    largest = std::max(largest, count);
    total += count;
  }
  rows.push_back({"points", with_separators(total)});
  rows.push_back({"largest", with_separators(largest)});
  print(format_table({"CLUSTERS", flags.collection}, rows));
  return {};
}

Status list_jobs(const Context& context) {
  TESSERA_ASSIGN_OR_RETURN(ApiClient client, context.client());
  TESSERA_ASSIGN_OR_RETURN(const Json answer, client.call("GET", "/jobs"));
  const Json& jobs = answer.is_array() ? answer : member(answer, "jobs");
  if (context.is_json) {
    print(show_json(jobs) + "\n");
    return {};
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& job : jobs) {
    rows.push_back({member_text(job, "id"), member_text(job, "kind"),
                    member_text(job, "collection"), member_text(job, "state"),
                    with_separators(member_count(job, "done")) + " / " +
                        with_separators(member_count(job, "total")),
                    member(job, "error").is_string() ? member_text(job, "error") : ""});
  }
  print(rows.empty() ? "No jobs.\n"
                     : format_table({"JOB", "KIND", "COLLECTION", "STATE", "DONE", "ERROR"}, rows));
  return {};
}

Status show_job(const Context& context, std::uint64_t id) {
  TESSERA_ASSIGN_OR_RETURN(ApiClient client, context.client());
  TESSERA_ASSIGN_OR_RETURN(const Json job, client.call("GET", job_path(id)));
  if (context.is_json) {
    print(show_json(job) + "\n");
    return {};
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : job.items()) {
    if (name != "id") rows.push_back({name, member_text(job, name)});
  }
  print(format_table({"JOB", std::to_string(id)}, rows));
  return {};
}

Status cancel_job(const Context& context, std::uint64_t id) {
  TESSERA_ASSIGN_OR_RETURN(ApiClient client, context.client());
  TESSERA_ASSIGN_OR_RETURN(const Json result, client.call("DELETE", job_path(id)));
  print(context.is_json ? show_json({{"cancelled", id}}) + "\n"
                        : "asked job " + std::to_string(id) + " to stop\n");
  return {};
}

}  // namespace

Result<Json> wait_for_job(ApiClient& client, std::uint64_t id, const std::string& label,
                          bool is_progress_shown) {
  ProgressBar bar(label, is_progress_shown);
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(Json job, client.call("GET", job_path(id)));
    bar.update(progress_of(job));
    const std::string state = member_text(job, "state");
    if (state == "done") return job;
    if (state == "failed") {
      return Status(Code::kInternal,
                    "job " + std::to_string(id) + " failed: " + member_text(job, "error"));
    }
    if (state == "cancelled") {
      return Status(Code::kCancelled, "job " + std::to_string(id) + " was cancelled");
    }
    if (state != "queued" && state != "running") {
      return Status(Code::kInternal,
                    "job " + std::to_string(id) + " is in the unknown state \"" + state + "\"");
    }
    std::this_thread::sleep_for(kPollInterval);
  }
}

void add_reindex_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("reindex", "Builds another index and switches to it");
  const auto flags = std::make_shared<ReindexFlags>();
  command->add_option("collection", flags->collection, "Name of the collection")->required();
  command->add_option("--vector", flags->vector, "Named vector; default: the unnamed one");
  flags->index.add_to(*command);
  command->add_flag("--wait", flags->waits, "Show progress until it is done");
  command->footer(
      "Searches go on while the index is built.\n"
      "Examples:\n"
      "  tessera reindex films --index hnsw --m 32 --ef-construct 200 --wait\n"
      "  tessera reindex sift --index ivf_sq8 --lists 1024 --probes 16");
  command->callback([flags, &context] {
    Json body = Json::object();
    if (flags->vector) body["vector"] = *flags->vector;
    flags->index.append_to(body);
    context.action = [flags, body = std::move(body), &context] {
      return reindex(context, *flags, body);
    };
  });
}

void add_clusters_command(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("clusters", "Trains or shows the item clusters behind interests");
  const auto flags = std::make_shared<TrainFlags>();
  command->add_option("collection", flags->collection, "Name of the collection")->required();
  command->add_option("--vector", flags->vector, "Named vector; default: the unnamed one");
  CLI::Option* show =
      command->add_flag("--show", flags->is_shown, "Show the clusters there are, train nothing");
  const auto add_number = [command, show](const char* name, auto& value, const char* text) {
    return command->add_option(name, value, text)->excludes(show);
  };
  add_number("--count", flags->count, "Clusters")->check(CLI::PositiveNumber);
  add_number("--iterations", flags->iterations, "Rounds of k-means")->check(CLI::PositiveNumber);
  add_number("--seed", flags->seed, "Seed: the same one gives the same clusters");
  add_number("--sample", flags->sample, "Rows to train on")->check(CLI::PositiveNumber);
  command->footer(
      "Examples:\n"
      "  tessera clusters films --count 100\n"
      "  tessera clusters films --show");
  command->callback([flags, &context] {
    context.action = [flags, &context] {
      return flags->is_shown ? show_clusters(context, *flags) : train(context, *flags);
    };
  });
}

void add_job_commands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("jobs", "Lists, shows, cancels background jobs");
  group->require_subcommand(0, 1);
  group->fallthrough();
  group->add_subcommand("list", "All jobs (the default)");
  const auto id = std::make_shared<std::uint64_t>(0);
  CLI::App* show = group->add_subcommand("show", "One job");
  show->add_option("id", *id, "Number of the job")->required();
  CLI::App* cancel = group->add_subcommand("cancel", "Asks a job to stop");
  cancel->add_option("id", *id, "Number of the job")->required();
  group->callback([id, show, cancel, &context] {
    if (show->parsed()) {
      context.action = [id, &context] { return show_job(context, *id); };
    } else if (cancel->parsed()) {
      context.action = [id, &context] { return cancel_job(context, *id); };
    } else {
      context.action = [&context] { return list_jobs(context); };
    }
  });
}

}  // namespace tessera::cli
