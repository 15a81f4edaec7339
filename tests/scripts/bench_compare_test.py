"""scripts/bench_compare.py: which changes of ratios count, and what cannot be compared."""

import contextlib
import copy
import io
import json
import os
import tempfile
import unittest

import bench_compare


def result(**values: float) -> dict:
    """A result whose ratios are named a_higher, b_lower and so on, after what is better."""
    return {
        "benchmark": "search", "data": "mnist",
        "setting": {"rows": 100, "dim": 8, "metric": "Euclid", "queries": 9, "m": 16,
                    "ef_construct": 200, "build_threads": 2},
        "ratios": [{"name": name, "label": f"ratio {name}", "value": value,
                    "better": name.split("_")[1]} for name, value in values.items()],
    }


def verdicts(old: dict, new: dict, tolerance: float = 15) -> dict[str, str]:
    return {change.name: change.verdict for change in bench_compare.compare(old, new, tolerance)}


class Verdicts(unittest.TestCase):
    def test_equal_results_are_the_same(self):
        old = result(a_higher=2.0, b_lower=0.5)
        self.assertEqual(verdicts(old, copy.deepcopy(old)), {"a_higher": "same", "b_lower": "same"})

    def test_a_speed_that_fell_and_a_cost_that_rose_are_worse(self):
        self.assertEqual(verdicts(result(a_higher=2.0, b_lower=0.5),
                                  result(a_higher=1.6, b_lower=0.6)),
                         {"a_higher": "WORSE", "b_lower": "WORSE"})

    def test_a_speed_that_rose_and_a_cost_that_fell_are_better(self):
        self.assertEqual(verdicts(result(a_higher=1.6, b_lower=0.6),
                                  result(a_higher=2.0, b_lower=0.5)),
                         {"a_higher": "better", "b_lower": "better"})

    def test_a_change_within_the_tolerance_is_the_same(self):
        old = result(a_higher=1.15, b_lower=1.0)
        new = result(a_higher=1.001, b_lower=1.149)
        self.assertEqual(set(verdicts(old, new).values()), {"same"})
        self.assertEqual(set(verdicts(old, new, 10).values()), {"WORSE"})

    def test_a_ratio_that_is_gone_is_a_regression_and_a_new_one_is_not(self):
        changes = bench_compare.compare(result(a_higher=2.0), result(b_higher=2.0), 15)
        self.assertEqual([(change.name, change.verdict) for change in changes],
                         [("a_higher", "MISSING")])
        self.assertTrue(changes[0].is_regression)

    def test_other_work_is_not_compared(self):
        for place, name, value in [(None, "benchmark", "http"), (None, "data", "clustered"),
                                   ("setting", "rows", 101), ("setting", "ef_construct", 100)]:
            new = result(a_higher=2.0)
            (new if place is None else new[place])[name] = value
            with self.assertRaisesRegex(bench_compare.ResultError, name):
                bench_compare.compare(result(a_higher=2.0), new, 15)


class Program(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, name: str, content) -> str:
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def run_main(self, old, new, *more: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = bench_compare.main([self.write("old.json", old), self.write("new.json", new),
                                         *more])
        return status, out.getvalue(), err.getvalue()

    def test_the_exit_status_says_whether_something_got_worse(self):
        old, new = result(a_higher=2.0), result(a_higher=1.5)
        self.assertEqual(self.run_main(old, old)[0], 0)
        status, out, _ = self.run_main(old, new)
        self.assertEqual(status, 1)
        self.assertRegex(out, r"ratio a_higher +2\.00 +1\.50 +\+33 % +WORSE")
        self.assertIn("1 of 1 ratios", out)
        self.assertEqual(self.run_main(old, new, "--tolerance", "40")[0], 0)

    def test_a_file_that_is_no_result_is_refused_with_the_place(self):
        good = result(a_higher=2.0)
        zero, unknown = copy.deepcopy(good), copy.deepcopy(good)
        zero["ratios"][0]["value"] = 0
        unknown["ratios"][0]["better"] = "maybe"
        for bad, place in [("{", "old.json"), ("[]", "ratios"), ({"ratios": 3}, "ratios"),
                           (zero, r"ratios\[0\]\.value"), (unknown, r"ratios\[0\]\.better")]:
            status, _, err = self.run_main(bad, good)
            self.assertEqual(status, 2)
            self.assertRegex(err, place)

    def test_a_result_without_ratios_shows_nothing_and_is_refused(self):
        self.assertEqual(self.run_main(result(), result(a_higher=1.0))[0], 2)


if __name__ == "__main__":
    unittest.main()
