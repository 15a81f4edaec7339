#include <cmath>

#include "engine/collection_impl.h"
#include "engine/write_group.h"

namespace tessera::engine {

Status CollectionImpl::validate_vectors(NamedVectors& vectors,
                                        const std::function<std::string()>& owner) const {
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    auto& [vector_name, values] = vectors[i];
    TESSERA_ASSIGN_OR_RETURN(const Field* field, this->field(vector_name));
    const VectorField::Identity& identity = field->vectors->identity();
    if (values.size() != identity.dim) {
      return {Code::kInvalidArgument,
              "Vector dimension error: expected dim: " + std::to_string(identity.dim) + ", got " +
                  std::to_string(values.size())};
    }
    for (const float value : values) {
      if (!std::isfinite(value)) {
        return {Code::kInvalidArgument, "Vector `" + vector_name + "` of " + owner() +
                                            " contains a value that is not finite"};
      }
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (vectors[j].first == vector_name) {
        return {Code::kInvalidArgument,
                "Vector `" + vector_name + "` of " + owner() + " is given twice"};
      }
    }
    if (const Status status = field->vectors->prepare(values); !status.ok()) {
      return status.with_context("Vector `" + vector_name + "` of " + owner());
    }
  }
  return {};
}

Status CollectionImpl::validate(WriteOperation& operation) const {
  if (auto* upsert = std::get_if<UpsertPoints>(&operation)) {
    for (PointInput& point : upsert->points) {
      TESSERA_RETURN_IF_ERROR(
          validate_vectors(point.vectors, [&] { return "point " + point.id.to_string(); }));
    }
  }
  if (auto* write = std::get_if<WriteUsers>(&operation)) {
    if (!users_of_) return {Code::kInternal, "users were written to a collection of points"};
    for (UserChange& user : write->users) {
      TESSERA_RETURN_IF_ERROR(
          validate_vectors(user.vectors, [&] { return "user " + user.id.to_string(); }));
    }
  }
  const bool frees_space = std::holds_alternative<DeletePoints>(operation) ||
                           std::holds_alternative<ClearPayload>(operation) ||
                           std::holds_alternative<DeletePayloadKeys>(operation) ||
                           std::holds_alternative<DeletePayloadIndex>(operation) ||
                           std::holds_alternative<DeleteAdapter>(operation);
  if (!frees_space && shared_.is_disk_full.load(std::memory_order_relaxed)) {
    return {Code::kDiskFull,
            "the data directory has less free disk space than storage.free_bytes_min; "
            "free some space or delete points"};
  }
  return {};
}

Result<WriteResult> CollectionImpl::write(WriteOperation operation, bool wait) {
  TESSERA_RETURN_IF_ERROR(check_open());
  TESSERA_RETURN_IF_ERROR(validate(operation));
  PendingWrite pending{std::move(operation), wait, std::nullopt, false};
  commits_.run(pending);
  if (const auto* upsert = std::get_if<UpsertPoints>(&pending.operation)) {
    wait_for_builds(upsert->points.size());
  }
  return std::move(*pending.result);
}

void CollectionImpl::commit(std::vector<PendingWrite*>& group) {
  WriteOperation& first = group.front()->operation;
  if (!must_be_alone(first)) {
    WriteGroup(*this, group).run();
    return;
  }
  const std::uint64_t operation_id = next_operation_++;
  Status status;
  if (auto* create = std::get_if<CreatePayloadIndex>(&first)) {
    status = create_payload_index(*create);
  } else if (auto* remove = std::get_if<DeletePayloadIndex>(&first)) {
    status = delete_payload_index(*remove);
  } else if (auto* put = std::get_if<PutAdapter>(&first)) {
    status = adapters_.commit(*put);
  } else if (auto* dropped = std::get_if<DeleteAdapter>(&first)) {
    status = adapters_.commit(*dropped);
  }
  group.front()->result = status.ok() ? Result<WriteResult>(WriteResult{operation_id, true})
                                      : Result<WriteResult>(status);
}

Status CollectionImpl::create_payload_index(const CreatePayloadIndex& operation) {
  PayloadIndexes filled;
  filled.add(operation.path, operation.type, operation.params_json);
  PayloadIndexes::Field* target = filled.find(operation.path);
  Status indexed;
  TESSERA_RETURN_IF_ERROR(
      shared_.store.visit_payloads(number_, [&](std::uint32_t slot, std::string_view payload) {
        indexed = PayloadIndexes::set_field(*target, slot, payload);
        return indexed.ok();
      }));
  TESSERA_RETURN_IF_ERROR(indexed);
  std::optional<PayloadIndexes::Field> before;
  {
    Lock lock(state_mutex_);
    before = indexes_.take(operation.path);
    indexes_.put(std::move(*target));
  }
  const Status status = save_catalog();
  if (!status.ok()) restore_payload_index(operation.path, std::move(before));
  return status;
}

Status CollectionImpl::delete_payload_index(const DeletePayloadIndex& operation) {
  std::optional<PayloadIndexes::Field> before;
  {
    Lock lock(state_mutex_);
    before = indexes_.take(operation.path);
  }
  if (!before) return {};
  const Status status = save_catalog();
  if (!status.ok()) restore_payload_index(operation.path, std::move(before));
  return status;
}

void CollectionImpl::restore_payload_index(const PayloadPath& path,
                                           std::optional<PayloadIndexes::Field> before) {
  Lock lock(state_mutex_);
  (void)indexes_.take(path);
  if (before) indexes_.put(std::move(*before));
}

}  // namespace tessera::engine
