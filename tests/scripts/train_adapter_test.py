"""scripts/train_adapter.py and its parts. Skipped where PyTorch is not installed: only training
needs it."""

import gzip
import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import numpy as np

try:
    import torch
except ImportError:
    torch = None
else:
    import adapter_data
    import adapter_model as model_of
    import adapter_training
    import safetensors_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEED = 5
SMALL = {"item_count": 60, "dim": 8, "round_items": 5, "max_history": 12, "layers": 2, "heads": 2,
         "inner": 16, "hidden": 10}


def write_chains(folder, people=150, items=60):
    """People walk along a ring of items, now and then with a jump: the next item is foretold by the
    last one."""
    random = np.random.default_rng(SEED)
    lines = {"train": [], "valid": [], "test": []}
    for user in range(people):
        at, walk = int(random.integers(items)), []
        for _ in range(int(random.integers(5, 12))):
            at = int(random.integers(items)) if random.random() < 0.1 else (at + 1) % items
            walk.append(f"{user}\t{at + 1}\n")
        lines["train"] += walk[:-2]
        lines["valid"].append(walk[-2])
        lines["test"].append(walk[-1])
    for split, text in lines.items():
        with gzip.open(folder / f"{split}.tsv.gz", "wt") as file:
            file.writelines(text)


@unittest.skipIf(torch is None, "PyTorch is not installed (python3-torch)")
class Model(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(SEED)

    def model(self, **changes):
        model = model_of.Recommender(model_of.Shape(**(SMALL | changes)), True)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
            model.items.weight[0] = 0
        return model.eval()

    def test_the_filter_is_the_product_of_spectra(self):
        for count in (5, 6, 20, 21):
            layer = model_of.Filter(model_of.Shape(**(SMALL | {"round_items": count}))).eval()
            items = torch.randn(3, count, SMALL["dim"])
            spectrum = torch.fft.rfft(items, dim=1, norm="ortho")
            z = torch.fft.irfft(spectrum * torch.view_as_complex(layer.weight), n=count, dim=1,
                                norm="ortho")
            expected = layer.norm(layer.linear(z) + items)
            torch.testing.assert_close(layer(items), expected, rtol=1e-4, atol=1e-5)

    def test_padding_changes_nothing(self):
        for backbone in model_of.BACKBONES:
            model = self.model(backbone=backbone)
            history = torch.randint(1, 61, (4, 5))
            padded = torch.cat([torch.zeros(4, 7, dtype=torch.long), history], dim=1)
            with torch.no_grad():
                users = model_of.unroll_rounds(model, history, 3, history)
                same = model_of.unroll_rounds(model, padded, 3, padded)
            for expected, found in zip(users, same, strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)

    def test_dropout_drops_its_share_and_keeps_the_mean(self):
        layer = model_of.Dropout(0.3)
        x = torch.ones(301, 333, requires_grad=True)
        y = layer(x)
        kept = y > 0
        self.assertAlmostEqual(float(kept.float().mean()), 0.7, delta=0.01)
        torch.testing.assert_close(y[kept], torch.full_like(y[kept], 1 / 0.7), rtol=1e-4, atol=0)
        # The four elements of a draw are independent of one another.
        four = kept.flatten()[:100_000].view(-1, 4).float()
        self.assertLess(float((np.corrcoef(four.T.numpy()) - np.eye(4)).__abs__().max()), 0.03)
        y.sum().backward()
        torch.testing.assert_close(x.grad, y.detach())
        torch.manual_seed(SEED)
        first = layer(x)
        torch.manual_seed(SEED)
        self.assertTrue(torch.equal(first, layer(x)))
        self.assertIs(layer.eval()(x), x)

    def test_no_round_repeats_an_item_and_none_of_the_history_comes_back(self):
        model = self.model()
        history = torch.randint(1, 61, (6, 9))
        with torch.no_grad():
            users = model_of.unroll_rounds(model, history, 4, history)
        answers = model_of.answer_list(model, users, history, 18)
        for own, answer in zip(history.tolist(), answers.tolist(), strict=True):
            self.assertEqual(len(set(answer)), 18)
            self.assertFalse(set(answer) & set(own))

    def test_one_round_is_the_best_by_score(self):
        model = self.model()
        history = torch.randint(1, 61, (6, 4))
        with torch.no_grad():
            users = model_of.unroll_rounds(model, history, 1, history)
            scores = model.scores(users[0]).numpy()
        answers = model_of.answer_list(model, users, history, 10).numpy()
        for row in range(6):
            scores[row, history[row]] = -np.inf
            np.testing.assert_array_equal(answers[row], np.argsort(-scores[row])[:10])

    def test_all_tensors_of_the_file_are_there(self):
        documented = (ROOT / "docs" / "adapters.md").read_text(encoding="utf-8")
        for backbone in model_of.BACKBONES:
            for name in model_of.adapter_tensors(self.model(backbone=backbone)):
                parts = name.split(".")
                if "layers" in parts:
                    parts[2] = "N"
                spelled = ".".join(parts)
                prefix = spelled.rsplit(".", 1)[0]
                self.assertTrue(spelled in documented or prefix in documented or
                                parts[-2] in documented, name)


@unittest.skipIf(torch is None, "PyTorch is not installed (python3-torch)")
class Data(unittest.TestCase):
    def test_samples_are_those_of_a_plain_loop(self):
        random = np.random.default_rng(SEED)
        sequences = [random.integers(1, 30, length) for length in (1, 2, 3, 4, 9, 40)]
        samples = adapter_data.Samples(adapter_data.Interactions(list(range(30)), sequences), 6)
        expected = {"train": [], "valid": [], "test": []}
        for sequence in map(list, sequences):
            end = len(sequence) - (2 if len(sequence) >= 3 else 0)
            expected["train"] += [(sequence[max(0, at - 6):at], sequence[at])
                                  for at in range(1, end)]
            if len(sequence) >= 3:
                for split, at in (("valid", len(sequence) - 2), ("test", len(sequence) - 1)):
                    expected[split].append((sequence[max(0, at - 6):at], sequence[at]))
        for split, pairs in expected.items():
            histories, wanted = samples.batch(samples.of[split])
            found = [([item for item in row if item], int(item))
                     for row, item in zip(histories.tolist(), wanted, strict=True)]
            self.assertEqual(found, pairs, split)

    def test_batches_of_like_length_give_the_vectors_of_whole_padding(self):
        random = np.random.default_rng(SEED)
        sequences = [random.integers(1, 60, length) for length in random.integers(3, 30, 40)]
        samples = adapter_data.Samples(adapter_data.Interactions(list(range(60)), sequences), 12)
        batches = samples.shuffled(16, np.random.default_rng(SEED))
        same = samples.shuffled(16, np.random.default_rng(SEED))
        for one, other in zip(batches, same, strict=True):
            np.testing.assert_array_equal(one, other)
        drawn = np.concatenate(batches)
        self.assertEqual(sorted(map(tuple, drawn)), sorted(map(tuple, samples.of["train"])))
        torch.manual_seed(SEED)
        for backbone in model_of.BACKBONES:
            model = model_of.Recommender(model_of.Shape(**(SMALL | {"backbone": backbone})),
                                         True).eval()
            widths = set()
            for pairs in batches:
                history = torch.from_numpy(samples.batch(pairs)[0])
                widths.add(history.shape[1])
                padded = torch.nn.functional.pad(history, (12 - history.shape[1], 0))
                with torch.no_grad():
                    found = model_of.unroll_rounds(model, history, 3, history)
                    expected = model_of.unroll_rounds(model, padded, 3, padded)
                for one, other in zip(found, expected, strict=True):
                    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
            self.assertGreater(len(widths), 3)

    def test_validation_can_be_learned_by_most_and_judged_by_the_others(self):
        random = np.random.default_rng(SEED)
        sequences = [random.integers(1, 60, length) for length in random.integers(1, 30, 40)]
        samples = adapter_data.Samples(adapter_data.Interactions(list(range(60)), sequences), 12)
        before = {split: pairs.tolist() for split, pairs in samples.of.items()}
        other = samples.with_validation_as_targets(SEED)
        again = samples.with_validation_as_targets(SEED)
        self.assertEqual(other.of["train"].tolist(), again.of["train"].tolist())
        self.assertEqual(sorted(other.of["train"].tolist() + other.of["valid"].tolist()),
                         sorted(before["valid"]))
        self.assertEqual(len(other.of["valid"]), round(len(before["valid"]) / 4))
        self.assertEqual(other.of["test"].tolist(), before["test"])
        self.assertEqual({split: pairs.tolist() for split, pairs in samples.of.items()}, before)

    def test_one_person_is_too_few_to_learn_from_validation(self):
        sequences = [np.arange(1, length + 1) for length in (5, 2, 2)]
        samples = adapter_data.Samples(adapter_data.Interactions(list(range(9)), sequences), 6)
        with self.assertRaisesRegex(adapter_data.DataError, "nobody else"):
            samples.with_validation_as_targets(SEED)

    def test_what_is_learned_is_no_negative(self):
        sequences = [np.arange(1, length + 1) for length in (5, 6, 7, 8, 9)]
        samples = adapter_data.Samples(adapter_data.Interactions(list(range(9)), sequences), 6)
        other = samples.with_validation_as_targets(SEED)
        for split, is_trained in (("train", True), ("valid", False)):
            wanted = other.batch(other.of[split])[1]
            for known, item in zip(other.trained(other.of[split]), wanted, strict=True):
                self.assertEqual(int(item) in known, is_trained)

    def near_losses(self, samples, plan, pairs, shape):
        """By loop, a list for each later round, and what the class makes of them."""
        torch.manual_seed(SEED)
        model = model_of.Recommender(model_of.Shape(**shape), True).eval()
        losses = {1: [], 2: []}
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
            for pair in pairs:
                histories, wanted = samples.batch(pair[None])
                history, target = torch.from_numpy(histories), int(wanted[0])
                contexts = []
                users = model_of.unroll_rounds(model, history, 3, history, contexts)
                scores = model.scores(users[0])[0]
                scores[history[0]] = float("-inf")
                near = [item for item in scores.argsort(descending=True).tolist()
                        if scores[item] > float("-inf")][:plan.near_items][5:]
                for number in (1, 2):
                    seen = {item for context in contexts[:number] for item in context[0].tolist()}
                    if target not in near or target in seen:
                        break
                    left = torch.tensor([item for item in near if item not in seen])
                    chances = model.scores(users[number])[0][left].log_softmax(dim=0)
                    losses[number].append(-float(chances[left == target]))
            found = adapter_training.Loss(samples, plan, torch.device("cpu"),
                                          np.random.default_rng(SEED))
            return losses, float(found(model, pairs, 3))

    def test_near_misses_are_ranked_among_what_the_first_round_had_next(self):
        random = np.random.default_rng(SEED)
        # The second catalogue has fewer items that may be answered than are asked for, and in both
        # people want again what they had.
        for item_count, near_items in ((60, 25), (26, 24)):
            sequences = [random.integers(1, item_count + 1, length)
                         for length in random.integers(4, 30, 60)]
            samples = adapter_data.Samples(
                adapter_data.Interactions(list(range(item_count)), sequences), 12)
            plan = adapter_training.Plan(later_rounds="near", near_items=near_items, decay=0.5)
            losses, loss = self.near_losses(samples, plan, samples.of["train"][:200],
                                            SMALL | {"item_count": item_count})
            self.assertGreater(len(losses[1]), len(losses[2]))
            self.assertGreater(len(losses[2]), 5)
            self.assertAlmostEqual(loss, 0.5 * np.mean(losses[1]) + 0.25 * np.mean(losses[2]),
                                   places=4)

    def test_only_the_parts_that_are_asked_for_are_read(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_chains(folder)
            parts = {part: adapter_data.from_folder(folder, [part]).count
                     for part in adapter_data.SPLITS}
            self.assertGreater(min(parts.values()), 0)
            self.assertEqual(adapter_data.from_folder(folder).count, sum(parts.values()))
            both = adapter_data.from_folder(folder, ["train", "valid"])
            self.assertEqual(both.count, parts["train"] + parts["valid"])

    def test_a_wrong_line_is_told(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_chains(folder)
            with gzip.open(folder / "valid.tsv.gz", "at") as file:
                file.write("7\tx\n")
            with self.assertRaisesRegex(adapter_data.DataError, r"valid.tsv.gz:151: not"):
                adapter_data.from_folder(folder)


@unittest.skipIf(torch is None, "PyTorch is not installed (python3-torch)")
class Training(unittest.TestCase):
    def test_parts_of_a_daemon_are_refused(self):
        done = subprocess.run(
            ["/usr/bin/python3", ROOT / "scripts" / "train_adapter.py", "--events-from", "shop",
             "--parts", "train", "--out", "unused"],
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--parts are those of a folder", done.stderr)

    def train(self, folder, out, *arguments):
        done = subprocess.run(
            ["/usr/bin/python3", ROOT / "scripts" / "train_adapter.py", folder, "--out", out,
             "--dim", "16", "--round-items", "5", "--rounds", "3", "--heads", "2", "--inner", "32",
             "--max-history", "12", "--batch", "32", "--limit", "15", "--learning-rate", "0.01",
             "--negatives", "20", "--device", "cpu", *map(str, arguments)],
            capture_output=True, text=True, timeout=280, check=False)
        return done

    def test_a_run_learns_and_an_interrupted_one_ends_alike(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_chains(folder)
            whole = self.train(folder, folder / "whole", "--epochs", 25, "--adapter-epochs", 2)
            self.assertEqual(whole.returncode, 0, whole.stdout + whole.stderr)
            report = json.loads((folder / "whole" / "report.json").read_text(encoding="utf-8"))
            losses = report["curves"]["base"]["losses"]
            self.assertLess(losses[-1], 0.8 * losses[0])
            # 15 of 60 items at random would hit a quarter.
            self.assertGreater(report["test"]["base"]["hr@50"], 0.5)
            # No time at all: each call makes one epoch.
            command = (folder, folder / "cut", "--epochs", 25, "--adapter-epochs", 2)
            for call in range(1, 3):
                cut = self.train(*command, "--minutes", 0.001)
                self.assertEqual(cut.returncode, 3, cut.stdout + cut.stderr)
                self.assertIn(f"base, epoch {call}:", cut.stdout)
                self.assertIn("Out of time", cut.stdout)
            again = self.train(*command)
            self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
            self.assertIn("goes on after epoch 2", again.stdout)
            for part in ("adapter.safetensors", "items.npy"):
                self.assertTrue((folder / "cut" / part).exists())
            other = json.loads((folder / "cut" / "report.json").read_text(encoding="utf-8"))
            self.assertEqual(other["curves"]["base"]["losses"], losses)
            self.assertEqual(other["test"]["base"], report["test"]["base"])
            wrong = self.train(folder, folder / "cut", "--epochs", 26)
            self.assertEqual(wrong.returncode, 1)
            self.assertIn("other settings", wrong.stderr)

    def test_a_backbone_can_stay_and_serve_several_second_stages(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_chains(folder)
            reports = []
            near_misses = ("--later-rounds", "near", "--near-items", 30,
                           "--adapter-targets", "valid")
            for out, rate, rounds in (("tuned", 0.01, ("--later-rounds", "missed")),
                                      ("kept", 0, ("--later-rounds", "missed")),
                                      ("near", 0, near_misses)):
                if reports:
                    (folder / out).mkdir()
                    shutil.copy(folder / "tuned" / "base.checkpoint.pt", folder / out)
                done = self.train(folder, folder / out, "--epochs", 3, "--adapter-epochs", 2,
                                  "--tuning-learning-rate", rate, *rounds, "--loss", "sampled",
                                  "--choose-by", "ndcg@50")
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertEqual("goes on after epoch 3" in done.stdout, bool(reports))
                reports.append(json.loads((folder / out / "report.json").read_text("utf-8")))
            tuned, kept, near = (report["test"] for report in reports)
            self.assertEqual(tuned["base"], kept["base"])
            self.assertEqual(near["adapter, 1 round"], kept["base"])
            self.assertNotEqual(near["adapter, 3 rounds"], kept["adapter, 3 rounds"])
            self.assertEqual(kept["adapter, 1 round"], kept["base"])
            self.assertNotEqual(tuned["adapter, 1 round"], tuned["base"])
            self.assertNotEqual(kept["adapter, 3 rounds"], kept["base"])

    def test_the_file_is_whole(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_chains(folder)
            done = self.train(folder, folder / "out", "--epochs", 1, "--adapter-epochs", 1,
                              "--backbone", "gru4rec", "--hidden", 12)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            tensors, metadata = safetensors_file.read(folder / "out" / "adapter.safetensors")
            self.assertEqual(metadata["backbone"], "gru4rec")
            self.assertEqual(tensors["backbone.gru.weight_ih"].shape, (36, 16))
            self.assertEqual(tensors["filter.kernel"].shape, (5, 16))
            vectors = np.load(folder / "out" / "items.npy")
            self.assertEqual(vectors.shape, (61, 17))
            self.assertEqual(np.abs(vectors[0]).sum(), 0)


if __name__ == "__main__":
    unittest.main()
