#include "api/openapi.h"

namespace tessera::api {

namespace {

// clang-format off
constexpr NamedSchema kSchemas[] = {
  {"PointId", R"(
    {"anyOf":[{"type":"integer","format":"uint64","minimum":0},{"type":"string",
    "format":"uuid"}]})"},
  {"UserId", R"(
    {"anyOf":[{"type":"integer","format":"uint64","minimum":0},{"type":"string","minLength":1,
    "description":"A UUID, or up to 128 bytes without control characters"}]})"},
  {"DenseVector", R"({"type":"array","minItems":1,"items":{"type":"number","format":"float"}})"},
  {"PointVectors", R"(
    {"description":"The unnamed vector, or vectors by name","anyOf":[@DenseVector,
    {"type":"object","additionalProperties":@DenseVector}]})"},
  {"Payload", R"({"type":"object","additionalProperties":true})"},
  {"PayloadPath", R"(
    {"type":"string","description":"a.b, a[].b (every element), a[0], \"quoted key\""})"},
  {"WithPayload", R"(
    {"anyOf":[{"type":"boolean"},{"type":"array","items":@PayloadPath},{"type":"object",
    "additionalProperties":false,"minProperties":1,"maxProperties":1,
    "properties":{"include":{"type":"array","items":@PayloadPath},"exclude":{"type":"array",
    "items":@PayloadPath}}}]})"},
  {"WithVector", R"(
    {"description":"`with_vectors` is the same","anyOf":[{"type":"boolean"},{"type":"array",
    "items":{"type":"string"}}]})"},
  {"Filter", R"(
    {"type":"object","additionalProperties":false,"properties":{"must":@Conditions,
    "should":@Conditions,"must_not":@Conditions,"min_should":{"type":"object",
    "additionalProperties":false,"required":["conditions","min_count"],
    "properties":{"conditions":@Conditions,"min_count":{"type":"integer","minimum":0}}}}})"},
  {"Conditions", R"({"anyOf":[@Condition,{"type":"array","items":@Condition}]})"},
  {"Condition", R"(
    {"anyOf":[@FieldCondition,{"type":"object","required":["has_id"],
    "additionalProperties":false,"properties":{"has_id":{"type":"array","items":@PointId}}},
    {"type":"object","required":["has_vector"],"additionalProperties":false,
    "properties":{"has_vector":{"type":"string"}}},{"type":"object","required":["is_empty"],
    "additionalProperties":false,"properties":{"is_empty":@PayloadKey}},{"type":"object",
    "required":["is_null"],"additionalProperties":false,
    "properties":{"is_null":@PayloadKey}},{"type":"object","required":["nested"],
    "additionalProperties":false,"properties":{"nested":{"type":"object","required":["key",
    "filter"],"additionalProperties":false,"properties":{"key":@PayloadPath,
    "filter":@Filter}}}},@Filter]})"},
  {"PayloadKey", R"(
    {"type":"object","required":["key"],"additionalProperties":false,
    "properties":{"key":@PayloadPath}})"},
  {"FieldCondition", R"(
    {"type":"object","required":["key"],"additionalProperties":false,"minProperties":2,
    "maxProperties":2,"properties":{"key":@PayloadPath,"match":{"type":"object",
    "additionalProperties":false,"minProperties":1,"maxProperties":1,
    "properties":{"value":@MatchScalar,"any":{"type":"array","items":@MatchScalar},
    "except":{"type":"array","items":@MatchScalar},"text":{"type":"string"},
    "text_any":{"type":"string"},"phrase":{"type":"string"},"prefix":{"type":"string"}}},
    "range":@Range,"values_count":{"type":"object","additionalProperties":false,
    "properties":{"gt":{"type":"integer","minimum":0},"gte":{"type":"integer","minimum":0},
    "lt":{"type":"integer","minimum":0},"lte":{"type":"integer","minimum":0}}},
    "is_empty":{"type":"boolean"},"is_null":{"type":"boolean"}}})"},
  {"MatchScalar", R"(
    {"anyOf":[{"type":"string"},{"type":"integer","format":"int64"},{"type":"boolean"}]})"},
  {"Range", R"(
    {"description":"Bounds are all numbers or all dates in RFC 3339","type":"object",
    "additionalProperties":false,"properties":{"gt":@Bound,"gte":@Bound,"lt":@Bound,
    "lte":@Bound}})"},
  {"Bound", R"(
    {"nullable":true,"anyOf":[{"type":"number"},{"type":"string","format":"date-time"}]})"},
  {"HnswConfig", R"(
    {"type":"object","properties":{"m":{"type":"integer","minimum":0,"maximum":1024},
    "ef_construct":{"type":"integer","minimum":4,"maximum":65536},
    "full_scan_threshold":{"type":"integer","minimum":0},
    "max_indexing_threads":{"type":"integer","minimum":0},"on_disk":{"type":"boolean"},
    "payload_m":{"type":"integer","minimum":0,"maximum":1024}}})"},
  {"IndexConfig", R"(
    {"type":"object","required":["type"],"additionalProperties":false,
    "properties":{"type":{"type":"string","enum":["hnsw","ivf_flat","ivf_sq8","ivf_pq",
    "flat"]},"lists":{"type":"integer","minimum":1,"maximum":1048576},
    "probes":{"type":"integer","minimum":1,"maximum":1048576},
    "pq_segments":{"type":"integer","minimum":1,"maximum":65536}}})"},
  {"Quantization", R"(
    {"description":"What hnsw indexes compare first",
    "type":"object","minProperties":1,"maxProperties":1,"properties":{"scalar":{"type":"object",
    "required":["type"],"properties":{"type":{"type":"string","enum":["int8"]},
    "quantile":{"type":"number","minimum":0.5,"maximum":1},"always_ram":{"type":"boolean"}}},
    "product":{"type":"object","required":["compression"],
    "properties":{"compression":{"type":"string","enum":["x4","x8","x16","x32","x64"]},
    "always_ram":{"type":"boolean"}}},"binary":{"type":"object",
    "properties":{"encoding":{"type":"string","enum":["one_bit"]},
    "query_encoding":{"type":"string","enum":["default","binary"]},
    "always_ram":{"type":"boolean"}}}}})"},
  {"QuantizationChange", R"(
    {"anyOf":[@Quantization,{"type":"string","enum":["Disabled"]}]})"},
  {"OptimizersConfig", R"(
    {"type":"object","properties":{"deleted_threshold":{"type":"number","minimum":0,
    "maximum":1},"vacuum_min_vector_number":{"type":"integer","minimum":100},
    "default_segment_number":{"type":"integer","minimum":0},
    "max_segment_size":{"type":"integer","minimum":1},"memmap_threshold":{"type":"integer",
    "minimum":0},"indexing_threshold":{"type":"integer","minimum":0},
    "flush_interval_sec":{"type":"integer","minimum":0},
    "max_optimization_threads":{"anyOf":[{"type":"integer","minimum":0},{"type":"string",
    "enum":["auto"]}]}}})"},
  {"WalConfig", R"(
    {"type":"object","properties":{"wal_capacity_mb":{"type":"integer","minimum":1},
    "wal_segments_ahead":{"type":"integer","minimum":0},
    "wal_retain_closed":{"type":"integer","minimum":1}}})"},
  {"VectorParams", R"(
    {"type":"object","required":["size","distance"],"properties":{"size":{"type":"integer",
    "minimum":1,"maximum":65536},"distance":{"type":"string","enum":["Cosine","Euclid",
    "Dot","Manhattan"]},"hnsw_config":@HnswConfig,"index":@IndexConfig,
    "quantization_config":@Quantization,"on_disk":{"type":"boolean"},
    "dimension_names":{"type":"array","items":{"type":"string","minLength":1}},
    "datatype":{"type":"string","enum":["float32","float16","uint8"]}}})"},
  {"CreateCollection", R"(
    {"type":"object","properties":{"vectors":{"anyOf":[@VectorParams,{"type":"object",
    "additionalProperties":@VectorParams}]},"hnsw_config":@HnswConfig,
    "optimizers_config":@OptimizersConfig,"wal_config":@WalConfig,
    "shard_number":{"type":"integer","minimum":1},"replication_factor":{"type":"integer",
    "minimum":1},"write_consistency_factor":{"type":"integer","minimum":1},
    "on_disk_payload":{"type":"boolean","default":true},"sharding_method":{"type":"string",
    "enum":["auto"]},"quantization_config":@Quantization,"metadata":@Payload}})"},
  {"UpdateCollection", R"(
    {"type":"object","properties":{"vectors":{"type":"object",
    "additionalProperties":{"type":"object","properties":{"hnsw_config":@HnswConfig,
    "quantization_config":@QuantizationChange}}},"hnsw_config":@HnswConfig,
    "quantization_config":@QuantizationChange,"optimizers_config":@OptimizersConfig,
    "metadata":@Payload}})"},
  {"PayloadIndexType", R"(
    {"type":"string","enum":["keyword","integer","float","bool","datetime"]})"},
  {"CreatePayloadIndex", R"(
    {"type":"object","required":["field_name","field_schema"],
    "properties":{"field_name":@PayloadPath,"field_schema":{"anyOf":[@PayloadIndexType,
    {"type":"object","required":["type"],"properties":{"type":@PayloadIndexType,
    "is_tenant":{"type":"boolean"},"is_principal":{"type":"boolean"},
    "on_disk":{"type":"boolean"},"lookup":{"type":"boolean"},
    "range":{"type":"boolean"}}}]}}})"},
  {"Point", R"(
    {"type":"object","required":["id","vector"],"properties":{"id":@PointId,
    "vector":@PointVectors,"payload":@Payload}})"},
  {"UpsertPoints", R"(
    {"description":"Rows in `points` or columns in `batch`","type":"object",
    "properties":{"points":{"type":"array","items":@Point},"batch":{"type":"object",
    "required":["ids","vectors"],"properties":{"ids":{"type":"array","items":@PointId},
    "vectors":{"anyOf":[{"type":"array","items":@DenseVector},{"type":"object",
    "additionalProperties":{"type":"array","items":@DenseVector}}]},
    "payloads":{"type":"array","items":{"allOf":[@Payload],"nullable":true}}}},
    "update_mode":{"type":"string","enum":["upsert"]}}})"},
  {"PointSelector", R"(
    {"description":"Exactly one of the two","type":"object",
    "properties":{"points":{"type":"array","items":@PointId},"filter":@Filter}})"},
  {"SetPayload", R"(
    {"allOf":[@PointSelector,{"type":"object","required":["payload"],
    "properties":{"payload":@Payload,"key":@PayloadPath}}]})"},
  {"OverwritePayload", R"(
    {"allOf":[@PointSelector,{"type":"object","required":["payload"],
    "properties":{"payload":@Payload}}]})"},
  {"DeletePayload", R"(
    {"allOf":[@PointSelector,{"type":"object","required":["keys"],
    "properties":{"keys":{"type":"array","items":@PayloadPath}}}]})"},
  {"BatchUpdate", R"(
    {"type":"object","required":["operations"],"properties":{"operations":{"type":"array",
    "items":{"type":"object","minProperties":1,"maxProperties":1,
    "properties":{"upsert":@UpsertPoints,"delete":@PointSelector,"set_payload":@SetPayload,
    "overwrite_payload":@OverwritePayload,"delete_payload":@DeletePayload,
    "clear_payload":@PointSelector}}}}})"},
  {"RetrievePoints", R"(
    {"type":"object","required":["ids"],"properties":{"ids":{"type":"array",
    "items":@PointId},"with_payload":@WithPayload,"with_vector":@WithVector}})"},
  {"ScrollPoints", R"(
    {"type":"object","properties":{"filter":@Filter,"limit":{"type":"integer","minimum":1,
    "default":10},"offset":@PointId,"with_payload":@WithPayload,"with_vector":@WithVector}})"},
  {"CountPoints", R"(
    {"type":"object","properties":{"filter":@Filter,"exact":{"type":"boolean",
    "default":true}}})"},
  {"VectorInput", R"(
    {"description":"A vector, or a point whose vector is used and which is left out of the answer",
    "anyOf":[@DenseVector,@PointId]})"},
  {"HistoryItem", R"(
    {"anyOf":[@VectorInput,{"type":"object","additionalProperties":false,
    "properties":{"id":@PointId,"vector":@DenseVector,"weight":{"type":"number",
    "exclusiveMinimum":true,"minimum":0,"default":1},"at":{"anyOf":[{"type":"string",
    "format":"date-time"},{"type":"number","description":"Unix seconds"}]}}}]})"},
  {"History", R"({"type":"array","maxItems":10000,"items":@HistoryItem})"},
  {"Interests", R"(
    {"description":"One search per interest; exactly one of user, history and components",
    "type":"object","additionalProperties":false,"properties":{"user":@UserId,
    "history":@History,"smoothing":{"type":"object","additionalProperties":false,
    "properties":{"neighbors":{"type":"integer","minimum":1,"maximum":1000,"default":10},
    "lambda":{"type":"number","minimum":0,"maximum":1,"default":0.2}}},
    "components":{"type":"array","minItems":1,"maxItems":256,"items":{"type":"object",
    "additionalProperties":false,"required":["vector"],"properties":{"vector":@DenseVector,
    "weight":{"type":"number","exclusiveMinimum":true,"minimum":0,"default":1},
    "filter":@Filter}}},"vector":@DenseVector,"max_components":{"type":"integer",
    "minimum":1,"maximum":256,"default":5},"min_quota":{"type":"integer","minimum":0,
    "default":1},"quota_power":{"type":"number","minimum":0,"maximum":10,"default":1,
    "description":"Quotas go by weight^power"},"clustering":{"default":"global",
    "anyOf":[{"type":"string","enum":["global","ward"]},{"type":"object",
    "additionalProperties":false,"required":["ward"],
    "properties":{"ward":{"type":"object","additionalProperties":false,
    "properties":{"threshold":{"type":"number","minimum":0}}}}}]},
    "represent":{"type":"string","enum":["centroid","medoid","cluster"],
    "default":"centroid"},"half_life":{"anyOf":[{"type":"string","example":"30d"},
    {"type":"number","description":"Seconds"}]},"blend":{"type":"number","minimum":0,
    "maximum":1,"default":0},"blend_with":{"type":"string","enum":["vector","history"],
    "default":"vector"},"allocation":{"type":"string","enum":["proportional","equal",
    "sampled"],"default":"proportional"},"seed":{"type":"integer","minimum":0,"default":42},
    "scope":{"type":"string","enum":["global","cluster"],"default":"global"},
    "merge":{"type":"string","enum":["interleave","score"],"default":"interleave"},
    "page":{"type":"integer","minimum":1,"description":"Hits behind the first page come by score"},
    "page_blend":{"type":"number","minimum":0,"maximum":1,
    "description":"The blend of the vectors that a page goes by; default: blend"},
    "diversity":@Diversity,"exclude_history":{"type":"boolean","default":true}}})"},
  {"Diversity", R"(
    {"description":"Chooses the answer from more hits than it holds","type":"object",
    "additionalProperties":false,"minProperties":1,"maxProperties":1,
    "properties":{"mmr":{"type":"object","additionalProperties":false,
    "properties":{"lambda":{"type":"number","minimum":0,"maximum":1,"default":0.5},
    "diversity":{"type":"number","minimum":0,"maximum":1,"description":"1 - lambda"},
    "candidates":{"type":"integer","minimum":1,"maximum":10000}}},"category":{"type":"object",
    "additionalProperties":false,"required":["field","lambda"],
    "properties":{"field":@PayloadPath,"lambda":{"type":"number","minimum":0},
    "candidates":{"type":"integer","minimum":1,"maximum":10000}}}}})"},
  {"Refine", R"(
    {"description":"Retrieval in rounds that do not repeat an item","type":"object",
    "additionalProperties":false,
    "properties":{"query":{"description":"Required, unless the strategy is an adapter",
    "anyOf":[@VectorInput,{"type":"object",
    "additionalProperties":false,"minProperties":1,"maxProperties":1,
    "properties":{"nearest":@VectorInput,"interests":@Interests}}]},"history":@History,
    "user":@UserId,"exclude_history":{"type":"boolean","default":true},
    "context_includes_history":{"type":"boolean","default":false},
    "rounds":{"type":"integer","minimum":1,"maximum":100,"default":5},
    "strategy":{"type":"object","additionalProperties":false,"minProperties":1,
    "maxProperties":1,"properties":{"explore":{"type":"object","additionalProperties":false,
    "properties":{"beta":{"type":"number","minimum":0,"default":0.5}}},
    "rocchio":{"type":"object","additionalProperties":false,
    "properties":{"alpha":{"type":"number","minimum":0,"default":0.7},
    "beta":{"type":"number","minimum":0,"default":0.3},"feedback":{"type":"integer",
    "minimum":1,"maximum":10000,"default":3}}},"attention":{"type":"object",
    "additionalProperties":false,"properties":{"gamma":{"type":"number","minimum":0,
    "default":0.3},"temperature":{"type":"number","exclusiveMinimum":true,"minimum":0,
    "default":0.1}}},"relevance_feedback":{"type":"object","additionalProperties":false,
    "required":["a","b","c"],"properties":{"a":{"type":"number"},"b":{"type":"number",
    "minimum":0},"c":{"type":"number"}}},
    "adapter":{"type":"string","description":"Name of a trained adapter"}}}}})"},
  {"AdapterFile", R"(
    {"description":"A safetensors file","type":"string","format":"binary"})"},
  {"SearchParams", R"(
    {"type":"object","properties":{"hnsw_ef":{"type":"integer","minimum":1},
    "exact":{"type":"boolean","default":false},"indexed_only":{"type":"boolean",
    "default":false},"nprobe":{"type":"integer","minimum":1},"quantization":{"type":"object",
    "properties":{"ignore":{"type":"boolean","default":false},"rescore":{"type":"boolean",
    "default":true},"oversampling":{"type":"number","minimum":1}}},"dims":{"type":"integer",
    "minimum":1,"maximum":65536,
    "description":"Candidates by so many first values, then scored as a whole"},
    "acorn":{"type":"object","description":"Accepted: filtered searches do this always",
    "properties":{"enable":{"type":"boolean"},"max_selectivity":{"type":"number","minimum":0,
    "maximum":1}}}}})"},
  {"Fusion", R"(
    {"description":"The answers of the prefetches as one","type":"object","minProperties":1,
    "maxProperties":1,"properties":{"fusion":{"type":"string","enum":["rrf","dbsf"]},
    "rrf":{"type":"object","properties":{"k":{"type":"integer","minimum":1,"default":2},
    "weights":{"type":"array","maxItems":256,"description":"One for each prefetch",
    "items":{"type":"number","minimum":0}}}}}})"},
  {"QueryKind", R"(
    {"nullable":true,"anyOf":[@VectorInput,{"type":"object","minProperties":1,
    "properties":{"nearest":@VectorInput,"interests":@Interests,"refine":@Refine}},@Fusion]})"},
  {"Prefetch", R"(
    {"description":"A query that finds what another one ranks or fuses","type":"object",
    "properties":{"prefetch":@Prefetches,"query":@QueryKind,"using":{"type":"string"},
    "filter":@Filter,"params":@SearchParams,"score_threshold":{"type":"number"},
    "limit":{"type":"integer","minimum":1,"default":10},"lookup_from":@VectorLookup}})"},
  {"VectorLookup", R"(
    {"type":"object","required":["collection"],"description":"Where the id that is the query is",
    "properties":{"collection":{"type":"string"},"vector":{"type":"string",
    "description":"Absent: the vector of that name which is searched"}}})"},
  {"Prefetches", R"(
    {"anyOf":[@Prefetch,{"type":"array","maxItems":256,"items":@Prefetch}]})"},
  {"Query", R"(
    {"type":"object","properties":{"prefetch":@Prefetches,"query":@QueryKind,
    "using":{"type":"string","description":"Name of the vector; absent: the unnamed one"},
    "filter":@Filter,"params":@SearchParams,"score_threshold":{"type":"number"},
    "limit":{"type":"integer","minimum":0,"default":10,
    "description":"0 with interests only: the profile"},
    "offset":{"type":"integer","minimum":0,"default":0},"lookup_from":@VectorLookup,
    "with_payload":@WithPayload,"with_vector":@WithVector,"explain":{"type":"boolean",
    "default":false,"description":"Also answer how the query was run"}}})"},
  {"QueryGroups", R"(
    {"type":"object","required":["group_by"],"properties":{"prefetch":@Prefetches,
    "query":@QueryKind,"using":{"type":"string"},"filter":@Filter,"params":@SearchParams,
    "score_threshold":{"type":"number"},"group_by":@PayloadPath,"group_size":{"type":"integer",
    "minimum":1,"default":3},"limit":{"type":"integer","minimum":1,"default":10,
    "description":"Groups"},"with_payload":@WithPayload,"with_vector":@WithVector,
    "lookup_from":@VectorLookup,
    "with_lookup":{"description":"Adds the points whose ids are the groups' values",
    "anyOf":[{"type":"string"},{"type":"object","required":["collection"],
    "properties":{"collection":{"type":"string"},"with_payload":@WithPayload,
    "with_vectors":@WithVector}}]},"explain":{"type":"boolean","default":false}}})"},
  {"QueryBatch", R"(
    {"type":"object","required":["searches"],"properties":{"searches":{"type":"array",
    "items":@Query}}})"},
  {"Search", R"(
    {"type":"object","required":["vector","limit"],
    "properties":{"vector":{"anyOf":[@DenseVector,{"type":"object","required":["name",
    "vector"],"properties":{"name":{"type":"string"},"vector":@DenseVector}}]},
    "filter":@Filter,"params":@SearchParams,"score_threshold":{"type":"number"},
    "limit":{"type":"integer","minimum":1},"offset":{"type":"integer","minimum":0,
    "default":0},"with_payload":@WithPayload,"with_vector":@WithVector}})"},
  {"SearchBatch", R"(
    {"type":"object","required":["searches"],"properties":{"searches":{"type":"array",
    "items":@Search}}})"},
  {"Event", R"(
    {"description":"That a user engaged with a point, which need not exist","anyOf":[@PointId,
    {"type":"object","additionalProperties":false,"required":["id"],"properties":{"id":@PointId,
    "weight":{"type":"number","exclusiveMinimum":true,"minimum":0,"default":1},
    "at":{"description":"Absent: when it is received","anyOf":[{"type":"string",
    "format":"date-time"},{"type":"number","description":"Seconds since 1970"}]}}}]})"},
  {"EventList", R"({"type":"array","maxItems":1000000,"items":@Event})"},
  {"PutUsers", R"(
    {"type":"object","additionalProperties":false,"required":["users"],
    "properties":{"users":{"type":"array","maxItems":1000000,"items":{"type":"object",
    "additionalProperties":false,"required":["id"],"properties":{"id":@UserId,
    "vector":@PointVectors,"history":@EventList}}}}})"},
  {"AppendEvents", R"(
    {"type":"object","additionalProperties":false,"required":["users"],
    "properties":{"users":{"type":"array","maxItems":1000000,"items":{"type":"object",
    "additionalProperties":false,"required":["id","events"],"properties":{"id":@UserId,
    "events":@EventList}}}}})"},
  {"EventsOfUser", R"(
    {"type":"object","additionalProperties":false,"required":["events"],
    "properties":{"events":@EventList}})"},
  {"EventSelectors", R"(
    {"type":"object","additionalProperties":false,"required":["events"],
    "properties":{"events":{"type":"array","minItems":1,"maxItems":1000000,
    "items":{"description":"The event of that point at that time; without a time all of the point",
    "anyOf":[@PointId,{"type":"object","additionalProperties":false,"required":["id"],
    "properties":{"id":@PointId,"at":{"anyOf":[{"type":"string","format":"date-time"},
    {"type":"number","description":"Seconds since 1970"}]}}}]}}}})"},
  {"DeleteUsers", R"(
    {"type":"object","additionalProperties":false,"required":["ids"],
    "properties":{"ids":{"type":"array","maxItems":1000000,"items":@UserId}}})"},
  {"ScrollUsers", R"(
    {"type":"object","additionalProperties":false,"properties":{"limit":{"type":"integer",
    "minimum":1,"default":10},"offset":@UserId,"with_vector":{"type":"boolean",
    "default":false}}})"},
  {"CountUsers", R"(
    {"type":"object","additionalProperties":false,"properties":{"exact":{"type":"boolean"}}})"},
  {"StartSession", R"(
    {"type":"object","additionalProperties":false,
    "properties":{"query":{"description":"May be left out with an adapter","anyOf":[@DenseVector,
    @PointId,{"type":"object","additionalProperties":false,"minProperties":1,"maxProperties":1,
    "properties":{"nearest":{"anyOf":[@DenseVector,@PointId]},"interests":@Interests}}]},
    "history":@History,
    "user":@UserId,"exclude_history":{"type":"boolean","default":true},
    "using":{"type":"string","default":""},"filter":@Filter,"params":@SearchParams,
    "limit":{"type":"integer","minimum":1,"default":10,"description":"Points a round"},
    "strategy":@SessionStrategy,"ttl":{"description":"How long it lives unused",
    "anyOf":[{"type":"string","example":"30m"},{"type":"number","exclusiveMinimum":true,
    "minimum":0,"description":"Seconds"}]},"with_payload":@WithPayload,
    "with_vector":@WithVector}})"},
  {"SessionStrategy", R"(
    {"description":"How feedback moves the query; absent: rocchio","type":"object",
    "additionalProperties":false,"minProperties":1,"maxProperties":1,
    "properties":{"rocchio":{"type":"object","additionalProperties":false,
    "properties":{"alpha":{"type":"number","minimum":0,"default":1},"beta":{"type":"number",
    "minimum":0,"default":0.75},"gamma":{"type":"number","minimum":0,"default":0.15}}},
    "relevance_feedback":{"type":"object","additionalProperties":false,"required":["a","b","c"],
    "properties":{"a":{"type":"number"},"b":{"type":"number","minimum":0},
    "c":{"type":"number"}}},"explore":{"type":"object","additionalProperties":false,
    "properties":{"beta":{"type":"number","minimum":0,"default":0.5}}},
    "attention":{"type":"object","additionalProperties":false,
    "properties":{"gamma":{"type":"number","minimum":0,"default":0.3},
    "temperature":{"type":"number","exclusiveMinimum":true,"minimum":0,"default":0.1}}},
    "adapter":{"type":"string","description":"Name of a trained adapter"}}})"},
  {"NextRound", R"(
    {"type":"object","additionalProperties":false,"properties":{"feedback":{"type":"object",
    "description":"About points that this session returned, each once",
    "additionalProperties":false,"properties":{"positive":{"type":"array","maxItems":10000,
    "items":@PointId},"negative":{"type":"array","maxItems":10000,"items":@PointId},
    "scores":{"type":"array","maxItems":10000,"items":{"type":"object",
    "additionalProperties":false,"required":["id","score"],"properties":{"id":@PointId,
    "score":{"type":"number","minimum":-1000000,"maximum":1000000}}}}}},
    "limit":{"type":"integer","minimum":1},"round":{"type":"integer","minimum":1,
    "description":"The round that this call makes; the last one again repeats its answer"}}})"},
  {"UndoRound", R"(
    {"type":"object","additionalProperties":false,"properties":{"round":{"type":"integer",
    "minimum":1,"description":"The last one; what has just been taken back stays so"}}})"},
  {"TrainClusters", R"(
    {"type":"object","additionalProperties":false,"properties":{"vector":{"type":"string",
    "default":""},"count":{"type":"integer","minimum":1,"maximum":1048576},
    "iterations":{"type":"integer","minimum":1,"maximum":10000,"default":20},
    "seed":{"type":"integer","minimum":0,"default":42},"sample":{"type":"integer",
    "minimum":1},"labels":{"type":"object","additionalProperties":false,"required":["field"],
    "properties":{"field":@PayloadPath}}}})"},
  {"Reindex", R"(
    {"type":"object","additionalProperties":false,"properties":{"vector":{"type":"string",
    "default":""},"index":@IndexConfig,"hnsw_config":@HnswConfig,
    "quantization_config":@QuantizationChange}})"},
  {"Recall", R"(
    {"type":"object","additionalProperties":false,"properties":{"vector":{"type":"string",
    "default":""},"using":{"type":"string","description":"The same as vector"},
    "sample":{"type":"integer","minimum":1,"maximum":10000,"default":100},
    "limit":{"type":"integer","minimum":1,"maximum":1000,"default":10},
    "seed":{"type":"integer","minimum":0,"default":42},"params":@SearchParams,
    "filter":@Filter}})"},
  {"Estimate", R"(
    {"type":"object","additionalProperties":false,
    "properties":{"vectors":{"description":"A vector of the collection by name, or others",
    "anyOf":[{"type":"string"},@VectorParams,{"type":"object",
    "additionalProperties":@VectorParams}]},"points":{"type":"integer","minimum":1,
    "maximum":4294967295},"hnsw_config":@HnswConfig,"index":@IndexConfig,
    "quantization_config":@QuantizationChange,"on_disk":{"type":"boolean"}}})"},
};
// clang-format on

}  // namespace

std::span<const NamedSchema> request_schemas() {
  return kSchemas;
}

}  // namespace tessera::api
