"""The server against the PyTorch model of scripts/adapter_model.py: random weights, histories of 1
to 50 items, every backbone, with and without item bias. Skipped where PyTorch is not installed."""

import pathlib
import sys
import unittest

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
from daemon import DaemonTest  # noqa: E402

try:
    import torch
except ImportError:
    torch = None
else:
    import adapter_model as model_of
    import safetensors_file

SEED = 17
ITEMS, DIM, ROUND_ITEMS, ROUNDS = 700, 16, 20, 5
LENGTHS = (1, 2, 3, 5, 9, 20, 37, 50, 60)
TOLERANCE = 1e-4


@unittest.skipIf(torch is None, "PyTorch is not installed (python3-torch)")
class Reference(DaemonTest):
    def setUp(self):
        super().setUp()
        print("seed", SEED)
        torch.manual_seed(SEED)
        self.random = np.random.default_rng(SEED)

    def made_model(self, **changes):
        shape = model_of.Shape(**({"item_count": ITEMS, "dim": DIM, "round_items": ROUND_ITEMS,
                                   "heads": 4, "inner": 48, "hidden": 24} | changes))
        model = model_of.Recommender(shape, True)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.15 * torch.randn_like(parameter))
            model.items.weight.copy_(torch.randn_like(model.items.weight))
            model.items.weight[0] = 0
            if not shape.item_bias:
                model.bias.zero_()
        return model.eval()

    def upload(self, name, model):
        vectors = model_of.item_vectors(model)
        client = self.daemon.client()
        client.recreate(name, {"vectors": {"size": vectors.shape[1], "distance": "Dot"}})
        client.upsert(name, list(range(1, ITEMS + 1)), vectors[1:].tolist())
        client.call("PUT", f"/collections/{name}/adapters/made",
                    safetensors_file.to_bytes(model_of.adapter_tensors(model),
                                              model_of.adapter_metadata(model.shape)))
        return client

    def check(self, model, client, name, length, context_includes_history):
        newest = self.random.choice(np.arange(1, ITEMS + 1), length, replace=False)
        known = torch.from_numpy(newest.astype(np.int64))[None]
        history = known[:, -model.shape.max_history:]
        limit = ROUNDS * ROUND_ITEMS
        with torch.no_grad():
            users = model_of.unroll_rounds(model, history, ROUNDS,
                                           None if context_includes_history else known)
            expected = model_of.answer_list(model, users, known, limit)[0].tolist()
        result = client.query(name, {
            "query": {"refine": {"history": newest.tolist(), "rounds": ROUNDS,
                                 "context_includes_history": context_includes_history,
                                 "strategy": {"adapter": "made"}}},
            "limit": limit, "params": {"exact": True}})
        found = [point["id"] for point in result["points"]]
        self.assertEqual(found, expected, (name, length, context_includes_history))
        # The scores of a round are linear in its user vector, and there are more than unknowns.
        table = model.items.weight.detach().numpy().astype(float)
        bias = model.bias.detach().numpy().astype(float)
        for number, user in enumerate(users):
            points = result["points"][number * ROUND_ITEMS:(number + 1) * ROUND_ITEMS]
            ids = [point["id"] for point in points]
            scores = np.array([point["score"] for point in points]) - bias[ids]
            served = np.linalg.lstsq(table[ids], scores, rcond=None)[0]
            worst = np.abs(served - user[0].numpy()).max()
            self.assertLess(worst, TOLERANCE, (name, length, number + 1))
            self.worst = max(self.worst, worst)

    def test_user_vectors_and_ids_are_those_of_the_model(self):
        self.worst = 0.0
        for backbone in model_of.BACKBONES:
            for item_bias in (True, False):
                name = f"{backbone}-{'bias' if item_bias else 'plain'}"
                model = self.made_model(backbone=backbone, item_bias=item_bias)
                client = self.upload(name, model)
                for length in LENGTHS:
                    for context_includes_history in (False, True):
                        self.check(model, client, name, length, context_includes_history)
        print(f"largest difference of a user vector: {self.worst:.1e}")


if __name__ == "__main__":
    unittest.main()
