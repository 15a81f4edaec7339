"""scripts/session_simulation.py and what evaluate_sessions.py reports: on scripted rounds, and
end to end on a real daemon."""

import argparse
import json
import pathlib
import subprocess
import sys
import unittest

import numpy as np
import recommendation_data as recs
from evaluation_test import ITEMS, write_recommendation_set
from evaluate_sessions import FEEDBACK_ROUNDS, Talks, _report, _tables
from session_simulation import Conversations, Feedback, converse, simulate

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
from daemon import DaemonTest  # noqa: E402


class Scripted:
    """Answers the given pages and keeps what it was told."""

    def __init__(self, pages):
        self.pages, self.told, self.ended = list(pages), [], False

    def start(self, body):
        self.told.append(body)
        return self.pages.pop(0)

    def next(self, feedback):
        self.told.append(feedback)
        return self.pages.pop(0)

    def end(self):
        self.ended = True


PERSON = recs.Person(0, np.array([1, 2]), np.array([1.0]), frozenset({10, 20, 30, 40}))


class Simulation(unittest.TestCase):
    def test_counts_what_was_wanted_and_when(self):
        rounds = Scripted([[5, 6], [10, 7], [20, 30], [8, 9]])
        outcome = simulate(PERSON, rounds, {"limit": 2}, 4, 0)
        self.assertEqual((outcome.found, outcome.first, outcome.third), ([0, 1, 3, 3], 2, 3))
        self.assertEqual(outcome.repeats, 0)
        self.assertEqual(rounds.told, [{"limit": 2}, Feedback([], []), Feedback([10], []),
                                       Feedback([20, 30], [])])
        self.assertTrue(rounds.ended)

    def test_the_first_unwanted_items_are_disliked_when_asked_to(self):
        rounds = Scripted([[5, 10, 6, 7], [20]])
        simulate(PERSON, rounds, {}, 2, 2)
        self.assertEqual(rounds.told[1], Feedback([10], [5, 6]))

    def test_what_was_shown_before_is_a_repeat_and_no_find(self):
        outcome = simulate(PERSON, Scripted([[10, 5], [10, 1], [20, 20]]), {}, 3, 0)
        # 10 again, 1 of the history, 20 twice in one page.
        self.assertEqual((outcome.found, outcome.repeats), ([1, 1, 2], 3))

    def test_who_never_gets_there_counts_a_round_more(self):
        pages = [[5], [6]]
        talk = converse("x", [PERSON, PERSON], lambda: Scripted(pages), lambda _: {}, 2, 0)
        self.assertEqual((talk.first.tolist(), talk.third.tolist()), ([3, 3], [3, 3]))
        self.assertEqual(talk.found.tolist(), [[0, 0], [0, 0]])


class Report(unittest.TestCase):
    """Two people, five rounds of one start: gains at the round after the third feedback."""

    def test_gains_are_over_paging_and_bytes_those_of_the_last_round(self):
        def talk(name, found, sent):
            found = np.array(found)
            return Conversations(name, found, np.array([1, 6]), np.array([3, 6]), 0,
                                 np.tile(sent, (2, 1)), np.full((2, 5), 0.002))
        paging = talk("paging", [[1, 1, 2, 2, 2], [0, 0, 1, 2, 3]], [100, 200, 300, 400, 500])
        session = talk("default", [[1, 2, 3, 4, 4], [0, 0, 1, 2, 2]], [100, 20, 20, 20, 25])
        part = _report(Talks({"user": {"paging": paging, "default": session},
                              "mean": {"paging": talk("paging", [[0] * 5, [1] * 5], [1] * 5)},
                              "interests": {"paging": session}}, frozenset({"user", "mean"})),
                       argparse.Namespace(seed=1, resamples=200))
        self.assertEqual((part["people"], part["best_paging"], part["compared_round"]),
                         (2, "user", 4))
        row = part["rows"][1]
        self.assertEqual((row["start"], row["way"]), ("user", "default"))
        self.assertAlmostEqual(row["gain_over_its_paging"]["value"], 6 / 4 - 1)
        # Each found one in all without feedback.
        self.assertAlmostEqual(row["gain_of_feedback_rounds"]["value"], 5 / 3 - 1)
        self.assertEqual(row["found"][3]["value"], 3)
        self.assertEqual(row["bytes_saved_last_round"], 20)
        self.assertEqual((row["rounds_to_first"], row["reached_first"]), (3.5, 0.5))
        self.assertIn("+50.0 %", _tables("set", part))


class OnADaemon(DaemonTest):
    def test_sessions_repeat_nothing_and_send_less_than_paging(self):
        folder = pathlib.Path(self.folder) / "set"
        folder.mkdir()
        write_recommendation_set(folder)
        report_path = pathlib.Path(self.folder) / "report.json"
        command = ["/usr/bin/python3", ROOT / "scripts" / "evaluate_sessions.py", folder, "--url",
                   self.daemon.url, "--users", "40", "--clusters", "16", "--limit", "10",
                   "--starts", "mean", "interests", "--strategies", "default", "attention .3",
                   "relevance_feedback 1/1/0.3 n3", "--resamples", "200",
                   "--json", report_path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        part = json.loads(report_path.read_text(encoding="utf-8"))["sets"][0]["test"]
        self.assertEqual(part["people"], 40)
        rows = {(row["start"], row["way"]): row for row in part["rows"]}
        self.assertIn(("mean", "relevance_feedback 1/1/0.3 n3"), rows)
        for row in part["rows"]:
            self.assertEqual(row["repeats"], 0, row["way"])
        for start in ("mean", "interests"):
            paging, session = rows[start, "paging"], rows[start, "default"]
            self.assertEqual((paging["repeats"], session["repeats"]), (0, 0))
            # The first round is the plain query of both.
            self.assertEqual(session["found"][0]["value"], paging["found"][0]["value"])
            self.assertGreater(paging["bytes_sent"][-1], 4 * session["bytes_sent"][-1])
            # Feedback pulls towards one of several topics, which may cost some of the others: not
            # more than this, or it is broken.
            self.assertGreater(session["found"][FEEDBACK_ROUNDS]["value"],
                               paging["found"][FEEDBACK_ROUNDS]["value"] - 0.3)

    def test_documents_of_a_beir_folder(self):
        """Queries lie between two topics; which one is meant shows in what is liked."""
        folder = pathlib.Path(self.folder) / "texts"
        (folder / "qrels").mkdir(parents=True)
        random = np.random.default_rng(11)
        topics = np.linalg.qr(random.standard_normal((16, 16)))[0][:10]
        rows = np.array([topics[i % 10] + 0.3 * random.standard_normal(16) / 4 for i in range(600)])
        rows[17] = 0
        corpus = [json.dumps({"_id": f"d{i}", "text": "text"}) for i in range(600)]
        queries, qrels = [], ["query-id\tcorpus-id\tscore"]
        for number in range(10):
            queries.append(json.dumps({"_id": f"q{number}", "text": "question"}))
            qrels += [f"q{number}\td{i}\t{1 if i % 10 == number else 0}" for i in range(100)]
        np.save(folder / "corpus.npy", rows.astype(np.float32))
        np.save(folder / "queries.npy",
                (topics + np.roll(topics, 1, axis=0)).astype(np.float32))
        (folder / "corpus.jsonl").write_text("\n".join(corpus), encoding="utf-8")
        (folder / "queries.jsonl").write_text("\n".join(queries), encoding="utf-8")
        (folder / "qrels" / "test.tsv").write_text("\n".join(qrels), encoding="utf-8")
        report_path = pathlib.Path(self.folder) / "report.json"
        command = ["/usr/bin/python3", ROOT / "scripts" / "evaluate_sessions.py", folder, "--url",
                   self.daemon.url, "--limit", "10", "--corpus-vectors", folder / "corpus.npy",
                   "--query-vectors", folder / "queries.npy", "--resamples", "50"]
        done = subprocess.run([*command, "--strategies", "rocchio 1/4/0.5 all", "--json",
                               report_path], capture_output=True, text=True, timeout=200,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        part = json.loads(report_path.read_text(encoding="utf-8"))["sets"][0]["test"]
        self.assertEqual((part["people"], part["best_paging"]), (10, "query"))
        paging, session = part["rows"]
        self.assertEqual((session["repeats"], session["way"]), (0, "rocchio 1/4/0.5 all"))
        self.assertEqual(session["found"][0], paging["found"][0])
        self.assertGreater(session["gain_of_feedback_rounds"]["value"], 0.3)

        done = subprocess.run([*command, "--strategies", "default", "rocchio 0/1", "--choose",
                               "--json", report_path], capture_output=True, text=True, timeout=200,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        report = json.loads(report_path.read_text(encoding="utf-8"))["sets"][0]
        self.assertEqual((report["valid"]["people"], report["test"]["people"]), (5, 5))
        self.assertEqual(len(report["test"]["rows"]), 2)

        done = subprocess.run([*command, "--starts", "mean"], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("none of its first queries: query", done.stderr)

        command[2] = ROOT  # No texts there.
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("are for BEIR folders", done.stderr)

    def test_sessions_by_an_adapter_begin_with_what_it_answers(self):
        try:
            import torch
        except ImportError:
            self.skipTest("PyTorch is not installed (python3-torch)")
        import adapter_model as model_of
        import safetensors_file
        folder = pathlib.Path(self.folder) / "set"
        folder.mkdir()
        write_recommendation_set(folder)
        torch.manual_seed(5)
        model = model_of.Recommender(model_of.Shape(item_count=ITEMS, dim=16, round_items=10,
                                                    heads=2, inner=32), True).eval()
        vectors = model_of.item_vectors(model)
        client = self.daemon.client()
        client.recreate("adapted", {"vectors": {"size": vectors.shape[1], "distance": "Dot"}})
        client.upsert("adapted", list(range(ITEMS)), vectors[1:].tolist())
        client.call("PUT", "/collections/adapted/adapters/made", safetensors_file.to_bytes(
            model_of.adapter_tensors(model), model_of.adapter_metadata(model.shape)))
        report_path = pathlib.Path(self.folder) / "report.json"
        done = subprocess.run(
            ["/usr/bin/python3", ROOT / "scripts" / "evaluate_sessions.py", folder, "--url",
             self.daemon.url, "--users", "20", "--clusters", "16", "--limit", "10", "--starts",
             "mean", "--strategies", "default", "--adapter", "adapted", "made", "--resamples",
             "50", "--json", report_path], capture_output=True, text=True, timeout=200, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        part = json.loads(report_path.read_text(encoding="utf-8"))["sets"][0]["test"]
        self.assertEqual(part["best_paging"] == "adapter", False)
        paging, session = (row for row in part["rows"] if row["start"] == "adapter")
        self.assertEqual((paging["way"], session["way"]), ("paging", "made"))
        self.assertEqual((paging["repeats"], session["repeats"]), (0, 0))
        self.assertEqual(session["found"][0]["value"], paging["found"][0]["value"])


if __name__ == "__main__":
    unittest.main()
