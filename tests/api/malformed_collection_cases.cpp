#include "malformed_cases.h"

namespace tessera::api {

namespace {

constexpr Method kGet = Method::kGet;
constexpr Method kPost = Method::kPost;
constexpr Method kPut = Method::kPut;
constexpr Method kPatch = Method::kPatch;
constexpr Method kDelete = Method::kDelete;

#define FORMAT "Format error in JSON body: "
#define VALIDATION "Validation error in JSON body: "
#define PATH "Deserialize error in path parameters: "
#define QUERY "Deserialize error in query parameters: "
#define MISSING " is not supported by this version"

// clang-format off
constexpr MalformedCase kTargets[] = {
  {kGet, "/nothing", "", 404, "Not found: there is no GET /nothing"},
  {kGet, "/collections/c/nothing", "", 404, "Not found: there is no GET /collections/c/nothing"},
  {kPost, "/collections/c/points/query/batch/more", "{}", 404, "Not found: there is no POST /collections/c/points/query/batch/more"},
  {kGet, "//collections", "", 404, "Not found: there is no GET //collections"},
  {kPost, "/", "{}", 405, "Method not allowed: POST /, allowed: GET, HEAD"},
  {kPost, "/collections", "{}", 405, "Method not allowed: POST /collections, allowed: GET, HEAD"},
  {kPost, "/collections/c", "{}", 405, "Method not allowed: POST /collections/c, allowed: DELETE, GET, HEAD, PATCH, PUT"},
  {kDelete, "/collections/c/points", "", 405, "Method not allowed: DELETE /collections/c/points, allowed: POST, PUT"},
  {kGet, "/collections/c/points/query", "", 400, PATH "value query is not a valid point ID, valid values are either an unsigned integer or a UUID"},
  {kPut, "/collections/c/points/scroll", "{}", 405, "Method not allowed: PUT /collections/c/points/scroll, allowed: GET, HEAD, POST"},
  {kPatch, "/jobs", "{}", 405, "Method not allowed: PATCH /jobs, allowed: GET, HEAD"},
  {Method::kOptions, "/jobs/1", "", 405, "Method not allowed: OPTIONS /jobs/1, allowed: DELETE, GET, HEAD"},
  {Method::kOther, "/healthz", "", 405, "Method not allowed: OTHER /healthz, allowed: GET, HEAD"},
  {kGet, "/collections/%", "", 400, PATH "a percent sign without two hex digits"},
  {kGet, "/collections/%4", "", 400, PATH "a percent sign without two hex digits"},
  {kGet, "/collections/%zz", "", 400, PATH "a percent sign without two hex digits"},
  {kGet, "/collections?wait=%x", "", 400, QUERY "a percent sign without two hex digits"},
  {kGet, "/collections/none", "", 404, "Not found: Collection `none` doesn't exist!"},
  {kPatch, "/collections/none", "{}", 404, "Not found: Collection `none` doesn't exist!"},
  {kPut, "/collections/none/points", R"({"points":[]})", 404, "Not found: Collection `none` doesn't exist!"},
  {kPost, "/collections/none/points/query", "{}", 404, "Not found: Collection `none` doesn't exist!"},
  {kPost, "/collections/none/clusters", "", 404, "Not found: Collection `none` doesn't exist!"},
  {kGet, "/collections/c/points/abc", "", 400, PATH "value abc is not a valid point ID, valid values are either an unsigned integer or a UUID"},
  {kGet, "/collections/c/points/-1", "", 400, PATH "value -1 is not a valid point ID, valid values are either an unsigned integer or a UUID"},
  {kGet, "/collections/c/points/1.0", "", 400, PATH "value 1.0 is not a valid point ID, valid values are either an unsigned integer or a UUID"},
  {kGet, "/collections/c/points/18446744073709551616", "", 400, PATH "value 18446744073709551616 is not a valid point ID, valid values are either an unsigned integer or a UUID"},
  {kGet, "/collections/c/points/77", "", 404, "Not found: Point with id 77 does not exists!"},
  {kGet, "/collections/c/points/%7B6ba7b810-9dad-11d1-80b4-00c04fd430c8%7D", "", 404, "Not found: Point with id 6ba7b810-9dad-11d1-80b4-00c04fd430c8 does not exists!"},
  {kGet, "/jobs/x", "", 400, PATH "job_id: expected an unsigned integer"},
  {kGet, "/jobs/7", "", 404, "Not found: Job 7 not found"},
  {kDelete, "/jobs/7", "", 404, "Not found: Job 7 not found"},
  {kDelete, "/collections/c/index/a%20b", "", 400, PATH "field_name: Invalid payload path \"a b\": unexpected character at byte 1"},
  {kPut, "/collections/c/points?wait=yes", R"({"points":[]})", 400, QUERY "wait: expected true or false, found \"yes\""},
  {kPut, "/collections/c/points?wait", R"({"points":[]})", 400, QUERY "wait: expected true or false, found \"\""},
  {kPut, "/collections/c/points?wait=true&wait=true", R"({"points":[]})", 400, QUERY "duplicate field `wait`"},
  {kPut, "/collections/c/points?ordering=strongest", R"({"points":[]})", 400, QUERY "ordering: expected weak, medium or strong, found \"strongest\""},
  {kPost, "/collections/c/points/count?timeout=0", "{}", 422, "Validation error in query parameters: [timeout: value 0 invalid, must be 1 or larger]"},
  {kPost, "/collections/c/points/count?timeout=-1", "{}", 400, QUERY "timeout: expected a whole number of seconds, found \"-1\""},
  {kPost, "/collections/c/points/count?timeout=1.5", "{}", 400, QUERY "timeout: expected a whole number of seconds, found \"1.5\""},
  {kPost, "/collections/c/points/count?timeout=99999999999999999999", "{}", 400, QUERY "timeout: expected a whole number of seconds, found \"99999999999999999999\""},
  {kPost, "/collections/c/points/count?consistency=some", "{}", 400, QUERY "consistency: expected a number of replicas, majority, quorum or all, found \"some\""},
  {kPost, "/collections/c/points/count?consistency=0", "{}", 400, QUERY "consistency: expected a number of replicas, majority, quorum or all, found \"0\""},
  {kGet, "/telemetry", "", 501, "Not implemented: GET /telemetry: telemetry" MISSING},
  {kGet, "/aliases", "", 501, "Not implemented: GET /aliases: collection aliases" MISSING},
  {kPost, "/collections/aliases", "{}", 501, "Not implemented: POST /collections/aliases: collection aliases" MISSING},
  {kPost, "/collections/c/facet", "{}", 501, "Not implemented: POST /collections/c/facet: faceting" MISSING},
  {kPost, "/collections/c/points/query/groups", "{}", 501, "Not implemented: POST /collections/c/points/query/groups: grouping" MISSING},
  {kPost, "/collections/c/points/recommend", "{}", 501, "Not implemented: POST /collections/c/points/recommend: recommending by examples" MISSING},
  {kPut, "/collections/c/points/vectors", "{}", 501, "Not implemented: PUT /collections/c/points/vectors: updating vectors" MISSING},
  {kPost, "/collections/c/snapshots", "", 501, "Not implemented: POST /collections/c/snapshots: snapshots" MISSING},
  {kPost, "/collections/c/sessions", "{}", 501, "Not implemented: POST /collections/c/sessions: sessions" MISSING},
  {kPut, "/collections/c/users", "{}", 501, "Not implemented: PUT /collections/c/users: stored users" MISSING},
};

constexpr MalformedCase kCollections[] = {
  {kPut, "/collections/d", "", 400, FORMAT "the body is empty, expected JSON"},
  {kPut, "/collections/d", "  ", 400, FORMAT "the body is empty, expected JSON"},
  {kPut, "/collections/d", "[]", 400, FORMAT "expected an object, found an array"},
  {kPut, "/collections/d", "null", 400, FORMAT "expected an object, found null"},
  {kPut, "/collections/d", "7", 400, FORMAT "expected an object, found an integer (7)"},
  {kPut, "/collections/d", R"({"vectors":[]})", 400, FORMAT "vectors: expected an object, found an array"},
  {kPut, "/collections/d", R"({"vectors":{"size":4}})", 400, FORMAT "vectors: missing field `distance`"},
  {kPut, "/collections/d", R"({"vectors":{"distance":"Dot"}})", 400, FORMAT "vectors: missing field `size`"},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"Hamming"}})", 400, FORMAT R"(vectors.distance: expected one of "Cosine", "Euclid", "Dot", "Manhattan", found "Hamming")"},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"cosine"}})", 400, FORMAT R"(vectors.distance: expected one of "Cosine", "Euclid", "Dot", "Manhattan", found "cosine")"},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":7}})", 400, FORMAT "vectors.distance: expected a string, found an integer (7)"},
  {kPut, "/collections/d", R"({"vectors":{"size":-4,"distance":"Dot"}})", 400, FORMAT "vectors.size: expected an unsigned integer, found an integer (-4)"},
  {kPut, "/collections/d", R"({"vectors":{"size":4.0,"distance":"Dot"}})", 400, FORMAT "vectors.size: expected an unsigned integer, found a float (4.0)"},
  {kPut, "/collections/d", R"({"vectors":{"size":"4","distance":"Dot"}})", 400, FORMAT "vectors.size: expected an unsigned integer, found a string (\"4\")"},
  {kPut, "/collections/d", R"({"vectors":{"size":0,"distance":"Dot"}})", 422, VALIDATION "[vectors.size: value 0 invalid, must be from 1 to 65536]"},
  {kPut, "/collections/d", R"({"vectors":{"size":65537,"distance":"Dot"}})", 422, VALIDATION "[vectors.size: value 65537 invalid, must be from 1 to 65536]"},
  {kPut, "/collections/d", R"({"vectors":{"a":{"size":65537,"distance":"Dot"}}})", 422, VALIDATION "[vectors.?.size: value 65537 invalid, must be from 1 to 65536]"},
  {kPut, "/collections/d", R"({"vectors":{"a":{"size":"x","distance":"Dot"}}})", 400, FORMAT "vectors.a.size: expected an unsigned integer, found a string (\"x\")"},
  {kPut, "/collections/d", R"({"vectors":{"a":7}})", 400, FORMAT "vectors.a: expected an object, found an integer (7)"},
  {kPut, "/collections/d", R"({"vectors":{"a:b":{"size":4,"distance":"Dot"}}})", 422, VALIDATION R"([vectors.?: vector name cannot contain ":" char])"},
  {kPut, "/collections/d", R"({"vectors":{"a":{"size":4,"distance":"Dot"},"a":{"size":4,"distance":"Dot"}}})", 400, FORMAT "vectors: duplicate field `a`"},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"Dot","index":{"type":"tree"}}})", 400, FORMAT R"(vectors.index.type: expected one of "hnsw", "ivf_flat", "ivf_sq8", "ivf_pq", "flat", found "tree")"},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"Dot","index":{}}})", 400, FORMAT "vectors.index: missing field `type`"},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"Dot","index":{"type":"ivf_flat","nlist":4}}})", 400, FORMAT "vectors.index: unknown field `nlist`, expected one of `type`, `lists`, `probes`, `pq_segments`"},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"Dot","index":{"type":"ivf_flat","lists":0}}})", 422, VALIDATION "[vectors.index.lists: value 0 invalid, must be from 1 to 1048576]"},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"Dot","index":{"type":"hnsw","lists":8}}})", 422, VALIDATION "[vectors.index.lists: is a setting of the ivf types only, not of \"hnsw\"]"},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"Dot","index":{"type":"ivf_sq8","pq_segments":2}}})", 422, VALIDATION "[vectors.index.pq_segments: is a setting of ivf_pq only, not of \"ivf_sq8\"]"},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"Dot","index":{"type":"ivf_pq","pq_segments":3}}})", 422, VALIDATION "[vectors.index.pq_segments: value 3 invalid, must divide 4 (size)]"},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"Dot","index":{"type":"ivf_flat","lists":4,"probes":5}}})", 422, VALIDATION "[vectors.index.probes: value 5 invalid, must be 4 or smaller]"},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"Dot","hnsw_config":{"ef_construct":3}}})", 422, VALIDATION "[vectors.hnsw_config.ef_construct: value 3 invalid, must be from 4 to 65536]"},
  {kPut, "/collections/d", R"({"hnsw_config":{"m":-1}})", 400, FORMAT "hnsw_config.m: expected an unsigned integer, found an integer (-1)"},
  {kPut, "/collections/d", R"({"hnsw_config":{"m":2000}})", 422, VALIDATION "[hnsw_config.m: value 2000 invalid, must be 1024 or smaller]"},
  {kPut, "/collections/d", R"({"hnsw_config":{"on_disk":1}})", 400, FORMAT "hnsw_config.on_disk: expected a boolean, found an integer (1)"},
  {kPut, "/collections/d", R"({"hnsw_config":{"ef_construct":1},"optimizers_config":{"deleted_threshold":1.5,"vacuum_min_vector_number":1}})", 422, VALIDATION "[hnsw_config.ef_construct: value 1 invalid, must be from 4 to 65536; optimizers_config.deleted_threshold: value 1.5 invalid, must be from 0.0 to 1.0; optimizers_config.vacuum_min_vector_number: value 1 invalid, must be 100 or larger]"},
  {kPut, "/collections/d", R"({"optimizers_config":{"max_optimization_threads":"many"}})", 400, FORMAT R"(optimizers_config.max_optimization_threads: expected "auto", found "many")"},
  {kPut, "/collections/d", R"({"wal_config":{"wal_capacity_mb":0}})", 422, VALIDATION "[wal_config.wal_capacity_mb: value 0 invalid, must be 1 or larger]"},
  {kPut, "/collections/d", R"({"shard_number":0})", 400, FORMAT "shard_number: expected a nonzero integer, found 0"},
  {kPut, "/collections/d", R"({"replication_factor":4294967296})", 400, FORMAT "replication_factor: expected a 32-bit integer, found 4294967296"},
  {kPut, "/collections/d", R"({"on_disk_payload":"no"})", 400, FORMAT "on_disk_payload: expected a boolean, found a string (\"no\")"},
  {kPut, "/collections/d", R"({"metadata":[1]})", 400, FORMAT "metadata: expected an object, found an array"},
  {kPut, "/collections/d", R"({"metadata":{"a":{"b":1,"b":2}}})", 400, FORMAT "metadata: duplicate field `b`"},
  {kPut, "/collections/d", R"({"vectors":{},"vectors":{}})", 400, FORMAT "duplicate field `vectors`"},
  {kPut, "/collections/d", R"({"sparse_vectors":{"s":{}}})", 501, "Not implemented: sparse_vectors: a sparse vector" MISSING},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"Dot","multivector_config":{"comparator":"max_sim"}}})", 501, "Not implemented: vectors.multivector_config: a multi-vector" MISSING},
  {kPut, "/collections/d", R"({"vectors":{"a":{"size":4,"distance":"Dot","datatype":"float16"}}})", 501, "Not implemented: vectors.a.datatype: the datatype \"float16\"" MISSING},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"Dot","datatype":"float8"}})", 400, FORMAT R"(vectors.datatype: expected one of "float32", "float16", "uint8", "turbo4", found "float8")"},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"Dot","quantization_config":{"scalar":{"type":"int8"}}}})", 501, "Not implemented: vectors.quantization_config: quantization" MISSING},
  {kPut, "/collections/d", R"({"quantization_config":{"scalar":{"type":"int8"}}})", 501, "Not implemented: quantization_config: quantization" MISSING},
  {kPut, "/collections/d", R"({"vectors":{"size":4,"distance":"Dot","memory":"pinned"}})", 501, "Not implemented: vectors.memory: a memory policy" MISSING},
  {kPut, "/collections/d", R"({"payload":{"memory":"cold"}})", 501, "Not implemented: payload.memory: a memory policy" MISSING},
  {kPut, "/collections/d", R"({"strict_mode_config":{"enabled":true}})", 501, "Not implemented: strict_mode_config.enabled: strict mode" MISSING},
  {kPut, "/collections/d", R"({"sharding_method":"custom"})", 501, "Not implemented: sharding_method: custom sharding" MISSING},
  {kPut, "/collections/d", R"({"sharding_method":"hash"})", 400, FORMAT R"(sharding_method: expected one of "auto", "custom", found "hash")"},
  {kPut, "/collections/d", R"({"init_from":{"collection":"c"}})", 501, "Not implemented: init_from: copying another collection" MISSING},
  {kPut, "/collections/c", R"({"vectors":{"size":4,"distance":"Dot"}})", 409, "Wrong input: Collection `c` already exists!"},
  {kPut, "/collections/a%3Ab", "{}", 422, R"(Validation error in path parameters: [collection_name: collection name cannot contain ":" char])"},
  {kPut, "/collections/a%2Fb", "{}", 422, R"(Validation error in path parameters: [collection_name: collection name cannot contain "/" char])"},
  {kPut, "/collections/a%00b", "{}", 422, R"(Validation error in path parameters: [collection_name: collection name cannot contain "\u0000" char])"},
  {kPatch, "/collections/c", R"({"optimizers_config":7})", 400, FORMAT "optimizers_config: expected an object, found an integer (7)"},
  {kPatch, "/collections/c", R"({"params":{"replication_factor":2}})", 501, "Not implemented: params.replication_factor: changing it after the creation of the collection" MISSING},
  {kPatch, "/collections/c", R"({"vectors":{"a":{"on_disk":true}}})", 501, "Not implemented: vectors.a.on_disk: moving vectors of an existing collection" MISSING},
  {kPatch, "/collections/c", R"({"vectors":{"":{"hnsw_config":{"m":"x"}}}})", 400, FORMAT "vectors..hnsw_config.m: expected an unsigned integer, found a string (\"x\")"},
  {kPut, "/collections/c/index", R"({})", 400, FORMAT "missing field `field_name`"},
  {kPut, "/collections/c/index", R"({"field_name":"a"})", 501, "Not implemented: field_schema: guessing the type of a payload index" MISSING},
  {kPut, "/collections/c/index", R"({"field_name":"a","field_schema":"geo"})", 501, "Not implemented: field_schema: a payload index of the type \"geo\"" MISSING},
  {kPut, "/collections/c/index", R"({"field_name":"a","field_schema":{"type":"text"}})", 501, "Not implemented: field_schema.type: a payload index of the type \"text\"" MISSING},
  {kPut, "/collections/c/index", R"({"field_name":"a","field_schema":"number"})", 400, FORMAT R"(field_schema: expected one of "keyword", "integer", "float", "bool", "datetime", "geo", "text", "uuid", found "number")"},
  {kPut, "/collections/c/index", R"({"field_name":"a","field_schema":{}})", 400, FORMAT "field_schema: missing field `type`"},
  {kPut, "/collections/c/index", R"({"field_name":"a","field_schema":7})", 400, FORMAT "field_schema: expected the name of an index type or an object with `type`, found an integer (7)"},
  {kPut, "/collections/c/index", R"({"field_name":"a..b","field_schema":"integer"})", 400, FORMAT "field_name: Invalid payload path \"a..b\": a key is missing at byte 2"},
  {kPut, "/collections/c/index", R"({"field_name":"a","field_schema":{"type":"integer","lookup":false,"range":false}})", 422, VALIDATION "[field_schema: Validation error: the 'lookup' and 'range' capabilities can't be both disabled]"},
  {kPut, "/collections/c/index", R"({"field_name":"a","field_schema":{"type":"keyword","is_tenant":"yes"}})", 400, FORMAT "field_schema.is_tenant: expected a boolean, found a string (\"yes\")"},
  {kPut, "/collections/c/index", R"({"field_name":"a","field_schema":{"type":"keyword","memory":"cold"}})", 501, "Not implemented: field_schema.memory: a memory policy" MISSING},
  {kPost, "/collections/c/clusters", R"({"count":0})", 422, VALIDATION "[count: value 0 invalid, must be from 1 to 1048576]"},
  {kPost, "/collections/c/clusters", R"({"clusters":5})", 400, FORMAT "unknown field `clusters`, expected one of `vector`, `count`, `iterations`, `seed`, `sample`"},
  {kPost, "/collections/c/clusters", R"({"iterations":0,"sample":0})", 422, VALIDATION "[iterations: value 0 invalid, must be from 1 to 10000; sample: value 0 invalid, must be 1 or larger]"},
  {kPost, "/collections/c/reindex", R"({"index":"hnsw"})", 400, FORMAT "index: expected an object, found a string (\"hnsw\")"},
  {kPost, "/collections/c/reindex", R"({"quantization_config":{"binary":{}}})", 501, "Not implemented: quantization_config: quantization" MISSING},
};
// clang-format on

}  // namespace

std::span<const MalformedCase> malformed_targets() {
  return kTargets;
}
std::span<const MalformedCase> malformed_collections() {
  return kCollections;
}

}  // namespace tessera::api
