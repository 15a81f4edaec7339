"""scripts/recommendation_oracle.py against searches that can be checked by hand and against the
properties that docs/methods.md claims; scripts/recommendation_check.py on answers made up."""

import unittest

import numpy as np
import recommendation_data as recs
from recommendation_check import Check, compare
from recommendation_oracle import (Answer, Catalogue, Group, Oracle, StoredUser, Unsupported,
                                   active, interleaved, largest_remainder, smoothed, unit)

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
        np.testing.assert_allclose(active(weights, 20, {}), [0.9375, 0.0625, 0])
        np.testing.assert_allclose(active(weights, 20, {"min_quota": 50}), [1, 0, 0])
        np.testing.assert_allclose(active(weights, 20, {"allocation": "equal", "min_quota": 10}),
                                   [0.5, 0.5, 0])

    def test_every_prefix_is_near_the_shares(self):
        shares = np.array([0.5, 0.3, 0.2])
        lists = [list(range(0, 50)), list(range(50, 80)), list(range(80, 100))]
        merged = interleaved(lists, shares)
        self.assertEqual(sorted(merged), list(range(100)))
        for size in range(1, 101):
            got = [len(set(merged[:size]) & set(items)) for items in lists]
            self.assertTrue(np.all(np.abs(np.array(got) - shares * size) <= 1), (size, got))


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
        settings = {"blend": 0.25, "blend_with": "vector"}
        matrix = np.array([self.oracle._component(group, settings, history,
                                                  np.eye(8)[0]) for group in groups])
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
    """Two interests of equal weight and one of half, that take turns."""
    WANTED = Answer([4, 2, 9, 5, 7], {11: 2, 12: 2, 13: 1},
                    {4: 0.9, 2: 0.8, 9: 0.5, 5: 0.7, 7: 0.6})
    SCORES = {4: 0.9, 2: 0.8, 9: 0.5, 5: 0.7, 7: 0.6, 8: 0.4999999, 6: 0.499}
    OWNERS = {4: 0, 5: 0, 2: 1, 7: 1, 9: 2, 8: 2, 6: 2}

    def found(self, ids, quotas=(2, 2, 1), weights=(0.4, 0.4, 0.2)):
        taken = [0, 0, 0]
        points = []
        for item in ids:
            owner = self.OWNERS[item]
            points.append({"id": item, "score": self.SCORES[item], "interest": {
                "component": owner, "rank": taken[owner], "score": self.SCORES[item]}})
            taken[owner] += 1
        return {"points": points, "interests": [
            {"cluster": 11 + i, "quota": quota, "returned": quota, "weight": weight}
            for i, (quota, weight) in enumerate(zip(quotas, weights, strict=True))]}

    def passes(self, *answer):
        one = Check("m", answers=1)
        text = compare(self.WANTED, self.found(*answer), one)
        self.assertEqual(bool(text), not one.passed)
        return one.passed

    def test_the_same(self):
        self.assertTrue(self.passes([4, 2, 9, 5, 7]))

    def test_turns_of_equal_weights_may_change(self):
        self.assertTrue(self.passes([2, 4, 9, 7, 5]))

    def test_turns_of_other_weights_may_not(self):
        self.assertFalse(self.passes([9, 2, 4, 7, 5]))
        self.assertFalse(self.passes([5, 2, 9, 4, 7][::-1]))

    def test_another_item_of_the_same_score_is_a_tie(self):
        self.assertTrue(self.passes([4, 2, 8, 5, 7]))
        self.assertFalse(self.passes([4, 2, 6, 5, 7]))

    def test_another_length_a_repeat_and_other_quotas_fail(self):
        self.assertFalse(self.passes([4, 2, 9, 5]))
        self.assertFalse(self.passes([4, 2, 9, 5, 4]))
        self.assertFalse(self.passes([4, 2, 9, 5, 7], (2, 1, 2)))


if __name__ == "__main__":
    unittest.main()
