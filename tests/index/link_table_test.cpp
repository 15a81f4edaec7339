#include "index/link_table.h"

#include <algorithm>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "index/node_inserter.h"
#include "tests/index/search_oracle.h"

using namespace tessera;
using namespace tessera::index;
using testing::clustered_rows;
using testing::ClusterShape;
using testing::Matrix;

namespace {

std::vector<std::uint32_t> links_of(const LinkTable& table, std::uint32_t node,
                                    std::uint32_t level) {
  std::vector<std::uint32_t> links(table.room(level));
  links.resize(table.read(node, level, links.data()));
  return links;
}

/// Algorithm 4 of Malkov and Yashunin, a pair at a time.
std::vector<std::uint32_t> choose_by_definition(const Matrix& rows,
                                                const std::vector<NodeHit>& candidates,
                                                std::size_t most) {
  std::vector<std::uint32_t> chosen;
  for (const NodeHit& candidate : candidates) {
    if (chosen.size() == most) break;
    const bool is_covered = std::any_of(chosen.begin(), chosen.end(), [&](std::uint32_t other) {
      return distance(Metric::kEuclid, rows.row(candidate.node), rows.row(other), rows.dim) <
             candidate.distance;
    });
    if (!is_covered) chosen.push_back(candidate.node);
  }
  return chosen;
}

}  // namespace

TEST_CASE("link table: lists hold what was written, up to their room, on every level") {
  constexpr std::uint32_t kM = 4;
  LinkTable table(2000, kM, 7);
  CHECK(table.room(0) == 8);
  CHECK(table.room(3) == 4);
  std::size_t upper_count = 0;
  for (std::uint32_t node = 0; node < table.node_count(); ++node) {
    upper_count += table.top_level(node) > 0 ? 1 : 0;
    for (std::uint32_t level = 0; level <= table.top_level(node); ++level) {
      CHECK(links_of(table, node, level).empty());
      const std::lock_guard lock(table.lock_of(node));
      for (std::uint32_t i = 0; i < table.room(level); ++i) {
        CHECK(table.append(node, level, node + 1000 * level + i));
      }
      CHECK_FALSE(table.append(node, level, 9));
    }
  }
  for (std::uint32_t node = 0; node < table.node_count(); ++node) {
    for (std::uint32_t level = 0; level <= table.top_level(node); ++level) {
      const std::vector<std::uint32_t> links = links_of(table, node, level);
      REQUIRE(links.size() == table.room(level));
      for (std::uint32_t i = 0; i < links.size(); ++i) CHECK(links[i] == node + 1000 * level + i);
    }
  }
  const std::vector<std::uint32_t> fewer = {5, 3};
  {
    const std::lock_guard lock(table.lock_of(17));
    table.write(17, 0, fewer);
  }
  CHECK(links_of(table, 17, 0) == fewer);
  // A fourth of the nodes, give or take five standard deviations.
  CHECK(upper_count > 400);
  CHECK(upper_count < 600);
}

TEST_CASE("link table: whoever reads while others write sees links that were written") {
  constexpr std::uint32_t kNodes = 64, kRounds = 20'000;
  LinkTable table(kNodes, 8, 1);
  std::vector<std::jthread> writers;
  for (std::uint32_t writer = 0; writer < 2; ++writer) {
    writers.emplace_back([&table, writer] {
      std::mt19937 random(writer);
      std::vector<std::uint32_t> links;
      for (std::uint32_t round = 0; round < kRounds; ++round) {
        const std::uint32_t node = random() % kNodes;
        links.resize(random() % table.room(0));
        for (std::uint32_t& link : links) link = random() % kNodes;
        const std::lock_guard lock(table.lock_of(node));
        if (!table.append(node, 0, random() % kNodes)) table.write(node, 0, links);
      }
    });
  }
  std::size_t wrong_count = 0;
  for (std::uint32_t round = 0; round < kRounds; ++round) {
    for (const std::uint32_t link : links_of(table, round % kNodes, 0)) {
      wrong_count += link >= kNodes ? 1 : 0;
    }
  }
  CHECK(wrong_count == 0);
}

TEST_CASE("links are chosen as the heuristic defines, however many candidates and places") {
  ClusterShape shape;
  shape.row_count = 400;
  shape.dim = 12;
  const Matrix rows = clustered_rows(shape);
  std::vector<std::uint32_t> row_of_node(rows.row_count);
  for (std::uint32_t i = 0; i < row_of_node.size(); ++i) row_of_node[i] = i;
  const RowComparer comparer(Metric::kEuclid, span_of(rows), row_of_node);
  LinkChooser chooser(comparer);
  const std::uint64_t seed = 20261126;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::set<std::size_t> sizes;
  for (int round = 0; round < 300; ++round) {
    const auto node = static_cast<std::uint32_t>(random() % rows.row_count);
    const std::size_t count = 1 + random() % 200, most = 1 + random() % 40;
    std::vector<NodeHit> candidates;
    for (const RowHit& hit :
         nearest_by_brute_force(Metric::kEuclid, rows, rows.row(node), count + 1)) {
      if (hit.row == node) continue;
      candidates.push_back(
          {distance(Metric::kEuclid, rows.row(node), rows.row(hit.row), rows.dim), hit.row});
    }
    const auto chosen = chooser.choose(candidates, most);
    CAPTURE(round, node, count, most);
    CHECK(std::vector<std::uint32_t>(chosen.begin(), chosen.end()) ==
          choose_by_definition(rows, candidates, most));
    sizes.insert(chosen.size());
  }
  CHECK(sizes.size() > 5);
}
