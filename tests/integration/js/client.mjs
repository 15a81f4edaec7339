// The dialect's JavaScript client against the daemon whose address is the first argument. It checks
// what the client makes of every answer; any difference ends it with an exception.
import assert from 'node:assert/strict';
import {createRequire} from 'node:module';

const {QdrantClient} = createRequire(process.argv[3] + '/')('@qdrant/js-client-rest');
const client = new QdrantClient({url: process.argv[2]});
const uuid = 'f47ac10b-58cc-4372-a567-0e02b2c3d479';
const completed = (answer) => assert.equal(answer.status, 'completed');

assert.equal(await client.createCollection('js', {vectors: {size: 4, distance: 'Cosine'}}), true);
completed(await client.upsert('js', {points: [
  {id: 1, vector: [1, 2, 3, 4], payload: {kind: 'x', n: 3}},
  {id: uuid, vector: [4, 3, 2, 1], payload: {kind: 'y'}}]}));
completed(await client.upsert('js', {batch: {ids: [2, 3], vectors: [[1, 0, 0, 0], [0, 1, 0, 0]]}}));
completed(await client.createPayloadIndex('js', {field_name: 'kind', field_schema: 'keyword', wait: true}));

const near = await client.query('js', {query: [1, 2, 3, 4], limit: 3, with_payload: true,
                                       filter: {must: [{key: 'kind', match: {value: 'x'}}]}});
assert.deepEqual(near.points.map((point) => [point.id, point.payload]), [[1, {kind: 'x', n: 3}]]);
assert.ok(Math.abs(near.points[0].score - 1) < 1e-6);

const [first, second] = await client.queryBatch('js', {searches: [{query: 1, limit: 1}, {limit: 9}]});
assert.deepEqual(first.points.map((point) => point.id), [uuid]);
assert.deepEqual(second.points.map((point) => point.id), [1, 2, 3, uuid]);

const page = await client.scroll('js', {limit: 3, with_vector: true});
assert.deepEqual(page.points.map((point) => point.id), [1, 2, 3]);
assert.equal(page.next_page_offset, uuid);
assert.deepEqual(page.points[1].vector, [1, 0, 0, 0]);

completed(await client.setPayload('js', {payload: {z: {deep: [1]}}, points: [1]}));
completed(await client.deletePayload('js', {keys: ['n'], points: [1]}));
assert.deepEqual((await client.retrieve('js', {ids: [1, 77]}))[0].payload,
                 {kind: 'x', z: {deep: [1]}});
completed(await client.overwritePayload('js', {payload: {only: true}, points: [1]}));
completed(await client.clearPayload('js', {points: [2]}));
assert.deepEqual((await client.retrieve('js', {ids: [1, 2]})).map((point) => point.payload),
                 [{only: true}, {}]);
completed(await client.delete('js', {wait: true, filter: {must: [{has_id: [3, 77]}]}}));
assert.equal((await client.count('js')).count, 3);
assert.equal((await client.batchUpdate('js', {wait: true, operations: [
  {upsert: {points: [{id: 9, vector: [1, 1, 1, 1]}]}}, {delete: {points: [9]}}]})).length, 2);

const info = await client.getCollection('js');
assert.equal(info.points_count, 3);
assert.equal(info.config.params.vectors.size, 4);
assert.equal(info.payload_schema.kind.data_type, 'keyword');
assert.deepEqual(await client.collectionExists('js'), {exists: true});
assert.deepEqual(await client.getCollections(), {collections: [{name: 'js'}]});

const interests = await client.query('js', {limit: 2, query: {interests: {
  components: [{vector: [1, 0, 0, 0], weight: 3}, {vector: [0, 0, 0, 1], weight: 1}]}}});
assert.equal(interests.points.length, 2);
assert.equal(interests.interests.length, 2);
await assert.rejects(client.getCollection('absent'), (error) =>
  error.status === 404 && error.data.status.error === "Not found: Collection `absent` doesn't exist!");
await assert.rejects(client.createCollection('js', {vectors: {size: 4, distance: 'Dot'}}),
                     (error) => error.status === 409);
assert.equal(await client.deleteCollection('js'), true);
console.log('every call answered as the client expects');
