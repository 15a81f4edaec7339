#include "cli/import_state.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/bytes.h"
#include "cli/input_file.h"
#include "cli/json_text.h"

namespace tessera::cli {
namespace {

constexpr std::size_t kHeadBytes = 64U << 10;
constexpr std::size_t kStateBytesMax = 4U << 20;
constexpr int kVersion = 1;

Status state_error(const std::string& path, const char* doing) {
  return {Code::kUnavailable, path + ": cannot " + doing + ": " + std::strerror(errno)};
}

Json encode(const ImportState& state) {
  Json inputs = Json::array();
  for (const InputFingerprint& input : state.inputs) {
    inputs.push_back({{"path", input.path},
                      {"size_bytes", input.size_bytes},
                      {"modified_ns", input.modified_ns},
                      {"head_crc", input.head_crc}});
  }
  return {{"tessera_import", kVersion},
          {"collection", state.collection},
          {"options", state.options},
          {"inputs", std::move(inputs)},
          {"file_index", state.file_index},
          {"row_count_before", state.row_count_before},
          {"byte_offset", state.position.byte_offset},
          {"line_number", state.position.line_number},
          {"row_index", state.position.row_index},
          {"imported_count", state.imported_count},
          {"bad_count", state.bad_count},
          {"skipped_count", state.skipped_count}};
}

/// Throws Json::exception when a member is missing or of the wrong type.
ImportState decode(const Json& json) {
  ImportState state;
  state.collection = json.at("collection").get<std::string>();
  state.options = json.at("options").get<std::string>();
  for (const Json& input : json.at("inputs")) {
    state.inputs.push_back(
        {input.at("path").get<std::string>(), input.at("size_bytes").get<std::uint64_t>(),
         input.at("modified_ns").get<std::int64_t>(), input.at("head_crc").get<std::uint32_t>()});
  }
  state.file_index = json.at("file_index").get<std::uint64_t>();
  state.row_count_before = json.at("row_count_before").get<std::uint64_t>();
  state.position.byte_offset = json.at("byte_offset").get<std::uint64_t>();
  state.position.line_number = json.at("line_number").get<std::uint64_t>();
  state.position.row_index = json.at("row_index").get<std::uint64_t>();
  state.imported_count = json.at("imported_count").get<std::uint64_t>();
  state.bad_count = json.at("bad_count").get<std::uint64_t>();
  state.skipped_count = json.at("skipped_count").get<std::uint64_t>();
  return state;
}

}  // namespace

Result<std::optional<InputFingerprint>> fingerprint_of(const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(InputFile file, InputFile::open(path));
  if (!file.size_bytes() || path == "-") return std::optional<InputFingerprint>();
  std::vector<std::byte> head(kHeadBytes);
  TESSERA_ASSIGN_OR_RETURN(const std::size_t count, file.read(head));
  head.resize(count);
  return std::optional(
      InputFingerprint{path, *file.size_bytes(), file.modified_ns(), crc32c(0, head)});
}

Status save_import_state(const std::string& path, const ImportState& state) {
  const std::string temporary = path + ".new";
  const std::string text = show_json(encode(state)) + "\n";
  const auto close = [](std::FILE* file) { std::fclose(file); };
  std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(temporary.c_str(), "wbe"), close);
  if (!file) return state_error(temporary, "create");
  const bool is_written = std::fwrite(text.data(), 1, text.size(), file.get()) == text.size();
  if (!is_written || std::fclose(file.release()) != 0) return state_error(temporary, "write");
  if (std::rename(temporary.c_str(), path.c_str()) != 0) return state_error(path, "replace");
  return {};
}

Result<std::optional<ImportState>> load_import_state(const std::string& path) {
  Result<InputFile> file = InputFile::open(path);
  if (!file && file.error().code() == Code::kNotFound) return std::optional<ImportState>();
  if (!file) return file.error();
  std::string text(kStateBytesMax, '\0');
  TESSERA_ASSIGN_OR_RETURN(const std::size_t count,
                           file->read(std::as_writable_bytes(std::span(text))));
  text.resize(count);
  const Status damaged(Code::kCorrupt, path +
                                           ": is no import state, or damaged; remove it to start "
                                           "from the beginning");
  const Result<Json> json = parse_json(text);
  if (!json || member_count(*json, "tessera_import") != kVersion) return damaged;
  try {
    return std::optional(decode(*json));
  } catch (const Json::exception&) {
    return damaged;
  }
}

Status remove_import_state(const std::string& path) {
  if (std::remove(path.c_str()) != 0 && errno != ENOENT) return state_error(path, "remove");
  return {};
}

}  // namespace tessera::cli
