#include <catch2/catch.hpp>

#include "engine/collection_impl.h"
#include "tests/engine/open_database.h"

namespace tessera::engine {
namespace {

using index::CodeType;
using Kind = QuantizationConfig::Kind;

QuantizationConfig quantization_of(Kind kind) {
  QuantizationConfig config;
  config.kind = kind;
  return config;
}

IndexSpec spec_of(const std::optional<QuantizationConfig>& own,
                  const std::optional<QuantizationConfig>& of_collection,
                  IndexType type = IndexType::kHnsw, std::uint32_t dim = 96) {
  CollectionConfig config;
  config.quantization = of_collection;
  VectorConfig vector;
  vector.dim = dim;
  vector.quantization = own;
  if (type != IndexType::kHnsw) vector.index = IndexConfig{type, {}, {}, {}};
  return index_spec_of(config, vector);
}

}  // namespace

TEST_CASE("quantization: settings say what is compared first, a vector's own before the others") {
  const auto scalar = quantization_of(Kind::kScalar), binary = quantization_of(Kind::kBinary);
  CHECK(spec_of({}, {}).codes == IndexSpec().codes);
  CHECK(spec_of({}, {}).code_quantile == 1);
  CHECK(spec_of({}, {}, IndexType::kFlat).codes == CodeType::kNone);
  CHECK(spec_of({}, binary).codes == CodeType::kBinary);
  CHECK(spec_of(scalar, binary).codes == CodeType::kSq8);
  for (const IndexType type :
       {IndexType::kFlat, IndexType::kIvfFlat, IndexType::kIvfSq8, IndexType::kIvfPq}) {
    CHECK(spec_of(binary, scalar, type).codes == CodeType::kNone);
  }
  QuantizationConfig quantile = scalar;
  quantile.quantile = 0.99;
  CHECK(spec_of(quantile, {}).code_quantile == 0.99F);
}

TEST_CASE("quantization: a product code has the asked-for bytes, or the next that divide evenly") {
  struct Case {
    std::uint32_t dim, compression, bytes;
  };
  for (const Case& one : {Case{96, 4, 96}, Case{96, 16, 24}, Case{96, 64, 6}, Case{768, 32, 96},
                          Case{100, 64, 10}, Case{7, 8, 7}, Case{1, 64, 1}}) {
    CAPTURE(one.dim, one.compression);
    QuantizationConfig product = quantization_of(Kind::kProduct);
    product.compression = one.compression;
    const IndexSpec spec = spec_of(product, {}, IndexType::kHnsw, one.dim);
    CHECK(spec.codes == CodeType::kPq);
    CHECK(spec.pq_segment_count == one.bytes);
  }
}

TEST_CASE("quantization: an index spec survives its text, and one without codes has none") {
  IndexSpec spec;
  for (const CodeType codes :
       {CodeType::kNone, CodeType::kSq8, CodeType::kSq4, CodeType::kBinary, CodeType::kPq}) {
    spec.codes = codes;
    spec.code_quantile = 0.95F;
    spec.pq_segment_count = 12;
    CHECK(decode_spec(encode_spec(spec)).value() == spec);
  }
  const auto old = decode_spec(
      R"({"type":1,"m":16,"ef_construct":100,"lists":0,"probes":0,"pq_segments":0,"seed":42})");
  REQUIRE(old.has_value());
  CHECK(old->codes == CodeType::kNone);
  CHECK(old->code_quantile == 1);
  const auto wrong = decode_spec(
      R"({"type":1,"m":16,"ef_construct":100,"lists":0,"probes":0,"pq_segments":0,"seed":42,)"
      R"("codes":9,"code_quantile":1})");
  REQUIRE(wrong.has_error());
  CHECK(wrong.error().code() == Code::kCorrupt);
  CHECK(wrong.error().message().find("codes") != std::string::npos);
}

TEST_CASE("quantization: the catalog keeps every setting") {
  CollectionConfig config;
  config.vectors["a"].dim = 4;
  config.vectors["b"].dim = 8;
  config.vectors["a"].quantization = quantization_of(Kind::kProduct);
  config.vectors["a"].quantization->compression = 16;
  config.vectors["a"].on_disk = true;
  config.vectors["a"].dimension_names = {"w", "x", "y", "z"};
  config.quantization = quantization_of(Kind::kScalar);
  config.quantization->quantile = 0.99;
  config.quantization->always_ram = false;
  const auto read = decode_config(encode_config(config));
  REQUIRE(read.has_value());
  CHECK(read->vectors == config.vectors);
  CHECK(read->quantization == config.quantization);
  config.vectors["b"].quantization = quantization_of(Kind::kBinary);
  config.vectors["b"].quantization->encoding = "one_bit";
  config.quantization.reset();
  const auto again = decode_config(encode_config(config));
  REQUIRE(again.has_value());
  CHECK(again->vectors == config.vectors);
  CHECK_FALSE(again->quantization);
}

TEST_CASE(
    "quantization: changes and reindexing set it, disabling takes it away, restarts keep it") {
  OpenDatabase database;
  CollectionConfig config;
  config.vectors[""].dim = 16;
  config.vectors[""].metric = Metric::kEuclid;
  config.vectors[""].on_disk = true;
  config.optimizers.indexing_threshold = 1;
  auto collection = database.create(config);
  const testing::Matrix rows = testing::clustered_rows({.row_count = 400, .dim = 16, .seed = 5});
  insert_rows(*collection, rows);
  wait_until_indexed(*collection, rows.row_count);

  CollectionConfig change;
  change.quantization = quantization_of(Kind::kScalar);
  change.vectors[""].quantization = quantization_of(Kind::kBinary);
  REQUIRE(database->update_collection("c", change).ok());
  CHECK(collection->info().config.quantization == change.quantization);
  change.quantization = quantization_of(Kind::kDisabled);
  change.vectors.clear();
  REQUIRE(database->update_collection("c", change).ok());
  CHECK_FALSE(collection->info().config.quantization);
  CHECK(collection->info().config.vectors.at("").quantization->kind == Kind::kBinary);

  ReindexRequest reindex;
  reindex.quantization = quantization_of(Kind::kScalar);
  reindex.quantization->quantile = 0.9;
  engine::reindex(*database, *collection, reindex);
  collection.reset();
  database.reopen();
  collection = database->collection("c").value();
  CHECK(collection->info().config.vectors.at("").quantization == reindex.quantization);
  CHECK(collection->info().indexed_vector_count == rows.row_count);

  // Codes or not, disk or not: scores are those of the vectors.
  for (std::size_t i = 0; i < rows.row_count; i += 40) {
    QueryRequest query;
    query.query = VectorInput(std::vector<float>(rows.row(i), rows.row(i) + rows.dim));
    query.limit = 5;
    const auto found = collection->query(query, CancelToken());
    query.params.exact = true;
    const auto exact = collection->query(query, CancelToken());
    REQUIRE(found.has_value());
    REQUIRE(exact.has_value());
    CHECK(found->points.front().record.id == PointId(i));
    CHECK(found->points.front().score == exact->points.front().score);
  }
}

}  // namespace tessera::engine
