#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/database.h"

namespace tessera::api {

/// Users that remember what they were asked and answer what the test put into them.
class FakeUsers final : public engine::Users {
 public:
  Result<engine::WriteResult> put(engine::PutUsers request, bool wait) override {
    if (!failure.ok()) return failure;
    puts.push_back(std::move(request));
    return engine::WriteResult{.operation_id = puts.size(), .completed = wait};
  }
  Result<engine::WriteResult> append(engine::AppendEvents request, bool wait) override {
    if (!failure.ok()) return failure;
    appends.push_back(std::move(request));
    return engine::WriteResult{.operation_id = appends.size(), .completed = wait};
  }
  Result<engine::WriteResult> remove_events(engine::RemoveEvents request, bool wait) override {
    if (!failure.ok()) return failure;
    event_removals.push_back(std::move(request));
    return engine::WriteResult{.operation_id = event_removals.size(), .completed = wait};
  }
  Result<engine::WriteResult> remove(const std::vector<engine::UserId>& ids, bool wait) override {
    if (!failure.ok()) return failure;
    removals.push_back(ids);
    return engine::WriteResult{.operation_id = removals.size(), .completed = wait};
  }
  Result<engine::UserInfo> get(const engine::UserRequest& request,
                               const CancelToken& cancel) const override {
    if (const Status status = cancel.check(); !status.ok()) return status;
    if (!failure.ok()) return failure;
    gets.push_back(request);
    return user;
  }
  Result<engine::UserEventsPage> events(const engine::UserEventsRequest& request,
                                        const CancelToken& cancel) const override {
    if (const Status status = cancel.check(); !status.ok()) return status;
    if (!failure.ok()) return failure;
    event_requests.push_back(request);
    return event_page;
  }
  Result<engine::UserPage> scroll(const engine::ScrollUsersRequest& request,
                                  const CancelToken& cancel) const override {
    if (const Status status = cancel.check(); !status.ok()) return status;
    scrolls.push_back(request);
    return page;
  }
  Result<std::uint64_t> count() const override { return std::uint64_t{page.users.size()}; }

  // What they answer.
  Status failure;
  engine::UserInfo user;
  engine::UserEventsPage event_page;
  engine::UserPage page;

  // What they were asked.
  std::vector<engine::PutUsers> puts;
  std::vector<engine::AppendEvents> appends;
  std::vector<engine::RemoveEvents> event_removals;
  std::vector<std::vector<engine::UserId>> removals;
  mutable std::vector<engine::UserRequest> gets;
  mutable std::vector<engine::UserEventsRequest> event_requests;
  mutable std::vector<engine::ScrollUsersRequest> scrolls;
};

/// Adapters that are not looked at.
class FakeAdapters final : public engine::Adapters {
 public:
  Result<engine::AdapterInfo> put(const std::string& name, std::string_view file) override {
    if (!failure.ok()) return failure;
    files.emplace_back(name, file);
    return info_of(name);
  }
  Result<engine::WriteResult> remove(const std::string& name) override {
    if (!failure.ok()) return failure;
    removals.push_back(name);
    return engine::WriteResult{.operation_id = removals.size(), .completed = true};
  }
  Result<engine::AdapterInfo> get(const std::string& name) const override {
    if (!failure.ok()) return failure;
    return info_of(name);
  }
  Result<std::vector<engine::AdapterInfo>> list() const override {
    if (!failure.ok()) return failure;
    std::vector<engine::AdapterInfo> infos;
    for (const auto& [name, file] : files) infos.push_back(info_of(name));
    return infos;
  }

  Status failure;
  engine::AdapterInfo info;  ///< Of each, but for the name.
  std::vector<std::pair<std::string, std::string>> files;
  std::vector<std::string> removals;

 private:
  [[nodiscard]] engine::AdapterInfo info_of(const std::string& name) const {
    engine::AdapterInfo named = info;
    named.name = name;
    return named;
  }
};

/// Sessions that remember what they were asked and answer what the test put into them.
class FakeSessions final : public engine::Sessions {
 public:
  Result<engine::SessionRoundAnswer> start(engine::StartSession request, bool wait,
                                           const CancelToken& cancel) override {
    if (const Status status = cancel.check(); !status.ok()) return status;
    if (!failure.ok()) return failure;
    starts.push_back(std::move(request));
    waits.push_back(wait);
    return round;
  }
  Result<engine::SessionRoundAnswer> next(const engine::SessionId& id,
                                          const engine::NextRound& request,
                                          const engine::SessionOptionsReader& read_options,
                                          bool wait, const CancelToken& cancel) override {
    if (const Status status = cancel.check(); !status.ok()) return status;
    if (!failure.ok()) return failure;
    ids.push_back(id);
    nexts.push_back(request);
    waits.push_back(wait);
    if (const auto read = read_options(options_text); read.has_error()) return read.error();
    return round;
  }
  Result<engine::SessionInfo> undo(const engine::SessionId& id, std::optional<std::uint32_t> wanted,
                                   bool wait, const CancelToken&) override {
    ids.push_back(id);
    waits.push_back(wait);
    undone.push_back(wanted);
    if (!failure.ok()) return failure;
    return info;
  }
  Result<engine::SessionInfo> reset(const engine::SessionId& id, bool wait,
                                    const CancelToken& cancel) override {
    return undo(id, std::nullopt, wait, cancel);
  }
  Status remove(const engine::SessionId& id, bool wait, const CancelToken&) override {
    ids.push_back(id);
    waits.push_back(wait);
    return failure;
  }
  Result<engine::SessionInfo> get(const engine::SessionId& id, bool with_vectors,
                                  const engine::SessionOptionsReader&,
                                  const CancelToken&) override {
    ids.push_back(id);
    with_vectors_given.push_back(with_vectors);
    if (!failure.ok()) return failure;
    return info;
  }
  std::uint64_t count() const override { return 17; }

  // What they answer.
  Status failure;
  engine::SessionRoundAnswer round;
  engine::SessionInfo info;
  std::string options_text = "{}";

  // What they were asked.
  std::vector<engine::StartSession> starts;
  std::vector<engine::NextRound> nexts;
  std::vector<engine::SessionId> ids;
  std::vector<std::optional<std::uint32_t>> undone;
  std::vector<bool> waits, with_vectors_given;
};

/// A collection that remembers what it was asked and answers what the test put into it.
class FakeCollection final : public engine::Collection {
 public:
  explicit FakeCollection(std::string name) : name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  engine::CollectionInfo info() const override { return info_answer; }

  Result<engine::WriteResult> write(engine::WriteOperation operation, bool wait) override {
    if (!failure.ok()) return failure;
    writes.push_back(std::move(operation));
    waits.push_back(wait);
    return engine::WriteResult{.operation_id = writes.size(), .completed = wait};
  }
  Result<std::vector<engine::Record>> retrieve(
      const engine::RetrieveRequest& request) const override {
    if (!failure.ok()) return failure;
    retrieves.push_back(request);
    std::vector<engine::Record> found;
    for (const PointId& id : request.ids) {
      for (const engine::Record& record : records) {
        if (record.id == id) found.push_back(record);
      }
    }
    return found;
  }
  Result<engine::ScrollPage> scroll(const engine::ScrollRequest& request,
                                    const CancelToken& cancel) const override {
    if (const Status status = cancel.check(); !status.ok()) return status;
    scrolls.push_back(request);
    return engine::ScrollPage{records, next_offset};
  }
  Result<std::uint64_t> count(const engine::CountRequest& request,
                              const CancelToken& cancel) const override {
    if (const Status status = cancel.check(); !status.ok()) return status;
    counts.push_back(request);
    return std::uint64_t{records.size()};
  }
  engine::Users& users() override { return stored_users; }
  engine::Adapters& adapters() override { return stored_adapters; }
  engine::Sessions& sessions() override { return stored_sessions; }
  Result<engine::QueryResult> query(const engine::QueryRequest& request,
                                    const CancelToken& cancel) const override {
    do {
      if (const Status status = cancel.check(); !status.ok()) return status;
    } while (is_endless);
    if (!failure.ok()) return failure;
    queries.push_back(request);
    return query_answer;
  }
  Result<std::vector<engine::QueryResult>> query_many(
      std::span<const engine::QueryRequest> requests, const CancelToken& cancel) const override {
    std::vector<engine::QueryResult> results;
    for (const engine::QueryRequest& request : requests) {
      TESSERA_ASSIGN_OR_RETURN(results.emplace_back(), query(request, cancel));
    }
    return results;
  }
  Result<engine::QueryGroupsResult> query_groups(const engine::QueryGroupsRequest& request,
                                                 const CancelToken& cancel) const override {
    if (const Status status = cancel.check(); !status.ok()) return status;
    if (!failure.ok()) return failure;
    group_queries.push_back(request);
    return groups_answer;
  }
  Result<engine::RecallReport> recall(const engine::RecallRequest& request,
                                      const CancelToken& cancel) const override {
    if (const Status status = cancel.check(); !status.ok()) return status;
    if (!failure.ok()) return failure;
    recalls.push_back(request);
    return recall_answer;
  }
  Result<engine::Estimate> estimate_size(const engine::EstimateRequest& request) const override {
    if (!failure.ok()) return failure;
    estimates.push_back(request);
    return estimate_answer;
  }
  Result<std::uint64_t> start_clusters(const engine::TrainClustersRequest& request) override {
    if (!failure.ok()) return failure;
    trainings.push_back(request);
    return std::uint64_t{41};
  }
  Result<std::uint64_t> start_reindex(const engine::ReindexRequest& request) override {
    if (!failure.ok()) return failure;
    reindexes.push_back(request);
    return std::uint64_t{42};
  }
  Result<engine::ClustersInfo> clusters(const std::string& vector) const override {
    if (!failure.ok()) return failure;
    engine::ClustersInfo answer = clusters_answer;
    answer.vector = vector;
    return answer;
  }

  // What it answers.
  Status failure;
  engine::CollectionInfo info_answer;
  std::vector<engine::Record> records;
  std::optional<PointId> next_offset;
  engine::QueryResult query_answer;
  engine::QueryGroupsResult groups_answer;
  bool is_endless = false;  ///< Queries end when they are told to.
  engine::ClustersInfo clusters_answer;
  engine::RecallReport recall_answer;
  engine::Estimate estimate_answer;

  // What it was asked.
  std::vector<engine::WriteOperation> writes;
  std::vector<bool> waits;
  mutable std::vector<engine::RetrieveRequest> retrieves;
  mutable std::vector<engine::ScrollRequest> scrolls;
  mutable std::vector<engine::CountRequest> counts;
  mutable std::vector<engine::QueryRequest> queries;
  mutable std::vector<engine::QueryGroupsRequest> group_queries;
  mutable std::vector<engine::RecallRequest> recalls;
  mutable std::vector<engine::EstimateRequest> estimates;
  std::vector<engine::TrainClustersRequest> trainings;
  std::vector<engine::ReindexRequest> reindexes;

  FakeUsers stored_users;
  FakeAdapters stored_adapters;
  FakeSessions stored_sessions;

 private:
  std::string name_;
};

class FakeDatabase final : public engine::Database {
 public:
  Status create_collection(const std::string& name,
                           const engine::CollectionConfig& config) override {
    if (collections.contains(name)) {
      return {Code::kAlreadyExists, "Collection `" + name + "` already exists!"};
    }
    collections[name] = std::make_shared<FakeCollection>(name);
    collections[name]->info_answer.config = config;
    return {};
  }
  Status update_collection(const std::string& name,
                           const engine::CollectionConfig& changes) override {
    TESSERA_RETURN_IF_ERROR(find(name));
    updates.push_back(changes);
    return {};
  }
  Result<bool> delete_collection(const std::string& name) override {
    return collections.erase(name) > 0;
  }
  std::vector<std::string> collection_names() const override {
    std::vector<std::string> names;
    for (const auto& [name, collection] : collections) names.push_back(name);
    return names;
  }
  Result<std::shared_ptr<engine::Collection>> collection(const std::string& name) const override {
    TESSERA_RETURN_IF_ERROR(find(name));
    return std::shared_ptr<engine::Collection>(collections.at(name));
  }
  std::vector<engine::JobInfo> jobs() const override { return job_list; }
  Result<engine::JobInfo> job(std::uint64_t id) const override {
    for (const engine::JobInfo& job : job_list) {
      if (job.id == id) return job;
    }
    return Status(Code::kNotFound, "Job " + std::to_string(id) + " not found");
  }
  Status cancel_job(std::uint64_t id) override {
    TESSERA_ASSIGN_OR_RETURN(const engine::JobInfo found, job(id));
    if (found.state == engine::JobState::kDone) {
      return {Code::kBadRequest, "Job " + std::to_string(id) + " has finished"};
    }
    cancelled.push_back(id);
    return {};
  }
  void begin_shutdown() override {}

  std::map<std::string, std::shared_ptr<FakeCollection>> collections;
  std::vector<engine::CollectionConfig> updates;
  std::vector<engine::JobInfo> job_list;
  std::vector<std::uint64_t> cancelled;

 private:
  Status find(const std::string& name) const {
    if (collections.contains(name)) return {};
    return {Code::kNotFound, "Collection `" + name + "` doesn't exist!"};
  }
};

}  // namespace tessera::api
