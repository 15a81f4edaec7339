"""Choosing settings, averaging seeds, reports and plots of evaluate_recs.py, on made-up values."""

import json
import pathlib
import subprocess
import tempfile
import unittest
import xml.dom.minidom

import numpy as np
import recommendation_report as reports
from recommendation_methods import Method, all_methods, refinements, single_vectors
from recommendation_metrics import MEASURES
from recommendation_plot import PlotError, draw
from recommendation_runs import (ROUND_ENDS, MethodRun, PartRun, best_single, by_rounds,
                                 chosen_common, chosen_each, merged)

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROUND_MEASURES = [f"{measure}@round {number}" for measure in ("recall", "hit", "ndcg")
                  for number in range(1, len(ROUND_ENDS) + 1)]


def run_of(means, users=(1, 2, 3, 4), name="a set"):
    """Methods by name -> (family, mean); the people differ by up to .02 from it."""
    spread = np.linspace(-0.02, 0.02, len(users))
    methods = [MethodRun(Method(method, family, "user"),
                         {measure: mean + spread for measure in MEASURES + ROUND_MEASURES}, 0.5, 1)
               for method, (family, mean) in means.items()]
    return PartRun(name, "valid", np.array(users), np.array([2, 4, 30, 99][:len(users)]), methods)


FIRST = run_of({"user": ("single vector", 0.2), "mean": ("single vector", 0.3),
                "default": ("default", 0.31), "a": ("x", 0.5), "b": ("x", 0.36), "c": ("y", 0.1)})
SECOND = run_of({"user": ("single vector", 0.4), "mean": ("single vector", 0.3),
                 "default": ("default", 0.31), "a": ("x", 0.2), "b": ("x", 0.41), "c": ("y", 0.2)})


class Choice(unittest.TestCase):
    def test_each_set_takes_its_best(self):
        self.assertEqual(chosen_each(FIRST, "recall@50")["x"].name, "a")
        self.assertEqual(chosen_each(SECOND, "recall@50")["x"].name, "b")

    def test_a_common_choice_takes_the_best_of_the_worst_gains(self):
        # a: +67 % and -50 %; b: +20 % and +2.5 %.
        chosen = chosen_common([FIRST, SECOND], "recall@50")
        self.assertEqual({family: method.name for family, method in chosen.items()},
                         {"x": "b", "y": "c"})
        self.assertEqual(best_single(FIRST, "recall@50").method.name, "mean")
        self.assertEqual(best_single(SECOND, "recall@50").method.name, "user")

    def test_names_of_methods_are_unique(self):
        for methods in (all_methods(), single_vectors() + refinements(single_vectors())):
            names = [method.name for method in methods]
            self.assertEqual(len(names), len(set(names)))


class Seeds(unittest.TestCase):
    def test_a_person_drawn_twice_counts_once_with_the_mean(self):
        one = run_of({"user": ("single vector", 0.2)}, users=(5, 1))
        two = run_of({"user": ("single vector", 0.6)}, users=(9, 5))
        both = merged([one, two])
        self.assertEqual(both.users.tolist(), [1, 5, 9])
        np.testing.assert_allclose(both.of("user").values["recall@50"],
                                   [0.22, (0.18 + 0.62) / 2, 0.58])
        self.assertEqual(both.lengths.tolist(), [4, 2, 2])


class Rounds(unittest.TestCase):
    def test_measures_are_cumulative(self):
        class Someone:
            wanted = {3, 45}
        values = by_rounds([Someone()], [list(range(100))])
        self.assertEqual([values[f"recall@round {n}"][0] for n in range(1, 6)],
                         [0.5, 0.5, 1, 1, 1])
        self.assertEqual(values["hit@round 1"][0], 1)

    def test_report_compares_with_the_single_round(self):
        report = reports.report_rounds(FIRST, {"b": "mean"}, 1, 200)
        self.assertAlmostEqual(report["b"]["round 3"]["recall"]["gain"]["value"], 0.2)
        text = reports.rounds_table({"set": "s", "part": "test", "rounds": report}, {"b": "mean"})
        self.assertIn("+20.0 %", text)


class Report(unittest.TestCase):
    def setUp(self):
        self.part = reports.report_part(FIRST, "recall@50", 1, 200)

    def test_gains_are_over_the_best_single_vector(self):
        by_name = {method["name"]: method for method in self.part["methods"]}
        self.assertEqual(self.part["best_single_vector"], "mean")
        gain = by_name["b"]["gain"]["recall@50"]
        self.assertAlmostEqual(gain["value"], 0.2)
        self.assertTrue(gain["low"] <= 0.2 <= gain["high"])
        self.assertIn("+20.0 %", reports.table(self.part))
        self.assertIn("+20.0 %", reports.summary([self.part], ["b"]))
        json.dumps(self.part)

    def test_buckets_hold_the_people_of_their_lengths(self):
        self.assertEqual([(bucket["history"], bucket["people"]) for bucket in self.part["buckets"]],
                         [("<= 5", 2), ("21 to 50", 1), ("> 50", 1)])
        mean = self.part["buckets"][0]["methods"]["a"]["mean"]["value"]
        self.assertAlmostEqual(mean, 0.5 - (0.02 + 0.02 / 3) / 2)

    def test_smoothing_is_compared_with_the_same_settings_without(self):
        run = run_of({"mean": ("single vector", 0.3), "plain": ("default", 0.3),
                      "smooth": ("default", 0.33)})
        run.methods[1].method = Method("plain", "default", "interests", {"max_components": 10})
        run.methods[2].method = Method("smooth", "default", "interests", {
            "max_components": 10, "smoothing": {"neighbors": 10, "lambda": 0.4}})
        part = reports.report_part(run, "recall@50", 1, 200)
        rows = part["buckets"][0]["methods"]
        self.assertNotIn("smoothing_gain", rows["plain"])
        plain = rows["plain"]["mean"]["value"]
        self.assertAlmostEqual(rows["smooth"]["smoothing_gain"]["value"], 0.03 / plain)


class Plot(unittest.TestCase):
    def part(self):
        means = {"user": ("single vector", 0.2), "interests 10": ("interests", 0.3),
                 "interests 10 b .25 history": ("interests", 0.33),
                 "interests 10 b .5 history": ("interests", 0.32)}
        return reports.report_part(run_of(means), "recall@50", 1, 50)

    def test_a_curve_begins_without_a_blend(self):
        picture = xml.dom.minidom.parseString(draw(self.part()))
        lines = picture.getElementsByTagName("polyline")
        self.assertEqual([len(line.getAttribute("points").split()) for line in lines], [3])

    def test_nothing_to_draw_is_an_error(self):
        part = self.part()
        part["methods"] = []
        with self.assertRaises(PlotError):
            draw(part)

    def test_the_program_reads_a_report(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "report.json"
            path.write_text(json.dumps({"test": [self.part()]}), encoding="utf-8")
            command = ["/usr/bin/python3", ROOT / "scripts" / "recommendation_plot.py"]
            done = subprocess.run([*command, path, folder], capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue((pathlib.Path(folder) / "a set.svg").exists())
            path.write_text("[1]", encoding="utf-8")
            done = subprocess.run([*command, path, folder], capture_output=True, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"report.json", done.stderr)


if __name__ == "__main__":
    unittest.main()
