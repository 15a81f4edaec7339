#include "adapter/adapter.h"

#include <cmath>
#include <random>

#include <catch2/catch.hpp>

#include "tests/adapter/oracle.h"

namespace tessera::adapter {
namespace {

using testing::MadeAdapter;
using testing::MadeShape;
using testing::Oracle;
using Items = std::vector<std::vector<float>>;

constexpr double kTolerance = 1e-5;

Status go_on() {
  return {};
}

/// Values about 1 in size, as embeddings are; with the bias as a last one where there is one.
Items random_items(std::mt19937_64& random, std::size_t count, std::size_t dim) {
  std::normal_distribution<float> normal;
  Items items(count, std::vector<float>(dim));
  for (auto& item : items) {
    for (float& value : item) value = normal(random);
  }
  return items;
}

Oracle::Rows wide(const Items& items, std::size_t dim) {
  Oracle::Rows rows;
  for (const auto& item : items) {
    rows.emplace_back(item.begin(), item.begin() + static_cast<std::ptrdiff_t>(dim));
  }
  return rows;
}

double largest_difference(const float* vector, const Oracle::Row& expected) {
  double largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(vector[i] - expected[i]));
  }
  return largest;
}

std::shared_ptr<const Adapter> read(const MadeAdapter& made) {
  auto adapter = Adapter::read(testing::write_adapter(made));
  INFO((adapter.has_error() ? adapter.error().message() : std::string()));
  REQUIRE(adapter.has_value());
  return *adapter;
}

/// Some people whose rounds return what chance says, in one batch, against the oracle one by one.
void compare(const MadeShape& shape, std::mt19937_64& random,
             const std::vector<std::size_t>& lengths, std::size_t round_count) {
  const MadeAdapter made = make_adapter(shape, random);
  const auto adapter = read(made);
  const Oracle oracle(made, shape);
  struct Known {
    Items history;
    std::vector<Oracle::Rows> rounds;
    Oracle::Rows vectors;
  };
  std::vector<Known> known(lengths.size());
  std::vector<Person> persons;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    known[i].history = random_items(random, lengths[i], adapter->item_dim());
    persons.push_back(adapter->begin(known[i].history));
  }
  std::vector<const Person*> batch;
  for (const Person& person : persons) batch.push_back(&person);
  Scratch scratch;
  Values vectors;
  for (std::size_t round = 0; round < round_count; ++round) {
    REQUIRE(adapter->vectors(batch, go_on, scratch, vectors).ok());
    REQUIRE(vectors.size() == persons.size() * shape.dim);
    for (std::size_t i = 0; i < persons.size(); ++i) {
      const float* const vector = vectors.data() + i * shape.dim;
      const auto expected =
          oracle.vector(wide(known[i].history, shape.dim), known[i].rounds, known[i].vectors);
      INFO("history of " << lengths[i] << ", round " << round + 1);
      CHECK(largest_difference(vector, expected) < kTolerance);
      // Full rounds mostly, then also short, empty and long ones.
      const std::size_t returned =
          random() % 2 == 0 ? shape.context_size : random() % (shape.context_size + 3);
      const Items items = random_items(random, returned, adapter->item_dim());
      known[i].rounds.push_back(wide(items, shape.dim));
      known[i].vectors.emplace_back(vector, vector + shape.dim);
      adapter->remember(persons[i], {vector, shape.dim}, scratch);
      adapter->observe(persons[i], items, scratch);
    }
  }
}

}  // namespace

TEST_CASE("adapter: vectors of every round are those of the formulas, for every backbone") {
  const auto seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (const std::string backbone : {"mean", "gru4rec", "sasrec"}) {
    for (const std::string activation : {"swish", "gelu", "relu"}) {
      if (backbone != "sasrec" && activation != "swish") continue;
      INFO(backbone << ", " << activation);
      MadeShape shape;
      shape.backbone = backbone;
      shape.activation = activation;
      // Odd sizes, so that every loop has a tail.
      shape.dim = 2 * (1 + random() % 20);
      shape.context_size = 1 + random() % 9;
      shape.hidden = 1 + random() % 30;
      shape.inner = 1 + random() % 50;
      shape.layer_count = 1 + random() % 3;
      shape.max_history = 1 + random() % 12;
      shape.has_gru_bias = random() % 2 == 0;
      shape.has_item_bias = random() % 2 == 0;
      compare(shape, random, {1 + random() % 15, 1, 20, 1 + random() % 15}, 4);
    }
  }
}

TEST_CASE("adapter: histories of 1 to 50 items at the sizes of a real model") {
  const auto seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (const std::string backbone : {"mean", "gru4rec", "sasrec"}) {
    INFO(backbone);
    MadeShape shape;
    shape.backbone = backbone;
    shape.dim = 64;
    shape.context_size = 20;
    shape.hidden = 128;
    shape.inner = 256;
    shape.head_count = 4;
    std::vector<std::size_t> lengths;
    for (std::size_t length = 1; length <= 50; length += 7) lengths.push_back(length);
    compare(shape, random, lengths, 5);
  }
}

TEST_CASE("adapter: a batch gives what its persons get alone, to the bit") {
  std::mt19937_64 random(7);
  for (const std::string backbone : {"sasrec", "gru4rec", "mean"}) {
    MadeShape shape;
    shape.backbone = backbone;
    shape.dim = 24;
    const auto adapter = read(make_adapter(shape, random));
    Scratch scratch;
    std::vector<Person> persons;
    for (const std::size_t length : {3, 1, 9, 60}) {
      Person person = adapter->begin(random_items(random, length, shape.dim));
      // They are in different rounds, too.
      for (std::size_t round = 0; round < persons.size(); ++round) {
        adapter->remember(person, random_items(random, 1, shape.dim).front(), scratch);
        adapter->observe(person, random_items(random, 4, shape.dim), scratch);
      }
      persons.push_back(std::move(person));
    }
    std::vector<const Person*> batch;
    for (const Person& person : persons) batch.push_back(&person);
    Values together;
    REQUIRE(adapter->vectors(batch, go_on, scratch, together).ok());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Values alone;
      REQUIRE(adapter->vectors({&batch[i], 1}, go_on, scratch, alone).ok());
      const auto begin = together.begin() + static_cast<std::ptrdiff_t>(i * shape.dim);
      CHECK(alone == Values(begin, begin + static_cast<std::ptrdiff_t>(shape.dim)));
    }
  }
}

TEST_CASE("adapter: the epsilon of the layer norms is the file's") {
  std::mt19937_64 random(11);
  MadeShape shape;
  shape.backbone = "sasrec";
  MadeAdapter made = make_adapter(shape, random);
  made.metadata["layer_norm_eps"] = "0.25";
  const auto adapter = read(made);
  const Items history = random_items(random, 6, shape.dim);
  const Person person = adapter->begin(history);
  const Person* const one = &person;
  Scratch scratch;
  Values vector;
  REQUIRE(adapter->vectors({&one, 1}, go_on, scratch, vector).ok());
  const auto rows = wide(history, shape.dim);
  CHECK(largest_difference(vector.data(), Oracle(made, shape, 0.25).vector(rows, {}, {})) <
        kTolerance);
  CHECK(largest_difference(vector.data(), Oracle(made, shape).vector(rows, {}, {})) > 0.01);
}

TEST_CASE("adapter: the first round has no context, so a mean is the mean of the newest items") {
  std::mt19937_64 random(3);
  MadeShape shape;
  shape.max_history = 2;
  const auto adapter = read(make_adapter(shape, random));
  const Items history = random_items(random, 5, shape.dim);
  const Person person = adapter->begin(history);
  const Person* const one = &person;
  Scratch scratch;
  Values vector;
  REQUIRE(adapter->vectors({&one, 1}, go_on, scratch, vector).ok());
  for (std::size_t d = 0; d < shape.dim; ++d) {
    CHECK(vector[d] == Approx((history[3][d] + history[4][d]) / 2));
  }
}

TEST_CASE("adapter: weights that overflow give an error, not a vector") {
  std::mt19937_64 random(5);
  for (const std::string backbone : {"mean", "gru4rec", "sasrec"}) {
    MadeShape shape;
    shape.backbone = backbone;
    MadeAdapter made = make_adapter(shape, random);
    for (auto& [name, tensor] : made.tensors) {
      for (float& value : tensor.values) value *= 1e37F;
    }
    const auto adapter = read(made);
    Items history = random_items(random, 4, shape.dim);
    for (auto& item : history) {
      for (float& value : item) value *= 3e37F;
    }
    Person person = adapter->begin(history);
    const Person* const one = &person;
    Scratch scratch;
    Values vector;
    bool has_failed = false;
    for (int round = 0; round < 3 && !has_failed; ++round) {
      const Status status = adapter->vectors({&one, 1}, go_on, scratch, vector);
      has_failed = !status.ok();
      if (has_failed) {
        CHECK(status.code() == Code::kInvalidArgument);
        break;
      }
      for (const float value : vector) CHECK(std::isfinite(value));
      adapter->remember(person, vector, scratch);
      adapter->observe(person, history, scratch);
    }
    CHECK(has_failed);
  }
}

TEST_CASE("adapter: work that should stop stops") {
  std::mt19937_64 random(6);
  for (const std::string backbone : {"gru4rec", "sasrec"}) {
    MadeShape shape;
    shape.backbone = backbone;
    const auto adapter = read(make_adapter(shape, random));
    const Person person = adapter->begin(random_items(random, 4, shape.dim));
    const Person* const one = &person;
    Scratch scratch;
    Values vector;
    const auto stop = [] { return Status(Code::kTimeout, "the deadline has passed"); };
    CHECK(adapter->vectors({&one, 1}, stop, scratch, vector).code() == Code::kTimeout);
  }
}

TEST_CASE(
    "adapter: many people with wide layers take bounded memory, and the same bits as each "
    "alone",
    "[unit]") {
  std::mt19937_64 random(12);
  MadeShape shape;
  shape.backbone = "sasrec";
  shape.inner = kInnerSizeMax;
  const auto adapter = read(make_adapter(shape, random));
  std::vector<Person> persons;
  std::vector<const Person*> batch;
  for (int i = 0; i < 100; ++i) {
    persons.push_back(adapter->begin(random_items(random, 50, shape.dim)));
  }
  for (const Person& person : persons) batch.push_back(&person);
  Scratch scratch;
  Values together, alone;
  REQUIRE(adapter->vectors(batch, go_on, scratch, together).ok());
  CHECK(scratch.bytes() <= 6U << 20);
  for (const std::size_t i : {0, 57, 99}) {
    const Person* const only = &persons[i];
    REQUIRE(adapter->vectors({&only, 1}, go_on, scratch, alone).ok());
    const Values same(together.begin() + static_cast<std::ptrdiff_t>(i * shape.dim),
                      together.begin() + static_cast<std::ptrdiff_t>((i + 1) * shape.dim));
    CHECK(alone == same);
  }
  std::vector<Person*> all;
  for (Person& person : persons) all.push_back(&person);
  Person single = persons[7];
  adapter->remember(all, together, scratch);
  adapter->remember(single, std::span(together).subspan(7 * shape.dim, shape.dim), scratch);
  CHECK(single.memory == persons[7].memory);
  CHECK(persons[7].vector_count == 1);
}

TEST_CASE("adapter: a batch of the usual sizes takes less than 2 MiB, whatever came before") {
  std::mt19937_64 random(13);
  MadeShape shape;
  shape.backbone = "sasrec";
  shape.dim = 64;
  shape.inner = 512;
  const auto adapter = read(make_adapter(shape, random));
  Scratch scratch;
  Values vectors;
  // Blocks that grow a little: memory that doubles would show.
  for (std::size_t newest : {31, 32, 33, 49, 50}) {
    std::vector<Person> persons;
    std::vector<const Person*> batch;
    for (int i = 0; i < 40; ++i) {
      persons.push_back(adapter->begin(random_items(random, newest, shape.dim)));
      adapter->observe(persons.back(), random_items(random, shape.context_size, shape.dim),
                       scratch);
    }
    for (const Person& person : persons) batch.push_back(&person);
    REQUIRE(adapter->vectors(batch, go_on, scratch, vectors).ok());
  }
  CHECK(scratch.bytes() < 2U << 20);
}

}  // namespace tessera::adapter
