#include "engine/cluster_assignments.h"

#include <cstring>
#include <span>

#include "engine/item_clusters.h"
#include "storage/section_file.h"

namespace tessera::engine {
namespace {

constexpr std::string_view kKind = "assignments";
constexpr std::uint32_t kVersion = 1;

/// Little-endian as the daemon's platforms are.
struct Header {
  std::uint64_t version = 0;
  std::int64_t trained_at_us = 0;
  std::uint64_t operation = 0;
  std::uint64_t slot_count = 0;
};
static_assert(sizeof(Header) == 32);

}  // namespace

Status save_assignments(const std::string& path, const ClusterAssignments& assignments) {
  TESSERA_ASSIGN_OR_RETURN(auto writer, storage::SectionFileWriter::create(path, kKind, kVersion));
  const Header header{assignments.version, assignments.trained_at_us, assignments.operation,
                      assignments.clusters.size()};
  TESSERA_RETURN_IF_ERROR(writer->begin_section("header"));
  TESSERA_RETURN_IF_ERROR(writer->append(std::as_bytes(std::span(&header, 1))));
  TESSERA_RETURN_IF_ERROR(writer->begin_section("clusters"));
  if (!assignments.clusters.empty()) {
    TESSERA_RETURN_IF_ERROR(writer->append(std::as_bytes(std::span(assignments.clusters))));
  }
  return writer->publish();
}

Result<ClusterAssignments> load_assignments(const std::string& path, const ClustersInfo& clusters) {
  TESSERA_ASSIGN_OR_RETURN(const auto file, storage::SectionFile::open(path, kKind, kVersion));
  const auto corrupt = [&](const char* what) { return Status(Code::kCorrupt, path + ": " + what); };
  TESSERA_ASSIGN_OR_RETURN(const auto head, file->section("header"));
  Header header;
  if (head.size() != sizeof(header)) return corrupt("section header has the wrong size");
  std::memcpy(&header, head.data(), sizeof(header));
  if (header.version != clusters.version || header.trained_at_us != clusters.trained_at_us) {
    return corrupt("the assignments are of another training than the clusters");
  }
  TESSERA_ASSIGN_OR_RETURN(const auto values, file->section("clusters"));
  if (header.slot_count != values.size() / sizeof(std::uint32_t) ||
      values.size() % sizeof(std::uint32_t) != 0) {
    return corrupt("section clusters has the wrong size");
  }
  ClusterAssignments assignments{header.version, header.trained_at_us, header.operation, {}};
  assignments.clusters.resize(header.slot_count);
  if (!values.empty()) std::memcpy(assignments.clusters.data(), values.data(), values.size());
  for (const std::uint32_t cluster : assignments.clusters) {
    if (cluster >= clusters.count && cluster != ItemClusters::kNone) {
      return corrupt("a cluster number is out of range");
    }
  }
  return assignments;
}

}  // namespace tessera::engine
