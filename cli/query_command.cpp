#include <algorithm>
#include <limits>
#include <memory>

#include "cli/commands.h"
#include "cli/console.h"
#include "cli/input_file.h"
#include "cli/point_json.h"

namespace tessera::cli {
namespace {

constexpr std::size_t kBodyBytesMax = 32U << 20;

struct QueryFlags {
  std::string collection;
  std::optional<std::string> vector;
  std::optional<std::string> id;
  std::vector<std::string> history;
  std::optional<std::string> body;
  std::optional<std::string> using_vector;
  std::optional<std::uint64_t> limit;
  std::optional<std::uint64_t> offset;
  std::optional<std::string> filter;
  std::optional<std::uint64_t> ef;
  bool is_exact = false;
  bool shows_payload = false;
};

[[noreturn]] void refuse(const std::string& flag, const std::string& reason) {
  throw CLI::ValidationError(flag, reason);
}

/// A JSON text, or the contents of a file: "@query.json", "-" for standard input.
Result<Json> json_argument(const std::string& text) {
  if (text != "-" && !text.starts_with('@')) return parse_json(text);
  const std::string path = text == "-" ? text : text.substr(1);
  TESSERA_ASSIGN_OR_RETURN(InputFile file, InputFile::open(path));
  std::string contents;
  std::string chunk(64U << 10, '\0');
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(const std::size_t count,
                             file.read(std::as_writable_bytes(std::span(chunk))));
    if (count == 0) break;
    contents.append(chunk, 0, count);
    if (contents.size() > kBodyBytesMax) {
      return Status(Code::kInvalidArgument, "is larger than 32 MiB");
    }
  }
  return parse_json(contents);
}

Json json_of(const std::string& flag, const std::string& text) {
  Result<Json> value = json_argument(text);
  if (!value) refuse(flag, value.error().message());
  return std::move(*value);
}

Json id_of(const std::string& flag, const std::string& text) {
  const Result<PointId> id = id_from_text(text);
  if (!id) refuse(flag, id.error().message());
  return id->is_uuid() ? Json(id->to_string()) : Json(id->number());
}

/// The request's "query", or null when no flag asks for one.
Json query_of(const QueryFlags& flags) {
  if (flags.vector) return json_of("--vector", *flags.vector);
  if (flags.id) return id_of("--id", *flags.id);
  if (flags.history.empty()) return nullptr;
  Json history = Json::array();
  for (const std::string& id : flags.history) history.push_back(id_of("--interests-history", id));
  return {{"interests", {{"history", std::move(history)}}}};
}

Json request_body(const QueryFlags& flags) {
  const int kinds =
      static_cast<int>(flags.vector.has_value()) + static_cast<int>(flags.id.has_value()) +
      static_cast<int>(!flags.history.empty()) + static_cast<int>(flags.body.has_value());
  if (kinds > 1) {
    refuse("query", "--vector, --id, --interests-history and --body exclude each other");
  }
  Json body = flags.body ? json_of("--body", *flags.body) : Json::object();
  if (!body.is_object()) refuse("--body", "is not a JSON object");
  Json query = query_of(flags);
  if (!query.is_null()) body["query"] = std::move(query);
  if (flags.using_vector) body["using"] = *flags.using_vector;
  if (flags.limit) body["limit"] = *flags.limit;
  if (flags.offset) body["offset"] = *flags.offset;
  if (flags.filter) body["filter"] = json_of("--filter", *flags.filter);
  if (flags.shows_payload) body["with_payload"] = true;
  if (flags.ef) body["params"]["hnsw_ef"] = *flags.ef;
  if (flags.is_exact) body["params"]["exact"] = true;
  return body;
}

/// "title: Toy Story (1995); genres: Animation, Comedy"
std::string payload_text(const Json& payload) {
  std::string text;
  for (const auto& [name, value] : payload.items()) {
    if (!text.empty()) text += "; ";
    text += name + ": ";
    const bool is_flat_list =
        value.is_array() && std::none_of(value.begin(), value.end(),
                                         [](const Json& item) { return item.is_structured(); });
    if (!is_flat_list) {
      text += value.is_string() ? value.get<std::string>() : show_json(value);
      continue;
    }
    for (std::size_t i = 0; i < value.size(); ++i) {
      text += i == 0 ? "" : ", ";
      text += value[i].is_string() ? value[i].get<std::string>() : show_json(value[i]);
    }
  }
  return text;
}

bool has_member(const Json& points, const char* name) {
  return std::any_of(points.begin(), points.end(),
                     [name](const Json& point) { return !member(point, name).is_null(); });
}

void print_hits(const Json& result) {
  const Json& points = member(result, "points");
  if (points.empty()) {
    print("No hits.\n");
    return;
  }
  const bool has_interest = has_member(points, "interest");
  const bool has_round = has_member(points, "round");
  const bool has_payload = has_member(points, "payload");
  std::vector<std::string> header{"RANK", "ID", "SCORE"};
  if (has_interest) header.emplace_back("INTEREST");
  if (has_round) header.emplace_back("ROUND");
  if (has_payload) header.emplace_back("PAYLOAD");
  const std::size_t payload_width = is_output_terminal()
                                        ? std::max<std::size_t>(terminal_width(), 80) - 40
                                        : std::numeric_limits<std::size_t>::max();
  std::vector<std::vector<std::string>> rows;
  for (const Json& point : points) {
    std::vector<std::string> row{std::to_string(rows.size() + 1), member_text(point, "id"),
                                 member_text(point, "score")};
    if (has_interest) row.push_back(member_text(member(point, "interest"), "component"));
    if (has_round) row.push_back(member_text(point, "round"));
    if (has_payload)
      row.push_back(shortened(payload_text(member(point, "payload")), payload_width));
    rows.push_back(std::move(row));
  }
  print(format_table(header, rows));
}

void print_interests(const Json& result) {
  const Json& interests = member(result, "interests");
  if (!interests.is_array() || interests.empty()) return;
  std::vector<std::vector<std::string>> rows;
  for (const Json& interest : interests) {
    rows.push_back({member_text(interest, "component"), member_text(interest, "weight"),
                    member_text(interest, "quota"), member_text(interest, "returned"),
                    member_text(interest, "medoid")});
  }
  print("\n" + format_table({"INTEREST", "WEIGHT", "QUOTA", "RETURNED", "MEDOID"}, rows));
}

Status query(const Context& context, const std::string& collection, const Json& body) {
  TESSERA_ASSIGN_OR_RETURN(ApiClient client, context.client());
  TESSERA_ASSIGN_OR_RETURN(const std::string text, encode_json(body));
  TESSERA_ASSIGN_OR_RETURN(const Json result,
                           client.call("POST", collection_path(collection, "/points/query"), text));
  if (context.is_json) {
    print(show_json(result) + "\n");
    return {};
  }
  print_hits(result);
  print_interests(result);
  return {};
}

}  // namespace

void add_query_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("query", "Asks for the nearest points");
  const auto flags = std::make_shared<QueryFlags>();
  command->add_option("collection", flags->collection, "Name of the collection")->required();
  command->add_option("--vector", flags->vector, "Query vector as a JSON list, or @FILE");
  command->add_option("--id", flags->id, "Points near this one");
  command
      ->add_option("--interests-history", flags->history,
                   "Ids separated by commas: one search per interest of this history")
      ->delimiter(',')
      ->allow_extra_args(false);
  command->add_option("--body", flags->body, "Whole request as JSON, @FILE, or - to read it");
  command->add_option("--using", flags->using_vector, "Named vector to search");
  command->add_option("--limit", flags->limit, "Hits wanted (10)")->check(CLI::PositiveNumber);
  command->add_option("--offset", flags->offset, "Hits to pass over first");
  command->add_option("--filter", flags->filter, "Filter as JSON, or @FILE");
  command->add_option("--ef", flags->ef, "HNSW: candidates while searching")
      ->check(CLI::PositiveNumber);
  command->add_flag("--exact", flags->is_exact, "Compare with every point");
  command->add_flag("--with-payload", flags->shows_payload, "Show the payloads");
  command->footer(
      "Examples:\n"
      "  tessera query films --id 1 --limit 5 --with-payload\n"
      "  tessera query films --vector '[0.1, 0.2, 0.3]' --exact\n"
      "  tessera query films --id 1 --filter '{\"must\": [{\"key\": \"genres\", "
      "\"match\": {\"value\": \"Comedy\"}}]}'\n"
      "  tessera query films --interests-history 1,34,260 --with-payload\n"
      "  tessera query films --body @query.json --json");
  command->callback([flags, &context] {
    Json body = request_body(*flags);
    context.action = [flags, body = std::move(body), &context] {
      return query(context, flags->collection, body);
    };
  });
}

}  // namespace tessera::cli
