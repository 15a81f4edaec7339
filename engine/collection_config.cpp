#include "engine/collection_config.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "engine/collection_impl.h"

namespace tessera::engine {
namespace {

using nlohmann::json;

/// Format 2 has value types. Without one a document is still written as format 1, so that an older
/// version, which would take the values for float32, refuses only what it does not know.
constexpr std::uint32_t kFormat = 2;
constexpr auto kLastCodeType = index::CodeType::kAuto;
constexpr std::uint32_t kHnswM = 16;
constexpr std::uint32_t kHnswEfConstruct = 100;

template <class T>
void put(json& object, const char* name, const std::optional<T>& value) {
  if (value) object[name] = *value;
}

template <class T>
void get(const json& object, const char* name, std::optional<T>& value) {
  if (const auto found = object.find(name); found != object.end()) value = found->get<T>();
}

/// The members of a settings struct as an object: only those that are set.
template <class Config>
json encode_members(const Config& config) {
  json object = json::object();
  for_each_member<Config>(
      [&](const char* name, auto member) { put(object, name, config.*member); });
  return object;
}

template <class Config>
Config decode_members(const json& object) {
  Config config;
  for_each_member<Config>(
      [&](const char* name, auto member) { get(object, name, config.*member); });
  return config;
}

json encode(const IndexConfig& index) {
  json object = {{"type", static_cast<unsigned>(index.type)}};
  put(object, "lists", index.list_count);
  put(object, "probes", index.probe_count);
  put(object, "pq_segments", index.pq_segment_count);
  return object;
}

/// Numbers are stored for enums whose order is fixed; a number that no member has is damage.
template <class Enum>
Enum checked_enum(const json& value, Enum last, const char* field) {
  const auto number = value.get<unsigned>();
  if (number > static_cast<unsigned>(last)) {
    throw std::runtime_error(std::string(field) + " has the unknown value " +
                             std::to_string(number));
  }
  return static_cast<Enum>(number);
}

json encode(const QuantizationConfig& config) {
  json object = {{"kind", static_cast<unsigned>(config.kind)}};
  for_each_quantization_member(
      [&](const char* name, auto member) { put(object, name, config.*member); });
  return object;
}

QuantizationConfig decode_quantization(const json& object) {
  QuantizationConfig config;
  config.kind =
      checked_enum(object.at("kind"), QuantizationConfig::Kind::kBinary, "quantization.kind");
  for_each_quantization_member(
      [&](const char* name, auto member) { get(object, name, config.*member); });
  return config;
}

/// The quantization of a vector or a collection, which may have none.
std::optional<QuantizationConfig> find_quantization(const json& object) {
  const auto found = object.find("quantization");
  return found == object.end() ? std::nullopt : std::optional(decode_quantization(*found));
}

IndexConfig decode_index(const json& object) {
  IndexConfig index;
  index.type = checked_enum(object.at("type"), IndexType::kIvfPq, "index.type");
  get(object, "lists", index.list_count);
  get(object, "probes", index.probe_count);
  get(object, "pq_segments", index.pq_segment_count);
  return index;
}

json encode_vector(const VectorConfig& vector) {
  json object = {{"dim", vector.dim}, {"metric", static_cast<unsigned>(vector.metric)}};
  if (vector.hnsw) object["hnsw"] = encode_members(*vector.hnsw);
  if (vector.index) object["index"] = encode(*vector.index);
  put(object, "on_disk", vector.on_disk);
  if (vector.quantization) object["quantization"] = encode(*vector.quantization);
  if (vector.value_type) object["value_type"] = static_cast<unsigned>(*vector.value_type);
  if (!vector.dimension_names.empty()) object["dimension_names"] = vector.dimension_names;
  return object;
}

VectorConfig decode_vector(const json& object) {
  VectorConfig vector;
  vector.dim = object.at("dim").get<std::uint32_t>();
  if (vector.dim == 0 || vector.dim > kDimMax) throw std::runtime_error("dim is out of range");
  vector.metric = checked_enum(object.at("metric"), Metric::kManhattan, "metric");
  if (const auto found = object.find("hnsw"); found != object.end())
    vector.hnsw = decode_members<HnswConfig>(*found);
  if (const auto found = object.find("index"); found != object.end()) {
    vector.index = decode_index(*found);
  }
  get(object, "on_disk", vector.on_disk);
  vector.quantization = find_quantization(object);
  if (const auto found = object.find("value_type"); found != object.end()) {
    vector.value_type = checked_enum(*found, ValueType::kUint8, "value_type");
  }
  if (const auto names = object.find("dimension_names"); names != object.end()) {
    vector.dimension_names = names->get<std::vector<std::string>>();
    if (vector.dimension_names.size() != vector.dim) {
      throw std::runtime_error("dimension_names are not one for each dimension");
    }
  }
  return vector;
}

/// The first format that knows what the configuration says.
std::uint32_t format_of(const CollectionConfig& config) {
  const bool has_types =
      std::any_of(config.vectors.begin(), config.vectors.end(),
                  [](const auto& entry) { return entry.second.type() != ValueType::kFloat32; });
  return has_types ? kFormat : 1;
}

json encode_document(const CollectionConfig& config) {
  json object = {{"vectors", json::object()},
                 {"hnsw", encode_members(config.hnsw)},
                 {"optimizers", encode_members(config.optimizers)},
                 {"shard_number", config.shard_number},
                 {"replication_factor", config.replication_factor},
                 {"write_consistency_factor", config.write_consistency_factor},
                 {"on_disk_payload", config.on_disk_payload}};
  for (const auto& [name, vector] : config.vectors) object["vectors"][name] = encode_vector(vector);
  put(object, "metadata", config.metadata_json);
  object["wal"] = encode_members(config.wal);
  if (config.quantization) object["quantization"] = encode(*config.quantization);
  return object;
}

CollectionConfig decode_document(const json& object) {
  CollectionConfig config;
  for (const auto& [name, vector] : object.at("vectors").items()) {
    config.vectors[name] = decode_vector(vector);
  }
  config.hnsw = decode_members<HnswConfig>(object.at("hnsw"));
  config.optimizers = decode_members<OptimizersConfig>(object.at("optimizers"));
  config.shard_number = object.at("shard_number").get<std::uint32_t>();
  config.replication_factor = object.at("replication_factor").get<std::uint32_t>();
  config.write_consistency_factor = object.at("write_consistency_factor").get<std::uint32_t>();
  config.on_disk_payload = object.at("on_disk_payload").get<bool>();
  get(object, "metadata", config.metadata_json);
  config.wal = decode_members<WalConfig>(object.at("wal"));
  config.quantization = find_quantization(object);
  return config;
}

/// Runs a decoder; what it throws, or a document that is no JSON, is kCorrupt.
template <class Decode>
auto decoded(std::string_view text, const char* what, Decode decode)
    -> Result<decltype(decode(std::declval<const json&>()))> {
  try {
    return decode(json::parse(text));
  } catch (const std::exception& error) {
    return Status(Code::kCorrupt, std::string(what) + ": " + error.what());
  }
}

/// Bytes of a product code: the fewest that divide the vector evenly and are not fewer than the
/// compression asks for.
std::uint32_t product_segment_count(std::uint32_t dim, std::uint32_t compression) {
  constexpr std::uint64_t kFloatBytes = sizeof(float);
  const auto wanted = static_cast<std::uint32_t>(kFloatBytes * dim / compression);
  std::uint32_t count = std::max<std::uint32_t>(1, wanted);
  while (dim % count != 0) ++count;
  return count;
}

void set_codes(const QuantizationConfig& quantization, std::uint32_t dim, IndexSpec& spec) {
  using Kind = QuantizationConfig::Kind;
  switch (quantization.kind) {
    case Kind::kDisabled:
      return;
    case Kind::kScalar:
      spec.codes = index::CodeType::kSq8;
      spec.code_quantile = static_cast<float>(quantization.quantile.value_or(1));
      return;
    case Kind::kProduct:
      spec.codes = index::CodeType::kPq;
      spec.pq_segment_count = product_segment_count(dim, quantization.compression.value_or(4));
      return;
    case Kind::kBinary:
      spec.codes = index::CodeType::kBinary;
      return;
  }
}

}  // namespace

IndexSpec index_spec_of(const CollectionConfig& config, const VectorConfig& vector) {
  const HnswConfig own = vector.hnsw.value_or(HnswConfig{});
  IndexSpec spec;
  spec.type = vector.index ? vector.index->type : IndexType::kHnsw;
  spec.m = static_cast<std::uint32_t>(own.m.value_or(config.hnsw.m.value_or(kHnswM)));
  spec.ef_construct = static_cast<std::uint32_t>(
      own.ef_construct.value_or(config.hnsw.ef_construct.value_or(kHnswEfConstruct)));
  // m = 0 is how the dialect turns the graph off.
  if (spec.type == IndexType::kHnsw && spec.m == 0) spec.type = IndexType::kFlat;
  const auto& quantization = vector.quantization ? vector.quantization : config.quantization;
  if (spec.type != IndexType::kHnsw) {
    spec.codes = index::CodeType::kNone;
  } else if (quantization) {
    set_codes(*quantization, vector.dim, spec);
  }
  if (vector.index) {
    spec.list_count = static_cast<std::uint32_t>(vector.index->list_count.value_or(0));
    spec.probe_count = static_cast<std::uint32_t>(vector.index->probe_count.value_or(0));
    if (vector.index->pq_segment_count) {
      spec.pq_segment_count = static_cast<std::uint32_t>(*vector.index->pq_segment_count);
    }
  }
  return spec;
}

std::string encode_spec(const IndexSpec& spec) {
  return json{{"type", static_cast<unsigned>(spec.type)},
              {"m", spec.m},
              {"ef_construct", spec.ef_construct},
              {"lists", spec.list_count},
              {"probes", spec.probe_count},
              {"pq_segments", spec.pq_segment_count},
              {"codes", static_cast<unsigned>(spec.codes)},
              {"code_quantile", spec.code_quantile},
              {"seed", spec.seed}}
      .dump();
}

Result<IndexSpec> decode_spec(std::string_view text) {
  return decoded(text, "index spec", [](const json& object) {
    IndexSpec spec;
    spec.type = checked_enum(object.at("type"), IndexType::kIvfPq, "type");
    spec.m = object.at("m").get<std::uint32_t>();
    spec.ef_construct = object.at("ef_construct").get<std::uint32_t>();
    spec.list_count = object.at("lists").get<std::uint32_t>();
    spec.probe_count = object.at("probes").get<std::uint32_t>();
    spec.pq_segment_count = object.at("pq_segments").get<std::uint32_t>();
    spec.seed = object.at("seed").get<std::uint64_t>();
    spec.codes = index::CodeType::kNone;
    if (const auto codes = object.find("codes"); codes != object.end()) {
      spec.codes = checked_enum(*codes, kLastCodeType, "codes");
      spec.code_quantile = object.at("code_quantile").get<float>();
    }
    return spec;
  });
}

std::string encode_config(const CollectionConfig& config) {
  return encode_document(config).dump();
}

Result<CollectionConfig> decode_config(std::string_view text) {
  return decoded(text, "collection config", decode_document);
}

std::string CatalogEntry::key(storage::CollectionNumber number) {
  return "collection/" + std::to_string(number);
}

std::string CatalogEntry::encode() const {
  json object = {{"format", format_of(config)},
                 {"number", number},
                 {"name", name},
                 {"config", encode_document(config)},
                 {"vector_numbers", vector_numbers},
                 {"payload_fields", json::array()}};
  put(object, "users_of", users_of);
  for (const PayloadField& field : payload_fields) {
    json entry = {{"path", field.path}, {"type", static_cast<unsigned>(field.type)}};
    put(entry, "params", field.params_json);
    object["payload_fields"].push_back(std::move(entry));
  }
  return object.dump();
}

Result<CatalogEntry> CatalogEntry::decode(std::string_view text) {
  return decoded(text, "catalog entry", [](const json& object) {
    if (object.at("format").get<std::uint32_t>() > kFormat) {
      throw std::runtime_error("format is newer than this version knows");
    }
    CatalogEntry entry;
    entry.number = object.at("number").get<storage::CollectionNumber>();
    entry.name = object.at("name").get<std::string>();
    entry.config = decode_document(object.at("config"));
    entry.vector_numbers =
        object.at("vector_numbers").get<std::map<std::string, storage::VectorNumber>>();
    for (const auto& [name, number] : entry.vector_numbers) {
      if (!entry.config.vectors.contains(name)) {
        throw std::runtime_error("vector_numbers names the unknown vector " + name);
      }
    }
    get(object, "users_of", entry.users_of);
    for (const json& field : object.at("payload_fields")) {
      PayloadField& target = entry.payload_fields.emplace_back();
      target.path = field.at("path").get<std::string>();
      target.type = checked_enum(field.at("type"), PayloadIndexType::kDatetime, "payload type");
      get(field, "params", target.params_json);
    }
    return entry;
  });
}

}  // namespace tessera::engine
