#include "cli/row_source.h"

#include <array>
#include <filesystem>
#include <string_view>

namespace tessera::cli {
namespace {

struct Extension {
  std::string_view text;
  FileFormat format;
};
constexpr std::array<Extension, 7> kExtensions{{{".jsonl", FileFormat::kJsonLines},
                                                {".ndjson", FileFormat::kJsonLines},
                                                {".json", FileFormat::kJsonLines},
                                                {".npy", FileFormat::kNpy},
                                                {".fvecs", FileFormat::kFvecs},
                                                {".bvecs", FileFormat::kBvecs},
                                                {".csv", FileFormat::kCsv}}};

/// Flags that a format has no use for would otherwise be ignored without a word.
Status check_options(const std::string& path, FileFormat format, const RowOptions& options) {
  const bool has_payload_in_rows = format == FileFormat::kJsonLines || format == FileFormat::kCsv;
  if (has_payload_in_rows && (options.ids_file || options.payloads_file)) {
    return {Code::kInvalidArgument,
            path +
                ": --ids and --payload are for .npy, .fvecs and .bvecs files; here ids and "
                "payload come with the rows"};
  }
  if (options.takes_rest_as_payload && format != FileFormat::kJsonLines) {
    return {Code::kInvalidArgument, path + ": --payload-rest is for JSON lines"};
  }
  if (options.ids_file && options.first_id) {
    return {Code::kInvalidArgument, "--ids and --first-id exclude each other"};
  }
  if (format == FileFormat::kJsonLines && options.first_id) {
    return {Code::kInvalidArgument, path + ": --first-id is for formats without ids"};
  }
  return {};
}

}  // namespace

Result<FileFormat> parse_file_format(const std::string& text) {
  Result<FileFormat> format = file_format_of("x." + text);
  if (!format) return Status(Code::kInvalidArgument, "unknown format \"" + text + "\"");
  return format;
}

Result<FileFormat> file_format_of(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension().string();
  for (const Extension& known : kExtensions) {
    if (extension == known.text) return known.format;
  }
  if (extension == ".gz" || extension == ".zst" || extension == ".bz2") {
    return Status(Code::kInvalidArgument,
                  path + ": compressed files are not read; unpack it, or pipe it in: zcat " + path +
                      " | tessera import COLLECTION - --format jsonl");
  }
  return Status(Code::kInvalidArgument,
                path +
                    ": cannot tell the format from the name; give --format jsonl, npy, fvecs, "
                    "bvecs or csv");
}

Result<std::unique_ptr<RowSource>> open_row_source(const std::string& path,
                                                   const RowOptions& options,
                                                   std::uint64_t row_count_before) {
  FileFormat format = FileFormat::kJsonLines;
  if (options.format) {
    format = *options.format;
  } else {
    TESSERA_ASSIGN_OR_RETURN(format, file_format_of(path));
  }
  TESSERA_RETURN_IF_ERROR(check_options(path, format, options));
  switch (format) {
    case FileFormat::kJsonLines:
      return open_json_lines(path, options);
    case FileFormat::kNpy:
      return open_npy(path, options, row_count_before);
    case FileFormat::kFvecs:
    case FileFormat::kBvecs:
      return open_vecs(path, format, options, row_count_before);
    case FileFormat::kCsv:
      return open_csv(path, options, row_count_before);
  }
  return Status(Code::kInternal, "unknown format");
}

}  // namespace tessera::cli
