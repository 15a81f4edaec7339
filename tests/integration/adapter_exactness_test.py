"""The daemon against the trainer's own model: the same weights give the same lists, for histories
of 1 to 50 items, with the history in the context or out of it. Skipped without PyTorch."""

import pathlib
import random
import sys
import unittest

from daemon import DaemonTest

try:
    import torch
    sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "scripts"))
    import adapter_model
    from adapters_test import file_of
except ImportError:
    torch = None

ITEMS = 500
LIMIT, ROUNDS = 30, 5
# Of scores about 1: nearer ones are told apart by rounding.
GAP_MIN = 5e-5


def is_clear(model, users, excluded):
    """Whether no two scores among the best are so near that rounding decides."""
    for user in users:
        scores = model.scores(user)
        scores.scatter_(1, excluded, float("-inf"))
        best = scores.topk(3 * LIMIT, dim=1).values[0]
        if (best[:-1] - best[1:]).min() < GAP_MIN:
            return False
    return True


@unittest.skipIf(torch is None, "python3-torch is not installed")
class Exactness(DaemonTest):
    def model_of(self, backbone, bias):
        shape = adapter_model.Shape(ITEMS, dim=16, round_items=-(-LIMIT // ROUNDS), max_history=50,
                                    backbone=backbone, inner=24, hidden=12, item_bias=bias)
        model = adapter_model.Recommender(shape, True)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "norm" not in name:
                    parameter.normal_(std=1 / parameter.shape[-1] ** 0.5)
            model.items.weight.normal_()
            model.items.weight[0] = 0
            if not bias:
                model.bias.zero_()
        return model.eval()

    def test_lists_are_those_of_the_model(self):
        seed = random.randrange(1 << 30)
        print(f"seed {seed}")
        torch.manual_seed(seed)
        for backbone in adapter_model.BACKBONES:
            for bias in (False, True):
                model = self.model_of(backbone, bias)
                name = f"{backbone}-{bias}"
                vectors = adapter_model.item_vectors(model)
                self.client.call("PUT", f"/collections/{name}", {
                    "vectors": {"size": vectors.shape[1], "distance": "Dot"}})
                self.client.upsert(name, list(range(1, ITEMS + 1)), vectors[1:].tolist())
                self.client.call("PUT", f"/collections/{name}/adapters/a", file_of(
                    adapter_model.adapter_tensors(model), adapter_model.adapter_metadata(
                        model.shape)))
                compared = sum(self.compare(model, name, length) for length in range(1, 51))
                print(f"{name}: {compared} of 100 lists compared")
                self.assertGreater(compared, 20)

    def compare(self, model, name, length):
        """How many lists could be compared."""
        history = (1 + torch.randperm(ITEMS)[:length])[None]
        padded = torch.nn.functional.pad(history, (50 - length, 0))
        compared = 0
        for in_context in (False, True):
            with torch.no_grad():
                users = adapter_model.unroll_rounds(model, padded, ROUNDS,
                                                    None if in_context else history)
                expected = adapter_model.answer_list(model, users, history, LIMIT)[0].tolist()
                nothing = torch.zeros(1, 0, dtype=torch.long)
                if not is_clear(model, users, nothing if in_context else history):
                    continue
            answer = self.client.query(name, {
                "query": {"refine": {"history": history[0].tolist(), "rounds": ROUNDS,
                                     "context_includes_history": in_context,
                                     "strategy": {"adapter": "a"}}},
                "limit": LIMIT, "params": {"exact": True}})
            self.assertEqual([point["id"] for point in answer["points"]], expected)
            compared += 1
        return compared


if __name__ == "__main__":
    unittest.main()
