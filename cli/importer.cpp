#include "cli/importer.h"

#include <algorithm>
#include <deque>
#include <map>

#include "cli/batch_sender.h"
#include "cli/console.h"
#include "cli/import_state.h"

namespace tessera::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTick{100};
constexpr std::size_t kPeekRowCountMax = 1000;

std::string optional_text(const std::optional<std::string>& text) {
  return text.value_or("-");
}

/// Everything that decides which points the rows become, so that a resumed import cannot mix two
/// ways.
std::string options_text(const RowOptions& rows) {
  std::string text;
  const auto add = [&text](const std::string& part) { text += part + '\x1f'; };
  add(rows.format ? std::to_string(static_cast<int>(*rows.format)) : "-");
  add(rows.vector_name);
  add(rows.first_id ? std::to_string(*rows.first_id) : "-");
  add(rows.skips_zero_rows ? "skip-zero" : "-");
  add(rows.id_field);
  add(rows.vector_field);
  add(rows.takes_rest_as_payload ? "rest" : "-");
  add(rows.csv_vector_prefix);
  add(optional_text(rows.csv_vector_column));
  add(optional_text(rows.ids_file));
  add(optional_text(rows.payloads_file));
  add(std::to_string(static_cast<int>(rows.payload_match)));
  return text;
}

std::vector<std::pair<std::string, std::size_t>> dims_of(const ImportRow& row) {
  std::vector<std::pair<std::string, std::size_t>> dims;
  for (const auto& [name, vector] : row.vectors) dims.emplace_back(name, vector.size());
  return dims;
}

/// About what the row takes as JSON, its largest form.
std::size_t bytes_of(const ImportRow& row) {
  constexpr std::size_t kNumberBytes = 13;
  constexpr std::size_t kFrameBytes = 80;
  std::size_t bytes = kFrameBytes + row.payload_json.size();
  for (const auto& [name, vector] : row.vectors) {
    bytes += name.size() + vector.size() * kNumberBytes;
  }
  return bytes;
}

/// One run. Thread rule: confined to one thread.
class Import {
 public:
  Import(const DaemonUrl& url, const ImportOptions& options, const ImportListener& listener,
         ImportSummary& summary)
      : url_(url), options_(options), listener_(listener), summary_(summary), client_(url) {}

  Status run() {
    const auto begin = Clock::now();
    Status status = prepare();
    if (status.ok()) status = transfer();
    if (status.ok() && state_path_) status = remove_import_state(*state_path_);
    summary_.imported_count = state_.imported_count + unordered_accepted_count_;
    summary_.bad_count = bad_count_;
    summary_.skipped_count = state_.skipped_count;
    summary_.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    return status;
  }

 private:
  /// State of the import when a batch and all before it are acknowledged.
  struct Mark {
    std::uint64_t file_index = 0;
    std::uint64_t row_count_before = 0;
    RowPosition position;
    std::uint64_t bad_count = 0;      ///< Found while reading, since the mark before.
    std::uint64_t skipped_count = 0;  ///< Since the mark before.
    std::optional<BatchOutcome> outcome;
  };

  Status prepare() {
    TESSERA_RETURN_IF_ERROR(check_inputs());
    TESSERA_RETURN_IF_ERROR(load_state());
    TESSERA_RETURN_IF_ERROR(open_file(state_.file_index, state_.row_count_before));
    if (state_.position.row_index > 0) TESSERA_RETURN_IF_ERROR(source_->seek(state_.position));
    return ensure_collection();
  }

  /// Opens every file once, so that a damaged header is found before anything is sent.
  Status check_inputs() {
    state_.collection = options_.collection;
    state_.options = options_text(options_.rows);
    bool has_pipe = false;
    std::vector<std::string> paths = options_.files;
    if (options_.rows.ids_file) paths.push_back(*options_.rows.ids_file);
    if (options_.rows.payloads_file) paths.push_back(*options_.rows.payloads_file);
    if (options_.files.size() > 1 && paths.size() > options_.files.size()) {
      return {Code::kInvalidArgument,
              "--ids and --payload belong to one file of vectors; import "
              "the files one after the other"};
    }
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < paths.size(); ++i) {
      TESSERA_ASSIGN_OR_RETURN(const std::optional<InputFingerprint> input,
                               fingerprint_of(paths[i]));
      if (!input) {
        has_pipe = true;
        continue;
      }
      state_.inputs.push_back(*input);
      if (i >= options_.files.size()) continue;
      total += input->size_bytes;
      if (i > 0) {
        TESSERA_ASSIGN_OR_RETURN([[maybe_unused]] const auto checked,
                                 open_row_source(paths[i], options_.rows, 0));
      }
    }
    if (!has_pipe) progress_.total_bytes = total;
    if (has_pipe && options_.resumes) {
      return {Code::kInvalidArgument,
              "--resume needs files: a pipe cannot be read from the middle"};
    }
    if (!has_pipe) {
      state_path_ = options_.state_path.value_or(options_.files.front() + ".tessera-import");
    }
    return {};
  }

  Status load_state() {
    if (!options_.resumes) return {};
    TESSERA_ASSIGN_OR_RETURN(std::optional<ImportState> saved, load_import_state(*state_path_));
    if (!saved) {
      say(*state_path_ + " is not there: starting from the beginning");
      return {};
    }
    const Status differs(Code::kInvalidArgument, "cannot resume from " + *state_path_ + ": ");
    const std::string advice = "; run again without --resume to start over";
    if (saved->collection != state_.collection) {
      return {Code::kInvalidArgument,
              differs.message() + "it is of collection \"" + saved->collection + "\"" + advice};
    }
    if (saved->options != state_.options) {
      return {Code::kInvalidArgument,
              differs.message() + "the rows were read with other options" + advice};
    }
    if (saved->inputs != state_.inputs || saved->file_index >= options_.files.size()) {
      return {Code::kInvalidArgument, differs.message() + "the files have changed since" + advice};
    }
    state_ = std::move(*saved);
    bad_count_ = state_.bad_count;
    summary_.resumed_count = state_.imported_count;
    for (std::size_t i = 0; i < state_.file_index; ++i)
      bytes_before_ += state_.inputs[i].size_bytes;
    progress_.start_bytes = bytes_before_ + state_.position.byte_offset;
    progress_.resumed_count = state_.imported_count;
    say("resuming behind " + with_separators(state_.imported_count) + " imported rows");
    return {};
  }

  Status open_file(std::uint64_t file_index, std::uint64_t row_count_before) {
    file_index_ = file_index;
    row_count_before_ = row_count_before;
    position_ = file_index == state_.file_index ? state_.position : RowPosition();
    TESSERA_ASSIGN_OR_RETURN(
        source_, open_row_source(options_.files[file_index], options_.rows, row_count_before));
    return {};
  }

  Status ensure_collection() {
    TESSERA_ASSIGN_OR_RETURN(const ApiReply info,
                             client_.send("GET", collection_path(options_.collection)));
    if (info.ok()) return {};
    if (info.http_status != 404) return info.to_status();
    if (!options_.create) {
      const Status missing = info.to_status();
      return {missing.code(), missing.message() +
                                  " Create it first, or import with --create "
                                  "--distance cosine"};
    }
    TESSERA_ASSIGN_OR_RETURN(const auto dims, first_dims());
    Json vectors = Json::object();
    for (const auto& [name, dim] : dims) {
      Json params = *options_.create;
      params["size"] = dim;
      if (name.empty()) {
        vectors = std::move(params);
      } else {
        vectors[name] = std::move(params);
      }
    }
    const std::string body = show_json(Json{{"vectors", std::move(vectors)}});
    TESSERA_ASSIGN_OR_RETURN(const ApiReply created,
                             client_.send("PUT", collection_path(options_.collection), body));
    // Somebody else may have created it since; then it is there all the same.
    if (!created.ok() && created.http_status != 409) return created.to_status();
    summary_.is_created = created.ok();
    return {};
  }

  /// Dimensions of the first good row. Rows read on the way are kept for later.
  Result<std::vector<std::pair<std::string, std::size_t>>> first_dims() {
    while (peeked_.size() < kPeekRowCountMax) {
      ImportRow row;
      TESSERA_ASSIGN_OR_RETURN(const bool is_there, source_->next(row));
      if (!is_there) break;
      peeked_.push_back(std::move(row));
      if (peeked_.back().problem.empty()) return dims_of(peeked_.back());
      if (!options_.skips_bad_rows) {
        return Status(Code::kInvalidArgument, peeked_.back().where + ": " + peeked_.back().problem);
      }
    }
    return Status(Code::kInvalidArgument,
                  options_.files[file_index_] + ": has no good row to learn the dimension from");
  }

  Status transfer() {
    BatchSender::Options sender_options;
    sender_options.collection = options_.collection;
    sender_options.connection_count = options_.connection_count;
    sender_options.retry_for = options_.retry_for;
    sender_options.stops_at_bad_row = !options_.skips_bad_rows;
    sender_options.is_binary = takes_binary();
    BatchSender sender(url_, sender_options);
    Status status = read_files(sender);
    // What was read before a bad row or a damaged file is still imported.
    if (is_sending_) {
      const Status rest = drain(sender);
      if (status.ok()) status = rest;
    }
    return status;
  }

  /// A daemon says which bodies it takes; one that does not takes JSON.
  bool takes_binary() {
    const Result<ApiReply> root = client_.send("GET", "/");
    if (!root || !root->ok()) return false;
    const Json& types = member(member(root->result, "tessera"), "body_types");
    return types.is_array() &&
           std::find(types.begin(), types.end(), kBinaryPointsType) != types.end();
  }

  Status read_files(BatchSender& sender) {
    while (true) {
      const Status read = read_rows(sender);
      TESSERA_RETURN_IF_ERROR(send_batch(sender));
      TESSERA_RETURN_IF_ERROR(read);
      const std::string remark = source_->remark();
      if (!remark.empty() && summary_.resumed_count == 0) say(remark);
      if (file_index_ + 1 == options_.files.size()) return {};
      bytes_before_ += source_->size_bytes().value_or(0);
      TESSERA_RETURN_IF_ERROR(open_file(file_index_ + 1, row_count_before_ + position_.row_index));
    }
  }

  Status read_rows(BatchSender& sender) {
    while (true) {
      ImportRow row;
      TESSERA_ASSIGN_OR_RETURN(const bool is_there, next_row(row));
      if (!is_there) return {};
      if (!row.problem.empty()) {
        // A bad row that ends the import is not behind us: resuming reads it again.
        if (!options_.skips_bad_rows)
          return {Code::kInvalidArgument, row.where + ": " + row.problem};
        TESSERA_RETURN_IF_ERROR(report_bad_row({row.where, row.problem}));
        ++mark_.bad_count;
      }
      const bool is_sent = row.problem.empty() && !row.is_skipped;
      if (row.problem.empty() && row.is_skipped) ++mark_.skipped_count;
      if (is_sent && batch_bytes_ + bytes_of(row) > options_.batch_bytes_max) {
        TESSERA_RETURN_IF_ERROR(send_batch(sender));
      }
      position_ = row.after;
      progress_.done_bytes = bytes_before_ + position_.byte_offset;
      if (!is_sent) continue;
      batch_bytes_ += bytes_of(row);
      batch_.rows.push_back(std::move(row));
      if (batch_.rows.size() >= options_.batch_row_count) {
        TESSERA_RETURN_IF_ERROR(send_batch(sender));
      }
    }
  }

  Result<bool> next_row(ImportRow& row) {
    if (peeked_.empty()) return source_->next(row);
    row = std::move(peeked_.front());
    peeked_.pop_front();
    return true;
  }

  Status send_batch(BatchSender& sender) {
    mark_.file_index = file_index_;
    mark_.row_count_before = row_count_before_;
    mark_.position = position_;
    batch_.number = next_batch_number_++;
    marks_.emplace(batch_.number, std::move(mark_));
    mark_ = {};
    while (!sender.submit(batch_, kTick)) TESSERA_RETURN_IF_ERROR(take_outcomes(sender));
    batch_ = {};
    batch_bytes_ = 0;
    return take_outcomes(sender, std::chrono::milliseconds(0));
  }

  Status drain(BatchSender& sender) {
    while (sender.pending_count() > 0) TESSERA_RETURN_IF_ERROR(take_outcomes(sender));
    return {};
  }

  Status take_outcomes(BatchSender& sender, std::chrono::milliseconds wait = kTick) {
    Status status;
    for (BatchOutcome& outcome : sender.take_outcomes(wait)) {
      const Status failure = take_outcome(std::move(outcome));
      if (status.ok()) status = failure;
    }
    const Status saved = acknowledge();
    if (status.ok()) status = saved;
    if (!status.ok()) is_sending_ = false;
    show_progress(sender.retry_reason());
    return status;
  }

  Status take_outcome(BatchOutcome outcome) {
    unordered_accepted_count_ += outcome.accepted_count;
    if (!outcome.failure.ok()) return outcome.failure;
    if (!options_.skips_bad_rows && !outcome.bad_rows.empty()) {
      const BadRow& row = outcome.bad_rows.front();
      return {Code::kInvalidArgument, row.where + ": " + row.problem};
    }
    for (const BadRow& row : outcome.bad_rows) TESSERA_RETURN_IF_ERROR(report_bad_row(row));
    marks_.at(outcome.number).outcome = std::move(outcome);
    return {};
  }

  Status report_bad_row(const BadRow& row) {
    ++bad_count_;
    say(row.where + ": " + row.problem + " (skipped)");
    if (bad_count_ <= options_.bad_row_count_max) return {};
    return {Code::kInvalidArgument, "more than " + with_separators(options_.bad_row_count_max) +
                                        " bad rows (--max-errors)"};
  }

  /// Moves the state over all batches that are done without a gap, and saves it.
  Status acknowledge() {
    bool has_moved = false;
    while (!marks_.empty() && marks_.begin()->second.outcome) {
      const Mark& mark = marks_.begin()->second;
      state_.file_index = mark.file_index;
      state_.row_count_before = mark.row_count_before;
      state_.position = mark.position;
      state_.imported_count += mark.outcome->accepted_count;
      state_.bad_count += mark.bad_count + mark.outcome->bad_rows.size();
      state_.skipped_count += mark.skipped_count;
      unordered_accepted_count_ -= mark.outcome->accepted_count;
      marks_.erase(marks_.begin());
      has_moved = true;
    }
    if (!has_moved || !state_path_) return {};
    const Status saved = save_import_state(*state_path_, state_);
    if (saved.ok() || options_.state_path || options_.resumes) return saved;
    say(saved.message() + "; this import cannot be resumed (--state names another place)");
    state_path_.reset();
    return {};
  }

  void show_progress(const std::string& retry_reason) {
    if (retry_reason != progress_.retry_reason && !retry_reason.empty()) {
      say(retry_reason + " Trying again.");
    }
    progress_.retry_reason = retry_reason;
    progress_.imported_count = state_.imported_count + unordered_accepted_count_;
    progress_.bad_count = bad_count_;
    if (listener_.on_progress) listener_.on_progress(progress_);
  }

  void say(const std::string& message) const {
    if (listener_.on_message) listener_.on_message(message);
  }

  const DaemonUrl& url_;
  const ImportOptions& options_;
  const ImportListener& listener_;
  ImportSummary& summary_;
  ApiClient client_;

  std::optional<std::string> state_path_;
  ImportState state_;
  ImportProgress progress_;

  std::unique_ptr<RowSource> source_;
  std::uint64_t file_index_ = 0;
  std::uint64_t row_count_before_ = 0;
  std::uint64_t bytes_before_ = 0;
  RowPosition position_;
  std::deque<ImportRow> peeked_;

  Batch batch_;
  std::size_t batch_bytes_ = 0;
  Mark mark_;
  std::uint64_t next_batch_number_ = 0;
  std::map<std::uint64_t, Mark> marks_;
  std::uint64_t unordered_accepted_count_ = 0;
  std::uint64_t bad_count_ = 0;
  bool is_sending_ = true;
};

}  // namespace

Status run_import(const DaemonUrl& url, const ImportOptions& options,
                  const ImportListener& listener, ImportSummary& summary) {
  return Import(url, options, listener, summary).run();
}

}  // namespace tessera::cli
