"""scripts/recommendation_oracle.py against searches that can be checked by hand and against the
properties that docs/methods.md claims; scripts/recommendation_check.py on answers made up."""

import unittest

import numpy as np
import recommendation_data as recs
from recommendation_check import Check, compare, first_out_of_order
from recommendation_oracle import (Catalogue, Group, Oracle, Order, StoredUser, Unsupported,
                                   active, largest_remainder, smoothed, turns_of, unit)

SEED = 7


class Parts(unittest.TestCase):
    def test_seats_go_to_the_largest_remainders(self):
        self.assertEqual(largest_remainder(np.array([0.46, 0.31, 0.23]), 10), [5, 3, 2])
        self.assertEqual(largest_remainder(np.array([1.0, 1.0, 1.0]), 4), [2, 1, 1])
        # A tenth is no binary fraction: two halves differ by rounding only, the weight decides.
        self.assertEqual(largest_remainder(np.array([0.1, 0.2, 0.7]), 5), [0, 1, 4])

    def test_smoothing_by_the_documented_example(self):
        mean = np.ones(2)

        def mixture(*weights):
            return [Group(cluster, weight, mean * (1 + cluster), [cluster])
                    for cluster, weight in enumerate(weights) if weight]
        groups = smoothed(mixture(1, 0, 0), [mixture(0.5, 0.5, 0), mixture(0, 0.5, 0.5)], 0.5)
        self.assertEqual([group.weight for group in groups], [0.625, 0.25, 0.125])
        # What only neighbours have is not shrunk towards zero.
        np.testing.assert_allclose(groups[1].mean, 2 * mean)

    def test_smoothing_at_the_ends(self):
        own = [Group(0, 0.5, np.ones(2), [1]), Group(3, 0.5, np.zeros(2), [2])]
        near = [[Group(0, 1, np.full(2, 3.0), [5])]]
        self.assertIs(smoothed(own, [], 0.5), own)
        self.assertIs(smoothed(own, near, 0), own)
        only, = smoothed(own, near, 1)
        self.assertEqual((only.cluster, only.weight, only.mean.tolist()), (0, 1, [3, 3]))
        self.assertEqual(smoothed([], near, 0.1)[0].weight, 1)

    def test_small_shares_are_left_out_but_never_the_heaviest(self):
        weights = np.array([0.9, 0.06, 0.04])
        np.testing.assert_allclose(active(weights, 20, {})[0], [0.9375, 0.0625, 0])
        np.testing.assert_allclose(active(weights, 20, {"min_quota": 50})[0], [1, 0, 0])
        np.testing.assert_allclose(active(weights, 20, {"allocation": "equal", "min_quota": 10})[0],
                                   [0.5, 0.5, 0])

    def test_seats_and_turns_do_not_depend_on_how_weights_were_added_up(self):
        random = np.random.default_rng(SEED)
        for _ in range(500):
            counts = random.integers(1, 7, size=random.integers(1, 9))
            weights = counts / counts.sum()
            shaken = weights * (1 + random.integers(-4, 5, size=len(weights)) * 1.1e-16)
            limit = int(random.integers(1, 100))
            seats = largest_remainder(weights, limit)
            self.assertEqual(seats, largest_remainder(shaken, limit), (counts, limit))
            self.assertEqual(turns_of(seats, weights), turns_of(seats, shaken))
            np.testing.assert_array_equal(active(weights, limit, {})[0] > 0,
                                          active(shaken, limit, {})[0] > 0)

    def test_every_prefix_is_near_the_shares(self):
        shares = np.array([0.5, 0.3, 0.2])
        turns = turns_of([50, 30, 20], shares)
        for size in range(1, 101):
            got = np.bincount(turns[:size], minlength=3)
            self.assertTrue(np.all(np.abs(got - shares * size) <= 1), (size, got))
        self.assertEqual(got.tolist(), [50, 30, 20])


class Answers(unittest.TestCase):
    def setUp(self):
        random = np.random.default_rng(SEED)
        self.vectors = recs.normalised(random.normal(size=(200, 8)))
        clusters = random.integers(0, 5, 200)
        users = {user: StoredUser(unit(self.vectors[user * 7]), [user, user + 50, user + 99])
                 for user in range(20)}
        users[20] = StoredUser(unit(self.vectors[3]), [])
        self.catalogue = Catalogue(self.vectors, np.arange(200), clusters)
        self.oracle = Oracle(self.catalogue, users)

    def ask(self, interests, limit=50):
        return self.oracle.answer_one({"query": {"interests": interests}, "limit": limit})

    def test_a_filter_excludes_and_the_answer_stays_complete(self):
        query = self.vectors[0].tolist()
        plain, = self.oracle.answer([{"query": query, "limit": 12}])
        rest, = self.oracle.answer([{"query": query, "limit": 10,
                                     "filter": {"must_not": [{"has_id": plain[:2]}]}}])
        self.assertEqual(plain[0], 0)
        self.assertEqual(rest, plain[2:])
        self.assertEqual(plain, np.argsort(-(self.vectors @ self.vectors[0]))[:12].tolist())

    def test_nobody_could_swap_an_item_for_a_better_one(self):
        """Deferred acceptance is stable: what a component lacks is held by one that scores it
        better, or is worse than all that the component has."""
        history = list(range(20))
        answer = self.ask({"history": history, "max_components": 3, "vector": [1.0] + [0.0] * 7,
                           "blend": 0.25, "blend_with": "vector"})
        self.assertEqual(len(set(answer.ids)), 50)
        self.assertFalse(set(answer.ids) & set(history))
        self.assertEqual(sum(answer.quotas.values()), 50)
        self.assertEqual(len(answer.quotas), 3)
        # No item that was left out beats the worst hit for the vector that scores it best: the
        # best score of a hit is its own component's, or else it would have gone there.
        groups = sorted(self.oracle._groups(history), key=lambda g: (-g.weight, g.cluster))[:3]
        settings = {"blend_with": "vector"}
        matrix = np.array([self.oracle._component(group, settings, history,
                                                  np.eye(8)[0], 0.25) for group in groups])
        scores = self.vectors.astype(float) @ matrix.T.astype(np.float32)
        owners = {}
        for item in answer.ids:
            near = np.abs(scores[item] - answer.scores[item])
            owners[item] = int(near.argmin())
            self.assertLess(near.min(), 1e-6)
        counts = np.bincount(list(owners.values()), minlength=3)
        self.assertEqual(counts.tolist(), list(answer.quotas.values()))
        for component in range(3):
            worst = min(scores[i, component] for i, owner in owners.items() if owner == component)
            for item in set(range(200)) - set(history):
                if scores[item, component] > worst + 1e-6 and owners.get(item) != component:
                    self.assertIn(item, owners, f"seed {SEED}")
                    self.assertGreater(answer.scores[item], scores[item, component] - 1e-6)

    def test_merged_by_score_is_the_same_set_in_order(self):
        interests = {"history": list(range(20)), "max_components": 4}
        by_turns, by_score = self.ask(interests), self.ask(interests | {"merge": "score"})
        self.assertEqual(set(by_turns.ids), set(by_score.ids))
        values = [by_score.scores[item] for item in by_score.ids]
        self.assertEqual(values, sorted(values, reverse=True))

    def test_a_stored_user_is_not_among_the_neighbours(self):
        near = self.oracle._neighbors(unit(self.vectors[21]), 30, user=3)
        self.assertEqual(len(near), 19)  # 21 stored, less oneself and one without a history.
        smooth = self.ask({"user": 3, "smoothing": {"neighbors": 5, "lambda": 0.5},
                           "max_components": 10})
        plain = self.ask({"user": 3, "max_components": 10})
        self.assertGreater(len(smooth.quotas), len(plain.quotas))
        self.assertFalse({3, 53, 102} & set(smooth.ids))

    def test_rounds_do_not_overlap_and_no_movement_means_the_plain_answer(self):
        query = self.vectors[3].tolist()
        plain, = self.oracle.answer([{"query": query, "limit": 30}])
        for strategy in ({"explore": {"beta": 0}},
                         {"rocchio": {"alpha": 1, "beta": 0, "feedback": 3}}):
            refined, = self.oracle.answer([{"limit": 30, "query": {"refine": {
                "query": query, "history": [5], "rounds": 4, "strategy": strategy}}}])
            self.assertEqual(refined, plain)
        moved, = self.oracle.answer([{"limit": 30, "query": {"refine": {
            "query": query, "history": [5], "rounds": 5, "strategy": {"explore": {"beta": 0.5}}}}}])
        self.assertEqual(len(set(moved)), 30)
        self.assertEqual(moved[:6], plain[:6])

    def test_what_it_does_not_know_is_no_wrong_answer(self):
        for change in ({"clustering": "ward"}, {"scope": "cluster"}, {"allocation": "sampled"},
                       {"diversity": {"mmr": {}}}, {"represent": "cluster"}):
            with self.assertRaises(Unsupported):
                self.ask({"history": [1, 2]} | change)


class Comparison(unittest.TestCase):
    """The oracle's own answer, changed as a daemon could get it wrong or right."""

    def setUp(self):
        random = np.random.default_rng(SEED)
        vectors = recs.normalised(random.normal(size=(300, 6)))
        vectors[250:] = vectors[200:250]  # Each of these fifty twice: ties, the smaller id first.
        self.oracle = Oracle(Catalogue(vectors, np.arange(300), np.arange(300) % 3))
        # As many as it takes for an item to be the last of its component, and its twin to be left.
        for self.limit in range(40, 60):
            self.search = {"query": {"interests": {"history": [0, 1, 2, 3, 4], "blend": 0.2,
                                                   "blend_with": "history"}}, "limit": self.limit}
            self.want = self.oracle.answer_one(self.search)
            self.lone = [item for item in self.want.ids
                         if 200 <= item < 250 and item + 50 not in self.want.ids]
            if self.lone:
                break
        self.vectors = vectors.astype(float)
        self.clusters = list(self.want.quotas)

    def found(self, ids, owners=None):
        """Points as the daemon lists them; owners by the scores, as the oracle's."""
        points = []
        for item in ids:
            scores = {cluster: float(self.vectors[item] @ vector)
                      for cluster, vector in self.want.vectors.items()}
            near = self.want.scores.get(item, max(scores.values()))
            owner = (owners or {}).get(item) or min(scores,
                                                    key=lambda c: abs(scores[c] - near))
            points.append({"id": item, "score": scores[owner], "interest": {
                "component": self.clusters.index(owner), "score": scores[owner]}})
        taken = [0] * len(self.clusters)
        for interest in sorted((point["interest"] for point in points),
                               key=lambda interest: -interest["score"]):
            interest["rank"] = taken[interest["component"]]
            taken[interest["component"]] += 1
        return {"points": points, "interests": [
            {"cluster": cluster, "quota": quota, "returned": quota}
            for cluster, quota in self.want.quotas.items()]}

    def passes(self, found):
        one = Check("m", answers=1)
        text = compare(self.oracle, self.search, self.want, found, one)
        self.assertEqual(bool(text), not one.passed)
        return one.passed

    def test_the_same(self):
        self.assertEqual(len(self.want.ids), self.limit)
        self.assertTrue(self.passes(self.found(self.want.ids)))

    def test_the_twin_of_an_item_is_as_good(self):
        self.assertTrue(self.lone, f"seed {SEED}")
        swapped = [item + 50 if item in self.lone else item for item in self.want.ids]
        self.assertTrue(self.passes(self.found(swapped)))

    def test_a_worse_item_is_not(self):
        rest = sorted(set(range(5, 300)) - set(self.want.ids))
        for place in (0, 17, 39):
            for other in rest[:20]:
                changed = list(self.want.ids)
                changed[place] = other
                self.assertFalse(self.passes(self.found(changed)), (place, other))

    def test_a_known_item_a_repeat_another_length_and_other_quotas_are_not(self):
        ids = self.want.ids
        self.assertFalse(self.passes(self.found([0] + ids[1:])))
        self.assertFalse(self.passes(self.found([ids[1]] + ids[1:])))
        self.assertFalse(self.passes(self.found(ids[:-1])))
        other = self.found(ids)
        other["interests"][0]["quota"] += 1
        self.assertFalse(self.passes(other))

    def test_another_order_is_not(self):
        self.assertFalse(self.passes(self.found(self.want.ids[::-1])))
        changed = self.want.ids[20:] + self.want.ids[:20]
        self.assertFalse(self.passes(self.found(changed)))

    def test_order_of_score_is_for_those_who_ask_for_it(self):
        by_score = sorted(self.want.ids, key=lambda item: -self.want.scores[item])
        self.assertNotEqual(by_score, self.want.ids)
        self.assertFalse(self.passes(self.found(by_score)))
        self.want.order = Order("score")
        self.assertTrue(self.passes(self.found(by_score)))
        self.assertFalse(self.passes(self.found(self.want.ids)))

    def test_behind_the_page_hits_come_by_score(self):
        turns, scores = self.want.ids, self.want.scores
        paged = turns[:9] + sorted(turns[9:], key=lambda item: -scores[item])
        self.assertNotEqual(paged, turns)
        self.want.order = Order(page=9)
        self.assertTrue(self.passes(self.found(paged)))
        self.assertFalse(self.passes(self.found(turns)))
        self.assertFalse(self.passes(self.found(paged[:8] + [paged[9], paged[8]] + paged[10:])))

    def test_on_a_diverse_page_nothing_was_worth_more(self):
        self.search["query"]["interests"] |= {"page": 12, "diversity": {"mmr": {"lambda": 0.5}}}
        plain = self.want.ids
        self.want = self.oracle.answer_one(self.search)
        self.assertNotEqual(self.want.ids, plain)
        self.assertEqual(set(self.want.ids), set(plain))
        self.assertTrue(self.passes(self.found(self.want.ids)))
        self.assertFalse(self.passes(self.found(plain)))

    def test_quotas_by_a_power_and_turns_by_the_weights(self):
        interests = self.search["query"]["interests"]
        plain = self.want
        interests["quota_power"] = 3
        self.want = self.oracle.answer_one(self.search)
        self.assertNotEqual(self.want.quotas, plain.quotas)
        self.assertGreater(max(self.want.quotas.values()), max(plain.quotas.values()))
        self.assertTrue(self.passes(self.found(self.want.ids)))
        by_quotas = self.want.shares
        interests["page"] = 12
        self.want = self.oracle.answer_one(self.search)
        self.assertNotEqual(self.want.shares, by_quotas)
        self.assertTrue(self.passes(self.found(self.want.ids)))
        self.want.shares = by_quotas
        self.assertFalse(self.passes(self.found(self.want.ids)))

    def test_a_page_by_interests_of_another_blend(self):
        interests = self.search["query"]["interests"]
        interests |= {"blend": 0.6, "blend_with": "history", "page": 12}
        self.want = self.oracle.answer_one(self.search)
        plain = self.want.ids
        for change in ({}, {"diversity": {"mmr": {"lambda": 0.7}}}):
            interests |= change | {"page_blend": 0}
            self.want = self.oracle.answer_one(self.search)
            by_interests = self.want.ids
            self.assertNotEqual(by_interests[:12], plain[:12])
            self.assertEqual(set(by_interests), set(plain))
            self.assertTrue(self.passes(self.found(by_interests)))
            self.assertFalse(self.passes(self.found(plain)))
            interests["page_blend"] = 0.6
            self.assertNotEqual(self.oracle.answer_one(self.search).ids, by_interests)
        del interests["diversity"]
        self.assertEqual(self.oracle.answer_one(self.search).ids, plain)

    def test_another_score_is_not(self):
        found = self.found(self.want.ids)
        found["points"][7]["interest"]["score"] += 1e-4
        self.assertFalse(self.passes(found))

    def test_turns_of_equal_shares_may_change(self):
        shares = {1: 0.4, 2: 0.4, 3: 0.2}

        def listed(*components):
            return {"points": [{"interest": {"component": c, "rank": components[:i].count(c),
                                             "score": 0.5 + 0.1 * c - 0.01 * i}}
                               for i, c in enumerate(components)],
                    "interests": [{"cluster": 1 + c, "returned": components.count(c)}
                                  for c in range(3)]}
        self.assertEqual(first_out_of_order(listed(0, 1, 2, 0, 1), shares, Order()), 0)
        self.assertEqual(first_out_of_order(listed(1, 0, 2, 1, 0), shares, Order()), 0)
        self.assertEqual(first_out_of_order(listed(2, 1, 0, 1, 0), shares, Order()), 1)


class ComparisonOfRounds(unittest.TestCase):
    """As above, for one vector and for rounds from it."""

    def setUp(self):
        random = np.random.default_rng(SEED)
        vectors = recs.normalised(random.normal(size=(300, 6)))
        vectors[250:] = vectors[200:250]
        self.vectors = vectors.astype(float)
        self.oracle = Oracle(Catalogue(vectors, np.arange(300), np.arange(300) % 3))
        query = vectors[8].tolist()
        history = {"must_not": [{"has_id": [8, 9]}]}
        strategies = ({"explore": {"beta": 0.5}}, {"attention": {"gamma": 0.3, "temperature": 0.1}},
                      {"rocchio": {"alpha": 0.7, "beta": 0.3, "feedback": 3}})
        self.searches = [{"query": query, "limit": 60, "filter": history}]
        self.searches += [{"limit": 60, "filter": history, "query": {"refine": {
            "query": query, "history": [8, 9], "rounds": 5, "strategy": strategy}}}
            for strategy in strategies]

    def passes(self, search, ids, scores):
        want = self.oracle.answer_one(search)
        one = Check("m", answers=1)
        points = [{"id": item, "score": score} for item, score in zip(ids, scores, strict=True)]
        text = compare(self.oracle, search, want, {"points": points}, one)
        self.assertEqual(bool(text), not one.passed)
        return one.passed

    def answer(self, search):
        want = self.oracle.answer_one(search)
        return want.ids, [want.scores[item] for item in want.ids]

    def test_the_same(self):
        for search in self.searches:
            self.assertTrue(self.passes(search, *self.answer(search)))

    def test_only_items_of_the_same_score_stand_for_one_another(self):
        for search in self.searches:
            ids, scores = self.answer(search)
            places = [place for place, item in enumerate(ids) if item >= 200
                      and (item + 50 if item < 250 else item - 50) in ids[place + 1:place + 2]]
            self.assertTrue(places, f"seed {SEED}")
            for place in places:
                swapped = list(ids)
                swapped[place:place + 2] = ids[place + 1], ids[place]
                self.assertTrue(self.passes(search, swapped, scores), (search["query"], place))
            for place in set(range(len(ids) - 1)) - set(places):
                swapped = list(ids)
                swapped[place:place + 2] = ids[place + 1], ids[place]
                # The scores are those that belong there: it is the items that do not.
                self.assertFalse(self.passes(search, swapped, scores), (search["query"], place))

    def test_an_answer_without_the_movement_a_repeat_and_a_short_one_are_not(self):
        plain = self.answer(self.searches[0])
        for search in self.searches[1:]:
            self.assertFalse(self.passes(search, *plain))
        for search in self.searches:
            ids, scores = self.answer(search)
            self.assertFalse(self.passes(search, ids[:-1], scores[:-1]))
            self.assertFalse(self.passes(search, [*ids[:-1], ids[0]], scores))
            self.assertFalse(self.passes(search, [8, *ids[1:]], scores))
            self.assertFalse(self.passes(search, ids, [score + 1e-4 for score in scores]))


if __name__ == "__main__":
    unittest.main()
