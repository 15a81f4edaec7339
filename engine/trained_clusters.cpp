#include "engine/trained_clusters.h"

#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "engine/cluster_labels.h"
#include "index/kernels.h"
#include "storage/section_file.h"

namespace tessera::engine {
namespace {

constexpr std::string_view kKind = "clusters";
constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kVersionWithLabels = 2;

/// Fixed-size part of the file, little-endian as the daemon's platforms are.
struct Header {
  std::uint32_t metric = 0;
  std::uint32_t dim = 0;
  std::uint64_t count = 0;
  std::int64_t trained_at_us = 0;
  std::uint64_t version = 0;
  double mean_distance = 0;
};
static_assert(sizeof(Header) == 40);

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

template <class T>
Status read_values(const storage::SectionFile& file, const char* name, std::size_t count,
                   std::vector<T>& values) {
  TESSERA_ASSIGN_OR_RETURN(const auto bytes, file.section(name));
  if (bytes.size() != count * sizeof(T)) {
    return {Code::kCorrupt, std::string("section ") + name + " has the wrong size"};
  }
  values.resize(count);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return {};
}

}  // namespace

double mean_cluster_distance(const index::Clusters& clusters, index::VectorSpan rows,
                             const std::vector<std::uint32_t>& assigned) {
  if (rows.row_count == 0) return 0;
  double sum = 0;
  for (std::size_t i = 0; i < rows.row_count; ++i) {
    const float* centroid = clusters.centroid(assigned[i]);
    // For Cosine and Dot the distance is a negative product; 1 - cos keeps it positive.
    const float distance = index::distance(clusters.metric, rows.float_row(i), centroid, rows.dim);
    sum += higher_is_nearer(clusters.metric) ? 1.0 + distance
                                             : index::score_of(clusters.metric, distance);
  }
  return sum / static_cast<double>(rows.row_count);
}

Status save_clusters(const std::string& path, const TrainedClusters& trained) {
  TESSERA_ASSIGN_OR_RETURN(auto writer, storage::SectionFileWriter::create(path, kKind, kVersion));
  Header header;
  header.metric = static_cast<std::uint32_t>(trained.clusters.metric);
  header.dim = static_cast<std::uint32_t>(trained.clusters.dim);
  header.count = trained.clusters.count();
  header.trained_at_us = trained.info.trained_at_us;
  header.version = trained.info.version;
  header.mean_distance = trained.mean_distance;
  TESSERA_RETURN_IF_ERROR(writer->begin_section("header"));
  TESSERA_RETURN_IF_ERROR(writer->append(std::as_bytes(std::span(&header, 1))));
  TESSERA_RETURN_IF_ERROR(writer->begin_section("sizes"));
  TESSERA_RETURN_IF_ERROR(writer->append(bytes_of(trained.info.sizes)));
  TESSERA_RETURN_IF_ERROR(writer->begin_section("centroids"));
  TESSERA_RETURN_IF_ERROR(writer->append(bytes_of(trained.clusters.centroids)));
  TESSERA_RETURN_IF_ERROR(writer->begin_section("labels"));
  const std::string labels = encode_labels(trained.info.label_field, trained.info.labels);
  if (!labels.empty()) TESSERA_RETURN_IF_ERROR(writer->append(as_bytes(labels)));
  return writer->publish();
}

Result<std::shared_ptr<const TrainedClusters>> load_clusters(const std::string& path, Metric metric,
                                                             std::size_t dim) {
  TESSERA_ASSIGN_OR_RETURN(const auto file, storage::SectionFile::open(path, kKind, kVersion));
  std::vector<Header> headers;
  TESSERA_RETURN_IF_ERROR(read_values(*file, "header", 1, headers).with_context(path));
  const Header& header = headers.front();
  constexpr std::uint64_t kCountMax = 1 << 20;
  if (header.metric != static_cast<std::uint32_t>(metric) || header.dim != dim) {
    return Status(Code::kCorrupt, path + ": metric or dim differ from the collection's");
  }
  if (header.count == 0 || header.count > kCountMax) {
    return Status(Code::kCorrupt, path + ": count out of range");
  }
  auto trained = std::make_shared<TrainedClusters>();
  trained->clusters.metric = metric;
  trained->clusters.dim = dim;
  trained->mean_distance = header.mean_distance;
  trained->info.count = static_cast<std::uint32_t>(header.count);
  trained->info.trained_at_us = header.trained_at_us;
  trained->info.version = header.version;
  TESSERA_RETURN_IF_ERROR(
      read_values(*file, "sizes", header.count, trained->info.sizes).with_context(path));
  TESSERA_RETURN_IF_ERROR(
      read_values(*file, "centroids", header.count * dim, trained->clusters.centroids)
          .with_context(path));
  for (const float value : trained->clusters.centroids) {
    if (!std::isfinite(value)) return Status(Code::kCorrupt, path + ": a centroid is not finite");
  }
  if (file->kind_version() >= kVersionWithLabels) {
    TESSERA_ASSIGN_OR_RETURN(const auto labels, file->section("labels"));
    TESSERA_RETURN_IF_ERROR(
        decode_labels({reinterpret_cast<const char*>(labels.data()), labels.size()}, header.count,
                      trained->info)
            .with_context(path));
  }
  return std::shared_ptr<const TrainedClusters>(std::move(trained));
}

}  // namespace tessera::engine
