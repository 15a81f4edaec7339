"""The two stages of training: first the backbone alone, then everything with the adapter.

Loss, negatives and decay as in the paper: every round is scored by its own user vector, rounds are
summed with weights decay^(t-1). Progress is kept in a checkpoint after every epoch.
"""

import copy
import json
import pathlib
import time
from dataclasses import asdict, dataclass, field
from typing import Callable

import adapter_model as model_of
import numpy as np
import torch
from adapter_data import Samples
from progress import Progress
from torch.nn import functional

DEPTHS = (50, 100)
MEASURES = tuple(f"{name}@{depth}" for depth in DEPTHS for name in ("hr", "ndcg"))
JUDGE_BATCH = 512
NOT_FOUND = 1 << 40
# What the first stage does not depend on: its checkpoint may be the start of several second stages.
OF_SECOND_STAGE = {"rounds", "decay", "later_rounds", "near_items", "adapter_targets",
                   "context_includes_history", "adapter_epochs", "adapter_learning_rate",
                   "tuning_learning_rate", "adapter_share"}


class CheckpointError(Exception):
    """A checkpoint belongs to another plan or is damaged; the text says which file."""


@dataclass(frozen=True)
class Plan:
    """How to train. The defaults are the paper's, but for epochs and seed."""
    rounds: int = 5
    decay: float = 0.3
    # Which samples later rounds learn from: "all", as in the paper; "missed", those whose wanted
    # item no earlier round has retrieved; "near", those of them whose wanted item is among the
    # `near_items` best of the first round, and then it is ranked among these.
    later_rounds: str = "all"
    near_items: int = 400
    # Whose wanted items the second stage learns: "train", those the backbone has learned; "valid",
    # those of the validation of most people, while the others' choose the epoch.
    adapter_targets: str = "train"
    # "bce": the paper's, over the wanted item and `negatives` of its own | "softmax" over all
    # items | "sampled": softmax over the wanted item and `negatives` that a batch shares.
    loss: str = "bce"
    negatives: int = 100
    context_includes_history: bool = False
    learning_rate: float = 1e-3
    adapter_learning_rate: float = 1e-3
    # Of backbone and items in the second stage; 0 leaves them, and so the first round, as they are.
    tuning_learning_rate: float = 1e-3
    weight_decay: float = 0.0
    clip: float = 10.0
    batch: int = 1024
    epochs: int = 200
    adapter_epochs: int = 50
    patience: int = 10
    adapter_share: float = 1.0  # Of the samples, in an epoch of the second stage.
    judged: int = 0  # People of the validation; 0: all.
    choose_by: str = "hr@50"  # The validation's measure that decides which epoch is the best.
    limit: int = 100
    seed: int = 42


@dataclass
class Curve:
    """What was seen epoch by epoch."""
    losses: list[float] = field(default_factory=list)
    valid: list[dict[str, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class Judge:
    """HR@k and NDCG@k of leave-one-out: one wanted item a person, ranked among all items."""

    def __init__(self, samples: Samples, plan: Plan, device: torch.device):
        self._samples, self._plan, self._device = samples, plan, device

    @torch.no_grad()
    def scores(self, model: model_of.Recommender, split: str, rounds: int,
               count: int = 0) -> dict[str, float]:
        model.eval()
        places = []
        for pairs in self._samples.in_order(split, JUDGE_BATCH, count, self._plan.seed):
            histories, wanted = self._samples.batch(pairs)
            history = torch.from_numpy(histories).to(self._device)
            known = torch.from_numpy(self._samples.whole_histories(pairs)).to(self._device)
            in_loop = None if self._plan.context_includes_history else known
            users = model_of.unroll_rounds(model, history, rounds, in_loop)
            # An item wanted again may be answered although it is known.
            target = torch.from_numpy(wanted).to(self._device)
            masked = torch.where(known == target[:, None], torch.zeros_like(known), known)
            answers = model_of.answer_list(model, users, masked, self._plan.limit)
            is_hit = answers == target[:, None]
            places.append(torch.where(is_hit.any(dim=1), is_hit.int().argmax(dim=1),
                                      torch.full_like(target, NOT_FOUND)).cpu().numpy())
        place = np.concatenate(places) if places else np.zeros(0)
        return scores_of(place)


def scores_of(place: np.ndarray) -> dict[str, float]:
    """From the wanted item's place in each answer, from 0; NOT_FOUND where it is not there."""
    scores = {}
    for depth in DEPTHS:
        scores[f"hr@{depth}"] = float(np.mean(place < depth)) if len(place) else 0.0
        gain = np.where(place < depth, 1 / np.log2(place + 2.0), 0)
        scores[f"ndcg@{depth}"] = float(np.mean(gain)) if len(place) else 0.0
    return scores


class Loss:
    """Of one batch: the rounds' losses, weighted by decay."""

    def __init__(self, samples: Samples, plan: Plan, device: torch.device,
                 random: np.random.Generator):
        self._samples, self._plan, self._device, self._random = samples, plan, device, random

    def __call__(self, model: model_of.Recommender, pairs: np.ndarray,
                 rounds: int) -> torch.Tensor:
        plan = self._plan
        histories, wanted = self._samples.batch(pairs)
        history = torch.from_numpy(histories).to(self._device)
        target = torch.from_numpy(wanted).to(self._device)
        if plan.later_rounds == "near" and rounds > 1:
            return self._of_near_misses(model, pairs, history, target, rounds)
        contexts: list[torch.Tensor] = []
        users = model_of.unroll_rounds(model, history, rounds,
                                       None if plan.context_includes_history else history, contexts)
        loss_of = self._loss_of(model, pairs, target)
        total = torch.zeros((), device=self._device)
        for number, user in enumerate(users):
            if not user.requires_grad:  # The first round of a backbone that stays as it is.
                continue
            losses = loss_of(user)
            if number > 0 and plan.later_rounds == "missed":
                is_missed = (torch.cat(contexts[:number], dim=1) != target[:, None]).all(dim=1)
                losses = losses[is_missed]
            if len(losses) > 0:
                total = total + plan.decay ** number * losses.mean()
        return total

    def _of_near_misses(self, model: model_of.Recommender, pairs: np.ndarray,
                        history: torch.Tensor, target: torch.Tensor,
                        rounds: int) -> torch.Tensor:
        """What no ranking would bring to the front teaches later rounds nothing but how common
        items are; what is nearly there teaches them what to put first."""
        plan, first_items = self._plan, model.shape.round_items
        known = None if plan.context_includes_history else history
        first = model.first_vectors(history)
        total = torch.zeros((), device=self._device)
        if first.requires_grad:
            total = total + self._loss_of(model, pairs, target)(first).mean()
        with torch.no_grad():
            scores = model.scores(first)
            if known is not None:
                scores.scatter_(1, known, float("-inf"))
            best = scores.topk(min(plan.near_items, model.shape.item_count), dim=1)
            near = best.indices[:, first_items:]
            # A small catalogue has fewer items that may be answered.
            is_open = best.values[:, first_items:].isfinite()
            is_target = (near == target[:, None]) & is_open
            is_near = is_target.any(dim=1)
        if not is_near.any():
            return total
        near, is_open, is_target = near[is_near], is_open[is_near], is_target[is_near]
        known = None if known is None else known[is_near]
        contexts: list[torch.Tensor] = []
        users = model_of.unroll_rounds(model, history[is_near], rounds, known, contexts)
        vectors, bias = model.items(near), model.bias[near]
        was_retrieved = torch.zeros_like(is_target)
        for number in range(1, rounds):
            was_retrieved |= (near[:, :, None] == contexts[number - 1][:, None, :]).any(dim=2)
            is_missed = ~(was_retrieved & is_target).any(dim=1)
            if not is_missed.any():
                break
            scores = (vectors * users[number][:, None]).sum(dim=2) + bias
            scores = scores.masked_fill((was_retrieved & ~is_target) | ~is_open, float("-inf"))
            losses = scores.logsumexp(dim=1) - scores[is_target]
            total = total + plan.decay ** number * losses[is_missed].mean()
        return total

    def _loss_of(self, model: model_of.Recommender, pairs: np.ndarray,
                 target: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """What each of a round's user vectors costs. All rounds of a batch have the same
        negatives."""
        plan, item_count = self._plan, model.shape.item_count
        if plan.loss == "softmax":
            return lambda users: functional.cross_entropy(model.scores(users), target,
                                                          reduction="none")
        if plan.loss == "sampled":
            drawn = self._random.integers(1, item_count + 1, plan.negatives)
            return _sampled_softmax(model, target, torch.from_numpy(drawn).to(self._device))
        negatives = torch.from_numpy(self._negatives(pairs, item_count)).to(self._device)
        return _cross_entropy_of_pairs(model, torch.cat([target[:, None], negatives], dim=1))

    def _negatives(self, pairs: np.ndarray, item_count: int) -> np.ndarray:
        """Uniform over the items that a person did not train on, by rejection."""
        known = np.sort(self._samples.trained(pairs), axis=1)
        base = np.arange(len(pairs))[:, None] * (item_count + 1)
        flat = (known + base).ravel()
        drawn = self._random.integers(1, item_count + 1, (len(pairs), self._plan.negatives))
        for _ in range(20):
            keys = drawn + base
            at = np.minimum(np.searchsorted(flat, keys), len(flat) - 1)
            is_known = flat[at] == keys
            if not is_known.any():
                break
            drawn[is_known] = self._random.integers(1, item_count + 1, int(is_known.sum()))
        return drawn


def _cross_entropy_of_pairs(model: model_of.Recommender, candidates: torch.Tensor
                            ) -> Callable[[torch.Tensor], torch.Tensor]:
    """Mean over the wanted item, which is the first candidate, and its negatives."""
    vectors, bias = model.items(candidates), model.bias[candidates]
    labels = torch.zeros_like(bias)
    labels[:, 0] = 1

    def loss(users: torch.Tensor) -> torch.Tensor:
        # Not a matrix product for each person: those are far slower on a CPU.
        scores = (vectors * users[:, None]).sum(dim=2) + bias
        return functional.binary_cross_entropy_with_logits(scores, labels,
                                                           reduction="none").mean(dim=1)

    return loss


def _sampled_softmax(model: model_of.Recommender, target: torch.Tensor, negatives: torch.Tensor
                     ) -> Callable[[torch.Tensor], torch.Tensor]:
    is_target = negatives[None] == target[:, None]
    # Looked up once for all rounds: the gradient of a look-up has the size of the item table.
    vectors, bias = model.items(target), model.bias[target]
    other_vectors, other_bias = model.items(negatives).T, model.bias[negatives]

    def loss(users: torch.Tensor) -> torch.Tensor:
        wanted = (vectors * users).sum(dim=1) + bias
        others = torch.addmm(other_bias, users, other_vectors)
        others = others.masked_fill_(is_target, float("-inf")).logsumexp(dim=1)
        return functional.softplus(others - wanted)

    return loss


class Stage:
    """One stage, resumed from its checkpoint where there is one."""

    def __init__(self, name: str, folder: pathlib.Path, plan: Plan, samples: Samples,
                 device: torch.device):
        self.name, self._plan, self._device, self._samples = name, plan, device, samples
        self._path = folder / f"{name}.checkpoint.pt"
        self._log = folder / "log.jsonl"
        self._judge = Judge(samples, plan, device)
        self.curve = Curve()
        self._best: dict[str, torch.Tensor] | None = None
        self._best_epoch = -1

    def run(self, model: model_of.Recommender, deadline: float | None = None) -> bool:
        """Trains `model`, an epoch at least, and leaves the best epoch's weights in it. False: out
        of time. An interrupted run goes on after the last epoch that its checkpoint has."""
        has_adapter = model.adapter is not None
        plan = self._plan
        rounds = plan.rounds if has_adapter else 1
        epochs = plan.adapter_epochs if has_adapter else plan.epochs
        optimiser = torch.optim.Adam(self._trained(model), weight_decay=plan.weight_decay)
        settings = {name: value for name, value in asdict(plan).items()
                    if has_adapter or name not in OF_SECOND_STAGE}
        identity = {"stage": self.name, "shape": asdict(model.shape), "plan": settings,
                    "data": self._samples.fingerprint}
        epoch = resumed_at = self._resume(model, optimiser, identity)
        if epoch == 0 and has_adapter:
            self._note("start", model, rounds, 0.0, 0.0)
        while epoch < epochs and (self._best is None or
                                  epoch - self._best_epoch <= plan.patience):
            is_late = deadline is not None and time.monotonic() > deadline
            if is_late and epoch > resumed_at:
                break
            started = time.monotonic()
            loss = self._epoch(model, optimiser, epoch, rounds)
            seconds = time.monotonic() - started
            self.curve.losses.append(loss)
            self.curve.seconds.append(seconds)
            self.curve.valid.append(self._note(str(epoch + 1), model, rounds, loss, seconds))
            if self._best is None or self.curve.valid[-1][plan.choose_by] > \
                    self.curve.valid[self._best_epoch][plan.choose_by]:
                self._best, self._best_epoch = copy.deepcopy(model.state_dict()), epoch
            epoch += 1
            self._keep(model, optimiser, identity, epoch)
        is_finished = epoch >= epochs or epoch - self._best_epoch > plan.patience
        if self._best is not None:
            model.load_state_dict(self._best)
        return is_finished

    def _trained(self, model: model_of.Recommender) -> list[dict]:
        """Groups of parameters for the optimiser."""
        plan = self._plan
        if model.adapter is None:
            return [{"params": [p for p in model.parameters() if p.requires_grad],
                     "lr": plan.learning_rate}]
        inner = set(model.adapter.parameters())
        outer = [p for p in model.parameters() if p.requires_grad and p not in inner]
        for parameter in outer:
            parameter.requires_grad_(plan.tuning_learning_rate > 0)
        groups = [{"params": list(model.adapter.parameters()), "lr": plan.adapter_learning_rate}]
        if plan.tuning_learning_rate > 0:
            groups.append({"params": outer, "lr": plan.tuning_learning_rate})
        return groups

    def _epoch(self, model: model_of.Recommender, optimiser: torch.optim.Optimizer, epoch: int,
               rounds: int) -> float:
        # Each epoch has its own seed: a resumed run draws what an uninterrupted one would.
        random = np.random.default_rng([self._plan.seed, len(self.name), epoch])
        torch.manual_seed(int(random.integers(1 << 62)))
        share = self._plan.adapter_share if model.adapter is not None else 1.0
        batches = self._samples.shuffled(self._plan.batch, random, share)
        progress = Progress(f"{self.name}, epoch {epoch + 1}", sum(map(len, batches)))
        loss_of = Loss(self._samples, self._plan, self._device, random)
        model.train()
        if model.adapter is not None and self._plan.tuning_learning_rate == 0:
            model.backbone.eval()  # As it will be asked.
        total, count = torch.zeros((), device=self._device), 0
        for pairs in batches:
            optimiser.zero_grad(set_to_none=True)
            loss = loss_of(model, pairs, rounds)
            if loss.requires_grad:  # Not where later rounds alone learn and nothing was missed.
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), self._plan.clip)
                optimiser.step()
            total += loss.detach() * len(pairs)
            count += len(pairs)
            progress.add(len(pairs))
        progress.finish()
        mean = float(total) / count
        if not np.isfinite(mean):
            raise CheckpointError(f"{self.name}: the loss of epoch {epoch + 1} is not finite; a "
                                  "smaller learning rate may help")
        return mean

    def _note(self, epoch: str, model: model_of.Recommender, rounds: int, loss: float,
              seconds: float) -> dict[str, float]:
        scores = self._judge.scores(model, "valid", rounds, self._plan.judged)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        print(f"  {self.name}, epoch {epoch}: loss {loss:.4f}  {shown}  ({seconds:.0f} s)",
              flush=True)
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"stage": self.name, "epoch": epoch, "loss": loss,
                                  "seconds": round(seconds, 1), **scores}) + "\n")
        return scores

    def _keep(self, model: model_of.Recommender, optimiser: torch.optim.Optimizer,
              identity: dict, epoch: int) -> None:
        state = {"identity": identity, "epoch": epoch, "model": model.state_dict(),
                 "optimiser": optimiser.state_dict(), "best": self._best,
                 "best_epoch": self._best_epoch, "curve": asdict(self.curve)}
        partial = self._path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._path)

    def _resume(self, model: model_of.Recommender, optimiser: torch.optim.Optimizer,
                identity: dict) -> int:
        if not self._path.exists():
            return 0
        try:
            state = torch.load(self._path, map_location=self._device)
        except Exception as error:  # torch raises whatever its unpickler meets
            raise CheckpointError(f"{self._path}: cannot be read ({error}); remove it to start "
                                  "this stage again") from error
        if state["identity"] != identity:
            raise CheckpointError(f"{self._path}: belongs to other settings or data; take another "
                                  "--out, or remove it to start this stage again")
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        self.curve = Curve(**state["curve"])
        self._best, self._best_epoch = state["best"], state["best_epoch"]
        print(f"  {self.name}: goes on after epoch {state['epoch']} ({self._path})", flush=True)
        return state["epoch"]
