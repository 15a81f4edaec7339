#include <algorithm>
#include <memory>

#include "cli/commands.h"
#include "cli/console.h"

namespace tessera::cli {
namespace {

struct CreateFlags {
  std::string name;
  std::optional<std::uint32_t> dim;
  std::string distance = "cosine";
  std::optional<std::string> datatype;
  std::vector<std::string> vectors;  ///< "name:dim:distance"
  IndexFlags index;
};

std::uint32_t dim_of(const std::string& text) {
  std::uint32_t dim = 0;
  if (!CLI::detail::lexical_cast(text, dim) || dim == 0 || dim > 65536) {
    throw CLI::ValidationError("dimension", "\"" + text + "\" is not from 1 to 65536");
  }
  return dim;
}

Json vector_params(std::uint32_t dim, const std::string& distance, const CreateFlags& flags) {
  Json params{{"size", dim}, {"distance", distance_name(distance)}};
  if (flags.datatype) params["datatype"] = *flags.datatype;
  flags.index.append_to(params);
  return params;
}

Json create_body(const CreateFlags& flags) {
  if (flags.vectors.empty() == !flags.dim) {
    throw CLI::ValidationError("collection create",
                               "give either --dim, or --vector name:dim:distance once a vector");
  }
  if (flags.dim) return {{"vectors", vector_params(*flags.dim, flags.distance, flags)}};
  Json vectors = Json::object();
  for (const std::string& text : flags.vectors) {
    const std::vector<std::string> parts = CLI::detail::split(text, ':');
    if (parts.size() != 3 || parts[0].empty()) {
      throw CLI::ValidationError("--vector", "\"" + text + "\" is not name:dim:distance");
    }
    if (vectors.contains(parts[0])) {
      throw CLI::ValidationError("--vector", "\"" + parts[0] + "\" is given twice");
    }
    vectors[parts[0]] = vector_params(dim_of(parts[1]), parts[2], flags);
  }
  return {{"vectors", std::move(vectors)}};
}

Status create(const Context& context, const std::string& name, const Json& body) {
  TESSERA_ASSIGN_OR_RETURN(ApiClient client, context.client());
  TESSERA_ASSIGN_OR_RETURN(const Json result,
                           client.call("PUT", collection_path(name), show_json(body)));
  print(context.is_json ? show_json({{"created", name}}) + "\n" : "created " + name + "\n");
  return {};
}

Status list(const Context& context) {
  TESSERA_ASSIGN_OR_RETURN(ApiClient client, context.client());
  TESSERA_ASSIGN_OR_RETURN(const Json result, client.call("GET", "/collections"));
  if (context.is_json) {
    print(show_json(member(result, "collections")) + "\n");
    return {};
  }
  for (const Json& entry : member(result, "collections")) print(member_text(entry, "name") + "\n");
  return {};
}

/// "size 64, Cosine, index {...}"
std::string vector_text(const Json& params) {
  std::string text = "size " + member_text(params, "size") + ", " + member_text(params, "distance");
  for (const char* extra : {"datatype", "index", "hnsw_config"}) {
    const Json& value = member(params, extra);
    if (!value.is_null()) text += std::string(", ") + extra + " " + show_json(value);
  }
  return text;
}

Status show_info(const Context& context, const std::string& name) {
  TESSERA_ASSIGN_OR_RETURN(ApiClient client, context.client());
  TESSERA_ASSIGN_OR_RETURN(const Json info, client.call("GET", collection_path(name)));
  if (context.is_json) {
    print(show_json(info) + "\n");
    return {};
  }
  std::vector<std::vector<std::string>> rows{
      {"status", member_text(info, "status")},
      {"points", with_separators(member_count(info, "points_count"))},
      {"indexed vectors", with_separators(member_count(info, "indexed_vectors_count"))},
      {"segments", member_text(info, "segments_count")}};
  const Json& optimizer = member(info, "optimizer_status");
  if (!optimizer.is_string()) rows.push_back({"optimizer error", member_text(optimizer, "error")});
  const Json& config = member(info, "config");
  const Json& vectors = member(member(config, "params"), "vectors");
  if (vectors.contains("size")) {
    rows.push_back({"vector", vector_text(vectors)});
  } else {
    for (const auto& [vector, params] : vectors.items()) {
      rows.push_back({"vector \"" + vector + "\"", vector_text(params)});
    }
  }
  rows.push_back({"hnsw", show_json(member(config, "hnsw_config"))});
  for (const auto& [field, schema] : member(info, "payload_schema").items()) {
    rows.push_back({"payload index " + field, member_text(schema, "data_type") + ", " +
                                                  with_separators(member_count(schema, "points")) +
                                                  " points"});
  }
  print(format_table({"COLLECTION", name}, rows));
  return {};
}

Status remove(const Context& context, const std::string& name, bool is_confirmed) {
  TESSERA_ASSIGN_OR_RETURN(ApiClient client, context.client());
  TESSERA_ASSIGN_OR_RETURN(const Json info, client.call("GET", collection_path(name)));
  if (!is_confirmed) {
    print("Delete collection " + name + " with " +
          with_separators(member_count(info, "points_count")) + " points? [y/N] ");
    TESSERA_RETURN_IF_ERROR(flush_output());
    const std::string answer = read_input_line();
    if (answer != "y" && answer != "Y" && answer != "yes") {
      return {Code::kCancelled, "nothing was deleted"};
    }
  }
  TESSERA_ASSIGN_OR_RETURN(const Json result, client.call("DELETE", collection_path(name)));
  if (result.is_boolean() && !result.get<bool>()) {
    return {Code::kNotFound, "collection " + name + " is gone already"};
  }
  print(context.is_json ? show_json({{"deleted", name}}) + "\n" : "deleted " + name + "\n");
  return {};
}

void add_create(CLI::App& parent, Context& context) {
  CLI::App* command = parent.add_subcommand("create", "Creates a collection");
  const auto flags = std::make_shared<CreateFlags>();
  command->add_option("name", flags->name, "Name of the collection")->required();
  command->add_option("--dim", flags->dim, "Values of a vector")->check(CLI::Range(1, 65536));
  command->add_option("--distance", flags->distance, "cosine, euclid, dot or manhattan")
      ->capture_default_str();
  command->add_option("--vector", flags->vectors, "Named vector as name:dim:distance; repeatable")
      ->allow_extra_args(false);
  command->add_option("--datatype", flags->datatype, "float32, float16 or uint8, of every vector")
      ->check(CLI::IsMember({"float32", "float16", "uint8"}));
  flags->index.add_to(*command);
  command->footer(
      "Examples:\n"
      "  tessera collection create films --dim 64 --distance cosine\n"
      "  tessera collection create docs --vector title:384:cosine --vector body:768:dot\n"
      "  tessera collection create big --dim 128 --distance euclid --index ivf_pq --lists 4096\n"
      "  tessera collection create images --dim 512 --distance dot --datatype uint8");
  command->callback([flags, &context] {
    Json body = create_body(*flags);
    context.action = [flags, body = std::move(body), &context] {
      return create(context, flags->name, body);
    };
  });
}

}  // namespace

std::string distance_name(const std::string& text) {
  for (const char* name : {"Cosine", "Euclid", "Dot", "Manhattan"}) {
    if (CLI::detail::to_lower(text) == CLI::detail::to_lower(name)) return name;
  }
  throw CLI::ValidationError("distance",
                             "\"" + text + "\" is none of cosine, euclid, dot, manhattan");
}

void IndexFlags::add_to(CLI::App& command) {
  command.add_option("--index", type, "hnsw, ivf_flat, ivf_sq8, ivf_pq or flat")
      ->check(CLI::IsMember({"hnsw", "ivf_flat", "ivf_sq8", "ivf_pq", "flat"}));
  command.add_option("--lists", list_count, "IVF: inverted lists")->check(CLI::PositiveNumber);
  command.add_option("--probes", probe_count, "IVF: lists a search visits")
      ->check(CLI::PositiveNumber);
  command.add_option("--pq-segments", pq_segment_count, "IVF-PQ: code bytes of a vector")
      ->check(CLI::PositiveNumber);
  command.add_option("--m", m, "HNSW: links of a node");
  command.add_option("--ef-construct", ef_construct, "HNSW: candidates while building")
      ->check(CLI::PositiveNumber);
}

void IndexFlags::append_to(Json& params) const {
  const bool is_ivf = type && type->starts_with("ivf");
  if (!is_ivf && (list_count || probe_count)) {
    throw CLI::ValidationError("--lists and --probes", "need --index ivf_flat, ivf_sq8 or ivf_pq");
  }
  if (pq_segment_count && type != "ivf_pq") {
    throw CLI::ValidationError("--pq-segments", "needs --index ivf_pq");
  }
  if ((m || ef_construct) && type && type != "hnsw") {
    throw CLI::ValidationError("--m and --ef-construct", "need --index hnsw");
  }
  if (type) {
    Json index{{"type", *type}};
    if (list_count) index["lists"] = *list_count;
    if (probe_count) index["probes"] = *probe_count;
    if (pq_segment_count) index["pq_segments"] = *pq_segment_count;
    params["index"] = std::move(index);
  }
  Json hnsw = Json::object();
  if (m) hnsw["m"] = *m;
  if (ef_construct) hnsw["ef_construct"] = *ef_construct;
  if (!hnsw.empty()) params["hnsw_config"] = std::move(hnsw);
}

void add_collection_commands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("collection", "Creates, lists, shows, deletes collections");
  group->require_subcommand(1);
  group->fallthrough();
  add_create(*group, context);

  CLI::App* list_command = group->add_subcommand("list", "Names of all collections");
  list_command->callback([&context] { context.action = [&context] { return list(context); }; });

  CLI::App* info_command = group->add_subcommand("info", "Counts and configuration of one");
  const auto name = std::make_shared<std::string>();
  info_command->add_option("name", *name, "Name of the collection")->required();
  info_command->callback([name, &context] {
    context.action = [name, &context] { return show_info(context, *name); };
  });

  CLI::App* delete_command = group->add_subcommand("delete", "Deletes one with all its points");
  const auto is_confirmed = std::make_shared<bool>(false);
  delete_command->add_option("name", *name, "Name of the collection")->required();
  delete_command->add_flag("--yes", *is_confirmed, "Do not ask");
  delete_command->callback([name, is_confirmed, &context] {
    if (!*is_confirmed && (!is_input_terminal() || context.is_json)) {
      throw CLI::ValidationError("collection delete", "needs --yes when nobody can be asked");
    }
    context.action = [name, is_confirmed, &context] {
      return remove(context, *name, *is_confirmed);
    };
  });
}

}  // namespace tessera::cli
