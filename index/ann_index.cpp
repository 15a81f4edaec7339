#include "index/ann_index.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include <omp.h>

#include "index/ann_index_impl.h"
#include "index/guarded_call.h"

extern "C" void openblas_set_num_threads(int count);

namespace tessera::index {
namespace {

constexpr std::array kTypes = {IndexType::kFlat, IndexType::kHnsw, IndexType::kIvfFlat,
                               IndexType::kIvfSq8, IndexType::kIvfPq};
// FAISS numbers rows with 32-bit signed integers inside its graph.
constexpr std::size_t kRowCountMax = std::numeric_limits<std::int32_t>::max();

Status check_rows(const IndexSpec& spec, VectorSpan rows) {
  if (std::find(kTypes.begin(), kTypes.end(), spec.type) == kTypes.end()) {
    return {Code::kInvalidArgument,
            "type: " + std::to_string(static_cast<int>(spec.type)) + " is not an index type"};
  }
  if (rows.row_count > kRowCountMax) {
    return {Code::kInvalidArgument, "rows: " + std::to_string(rows.row_count) +
                                        " is more than one index holds (" +
                                        std::to_string(kRowCountMax) + ")"};
  }
  if (rows.row_count > 0 && (rows.dim == 0 || rows.data == nullptr)) {
    return {Code::kInvalidArgument, "rows: there are rows but no values"};
  }
  return {};
}

}  // namespace

const char* index_type_name(IndexType type) {
  switch (type) {
    case IndexType::kFlat:
      return "flat";
    case IndexType::kHnsw:
      return "hnsw";
    case IndexType::kIvfFlat:
      return "ivf_flat";
    case IndexType::kIvfSq8:
      return "ivf_sq8";
    case IndexType::kIvfPq:
      return "ivf_pq";
  }
  return "unknown";
}

Result<IndexType> parse_index_type(std::string_view name) {
  for (const IndexType type : kTypes) {
    if (name == index_type_name(type)) return type;
  }
  return Status(Code::kInvalidArgument,
                "index type \"" + std::string(name) +
                    "\" is not one of flat, hnsw, ivf_flat, ivf_sq8, ivf_pq");
}

IndexResult build_index(const IndexSpec& spec, Metric metric, VectorSpan rows,
                        const BuildControl& control) {
  TESSERA_RETURN_IF_ERROR(check_rows(spec, rows));
  switch (spec.type) {
    case IndexType::kFlat:
      return build_flat(spec, metric, rows, control);
    case IndexType::kHnsw:
      return build_hnsw(spec, metric, rows, control);
    case IndexType::kIvfFlat:
    case IndexType::kIvfSq8:
    case IndexType::kIvfPq:
      return build_ivf(spec, metric, rows, control);
  }
  return Status(Code::kInternal, "build_index: the type was checked and is unknown");
}

IndexResult load_index(const IndexSpec& spec, Metric metric, VectorSpan rows,
                       std::span<const std::byte> bytes) {
  TESSERA_RETURN_IF_ERROR(check_rows(spec, rows));
  switch (spec.type) {
    case IndexType::kFlat:
      return load_flat(spec, metric, rows, bytes);
    case IndexType::kHnsw:
      return load_hnsw(spec, metric, rows, bytes);
    case IndexType::kIvfFlat:
    case IndexType::kIvfSq8:
    case IndexType::kIvfPq:
      return load_ivf(spec, metric, rows, bytes);
  }
  return Status(Code::kInternal, "load_index: the type was checked and is unknown");
}

void use_one_library_thread() {
  omp_set_num_threads(1);
}

void initialise_libraries() {
  use_one_library_thread();
  openblas_set_num_threads(1);
}

}  // namespace tessera::index
