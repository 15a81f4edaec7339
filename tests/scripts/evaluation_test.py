"""scripts/evaluate_recs.py and scripts/beir_eval.py, end to end on a real daemon: what they report
must be what brute force in numpy reports."""

import gzip
import json
import pathlib
import subprocess
import sys
import unittest

import numpy as np
import trec_metrics as trec

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
from daemon import DaemonTest  # noqa: E402

SEED = 11
ITEMS, PEOPLE, TOPICS, DIM = 900, 80, 12, 16


def write_recommendation_set(folder):
    """People with two or three of twelve topics each; the last item of theirs has no vector."""
    random = np.random.default_rng(SEED)
    topics = random.normal(size=(TOPICS, DIM))
    of_item = random.integers(0, TOPICS, ITEMS)
    items = topics[of_item] + 0.6 * random.normal(size=(ITEMS, DIM))
    items[-1] = 0
    users = np.zeros((PEOPLE, DIM))
    lines = {"train": [], "valid": [], "test": []}
    for user in range(PEOPLE):
        mine = random.choice(TOPICS, 3, replace=False)
        liked = random.choice(np.flatnonzero(np.isin(of_item[:-1], mine)), 24, replace=False)
        users[user] = items[liked[:16]].mean(axis=0)
        for split, part in (("train", liked[:16]), ("valid", liked[16:20]), ("test", liked[20:])):
            lines[split] += [f"{user}\t{item}\n" for item in part]
    for split, text in lines.items():
        with gzip.open(folder / f"{split}.tsv.gz", "wt") as file:
            file.writelines(text)
    np.save(folder / "item_vectors.npy", items.astype(np.float32))
    np.save(folder / "user_vectors.npy", users.astype(np.float32))


class Evaluation(DaemonTest):
    def run_script(self, name, *arguments, status=0):
        """The JSON that the script writes."""
        report = pathlib.Path(self.folder) / "report.json"
        report.unlink(missing_ok=True)
        done = subprocess.run(
            ["/usr/bin/python3", ROOT / "scripts" / name, *map(str, arguments), "--json", report],
            capture_output=True, text=True, timeout=250, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return json.loads(report.read_text(encoding="utf-8"))

    def write_set(self, name="set"):
        folder = pathlib.Path(self.folder) / name
        folder.mkdir()
        write_recommendation_set(folder)
        return folder

    def test_recommendations_score_as_in_numpy(self):
        common = (self.write_set(), "--users", 60, "--clusters", 16, "--resamples", 100,
                  "--methods", "default*", "interests 5*", "ward*", "smoothing 10*")
        report, = self.run_script("evaluate_recs.py", *common, "--url", self.daemon.url)["test"]
        wanted, = self.run_script("evaluate_recs.py", *common, "--oracle")["test"]
        self.assertEqual((report["clusters"], report["people"]), (16, 60))
        found = {row["name"]: row for row in report["methods"]}
        for row in wanted["methods"]:
            # Clusters are trained apart, so interests are alike but not equal.
            tolerance = 0.004 if row["family"] == "single vector" else 0.15
            for measure in ("recall@50", "recall@100", "ndcg@50", "hit@50", "diversity@20",
                            "categories@20"):
                self.assertAlmostEqual(
                    found[row["name"]]["measures"][measure]["value"],
                    row["measures"][measure]["value"], delta=tolerance,
                    msg=f"seed {SEED}: {row['name']}, {measure}")
        self.assertIn("ward medoids", found)

    def test_the_daemon_agrees_with_numpy_hit_by_hit(self):
        report = self.run_script(
            "evaluate_recs.py", self.write_set(), "--check-oracle", "--users", 25, "--clusters", 16,
            "--url", self.daemon.url, "--methods", "user", "default*", "interests 5*",
            "smoothing 10*", "mean + explore .5", "mean + attention .3 t .1",
            "user + rocchio .3 of 3")
        for row in report["checks"][0]["methods"]:
            self.assertTrue(row["passed"], f"seed {SEED}: {row}")
            self.assertEqual(row["answers"], 25)
            self.assertEqual(row["same_set"], 25)
            if "smooth" not in row["name"]:  # Its weights are often equal but for rounding.
                self.assertEqual(row["same_list"], 25)
            self.assertGreaterEqual(row["overlap"], 0.97)
        self.assertIn("default, ward", report["checks"][0]["skipped"])

    def test_settings_are_chosen_on_validation(self):
        folders = (self.write_set("one"), self.write_set("two"))
        common = (*folders, "--users", 40, "--clusters", 16, "--resamples", 100, "--seeds", 1, 2,
                  "--url", self.daemon.url, "--methods", "interests 5*")
        for how in ("each", "common"):
            report = self.run_script("evaluate_recs.py", *common, "--choose", how)
            for valid, test in zip(report["valid"], report["test"], strict=True):
                values = {row["name"]: row["measures"]["recall@50"]["value"]
                          for row in valid["methods"] if row["family"] == "interests"}
                chosen = report["chosen"][valid["set"]]["interests"]["name"]
                # The sets are equal, so the common choice is that of each.
                self.assertEqual(values[chosen], max(values.values()))
                self.assertEqual([row["name"] for row in test["methods"]],
                                 ["user", "mean", "last 5", chosen])

    def test_rounds_are_compared_with_the_single_round(self):
        report = self.run_script(
            "evaluate_recs.py", self.write_set(), "--rounds", "--users", 30, "--clusters", 16,
            "--resamples", 100, "--methods", "mean", "--url", self.daemon.url)
        part, = report["test"]
        (name, rows), = part["rounds"].items()
        valid = {row["name"]: row["measures"]["recall@100"]["value"]
                 for row in report["valid"][0]["methods"] if row["family"] == "rounds over mean"}
        self.assertEqual(valid[name], max(valid.values()))
        self.assertEqual(rows["against"], "mean, one round")
        by_name = {row["name"]: row for row in part["methods"]}
        self.assertAlmostEqual(rows["round 5"]["recall"]["mean"]["value"],
                               by_name[name]["measures"]["recall@100"]["value"])

    def test_another_split_makes_vectors_of_its_own(self):
        folder = self.write_set()
        plots = pathlib.Path(self.folder) / "plots"
        for split in ("ratio", "leave-last-out"):
            part, = self.run_script(
                "evaluate_recs.py", folder, "--split", split, "--users", 30, "--clusters", 16,
                "--resamples", 100, "--methods", "default", "interests 10*", "--plots", plots,
                "--url", self.daemon.url)["test"]
            self.assertEqual(part["people"], 30)
            self.assertIn(f"recs-set-{split}-42-test", part["collection"])
            self.assertTrue((plots / "set.svg").exists())

    def test_text_retrieval_scores_as_in_numpy(self):
        folder = pathlib.Path(self.folder) / "beir"
        (folder / "qrels").mkdir(parents=True)
        random = np.random.default_rng(SEED)
        documents, queries = random.normal(size=(500, DIM)), random.normal(size=(30, DIM))
        np.save(folder / "corpus.npy", documents.astype(np.float16))
        np.save(folder / "queries.npy", queries.astype(np.float16))
        (folder / "corpus.jsonl").write_text("".join(
            json.dumps({"_id": f"d{i}", "title": "", "text": "x"}) + "\n" for i in range(500)))
        (folder / "queries.jsonl").write_text("".join(
            json.dumps({"_id": f"q{i}", "text": "x"}) + "\n" for i in range(30)))
        qrels = {f"q{i}": {f"d{d}": int(random.integers(0, 3))
                           for d in random.choice(500, 20, replace=False)} for i in range(30)}
        (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(
            f"{query}\t{document}\t{grade}\n"
            for query, grades in qrels.items() for document, grade in grades.items()))

        run_path = folder / "run.txt"
        report = self.run_script(
            "beir_eval.py", folder, "--corpus-vectors", folder / "corpus.npy", "--query-vectors",
            folder / "queries.npy", "--url", self.daemon.url, "--run", run_path, "--depth", 200)

        def unit(rows):
            rows = rows.astype(np.float16).astype(np.float64)
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)
        scores = unit(queries) @ unit(documents).T
        oracle = trec.evaluate(qrels, trec.run_from_lists(
            {f"q{i}": [f"d{d}" for d in np.argsort(-row)[:200]] for i, row in enumerate(scores)}))
        for measure, value in oracle.items():
            self.assertAlmostEqual(report["exact"][measure], value, places=6,
                                   msg=f"seed {SEED}: {measure}")
        written = trec.evaluate(qrels, trec.read_run(str(run_path)))
        for measure, value in written.items():
            self.assertAlmostEqual(report["index"][measure], value, places=12)
        self.assertGreater(report["overlap@10"], 0.95)

    def test_an_unreachable_daemon_is_an_error_in_one_line(self):
        folder = pathlib.Path(self.folder) / "set"
        folder.mkdir()
        write_recommendation_set(folder)
        done = subprocess.run(
            ["/usr/bin/python3", ROOT / "scripts" / "evaluate_recs.py", folder, "--url",
             "http://127.0.0.1:9"], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Aevaluate_recs: the daemon is not ready.*\n\Z")


if __name__ == "__main__":
    unittest.main()
