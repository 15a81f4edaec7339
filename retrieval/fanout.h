#pragma once

#include <unordered_map>
#include <vector>

#include "retrieval/searcher.h"

namespace tessera::retrieval {

/// One search per lane, every lane with a number of seats, every item in one lane at most.
///
/// The assignment is deferred acceptance (Gale and Shapley, 1962): a lane proposes its items
/// nearest first; an item stays with the lane that scores it best (of equals the first lane), and a
/// lane that loses one proposes its next. The outcome does not depend on the order of the
/// proposals. Seats that a lane cannot fill go to the lanes that still have items, split by weight.
/// Lanes are read page by page and only as far as needed: never more than `limit` items of a lane.
/// All pages that are needed at a time are asked for at once. Whoever drives several fan-outs calls
/// wanted() and accept() by turns, so that their searches can be done together.
/// Thread rule: confined.
class Fanout {
 public:
  struct Lane {
    std::vector<float> vector;
    double weight = 0;  ///< For re-splitting seats.
    int component_filter = -1;
    std::size_t quota = 0;
    bool is_active = true;                                ///< A lane that is not takes no part.
    std::optional<std::uint32_t> cluster = std::nullopt;  ///< As Search::cluster.
  };

  /// `excluded` outlives the fan-out.
  Fanout(std::vector<Lane> lanes, const SlotSet& excluded, Searcher& searcher);

  /// The searches without which it cannot go on; none when it is done. They borrow from the
  /// fan-out, until they are answered.
  std::vector<Search> wanted();
  /// Their answers, in the same order.
  Status accept(std::vector<std::vector<Hit>> answers);
  /// Once nothing is wanted: the hits of every lane, nearest first. Together they are as many as
  /// the quotas' sum, or all rows that the active lanes can find.
  [[nodiscard]] std::vector<std::vector<Hit>> collect() const;

  /// All of it, with the searcher's own searches.
  Result<std::vector<std::vector<Hit>>> run();

 private:
  struct Progress {
    std::vector<Hit> found;  ///< In the order of the proposals.
    std::size_t next = 0;    ///< First of `found` that was not proposed yet.
    std::size_t seats = 0;
    std::size_t accepted = 0;
    bool is_exhausted = false;   ///< The searcher has no more than `found`.
    SlotSet seen;                ///< excluded and found, once there is a second page.
    std::size_t seen_count = 0;  ///< How many of `found` are in `seen`.
  };
  struct Owner {
    std::size_t lane = 0;
    Hit hit;
  };

  void fill_seats();
  std::optional<Search> next_page(std::size_t lane);
  void propose(std::size_t lane);
  bool split_free_seats();

  const std::vector<Lane> lanes_;
  const SlotSet& excluded_;
  Searcher& searcher_;
  std::size_t limit_ = 0;            ///< Sum of the quotas.
  bool is_divided_ = false;          ///< More lanes than one are active.
  std::vector<Search> pending_;      ///< Asked for, not answered yet.
  std::vector<std::size_t> asking_;  ///< Their lanes.
  std::vector<Progress> progress_;
  std::unordered_map<Slot, Owner> owners_;
};

/// Who comes next when lists are merged by share: positions in order, as list numbers. At every
/// position the list with the largest share * (taken + 1) - got among those that have items left;
/// of equals the first. A list without a share comes last.
std::vector<std::size_t> interleave(const std::vector<double>& shares,
                                    const std::vector<std::size_t>& sizes);

}  // namespace tessera::retrieval
