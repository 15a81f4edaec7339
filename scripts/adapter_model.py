"""Ada-Retrieval in PyTorch: what scripts/train_adapter.py trains and what the server must equal.

Li, Lian, Zhou, Xie: "Ada-Retrieval: An Adaptive Multi-Round Retrieval Paradigm for Sequential
Recommendations", AAAI 2024. The formulas are in docs/methods.md, the names and shapes of the
tensors in docs/adapters.md.

Symbols: B people, L history, D size of a vector, K context items of a round, T rounds. Items are
rows of one table; row 0 is padding. Histories are padded on the left.
"""

from dataclasses import dataclass
from typing import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

EPSILON = 1e-12
INITIAL_DEVIATION = 0.02
CACHED_ROWS = 128  # Of scores of all items, so that a CPU ranks them while they are in its cache.
SHORT_HISTORY = 12
CONTEXT_SHARE = 0.1  # Of an item's size, that its context has at first.
BACKBONES = ("sasrec", "gru4rec", "mean")
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "swish": functional.silu, "gelu": functional.gelu, "relu": functional.relu}


@dataclass(frozen=True)
class Shape:
    """What decides the shapes of all tensors."""
    item_count: int
    dim: int = 64
    round_items: int = 20
    max_history: int = 50
    backbone: str = "sasrec"
    layers: int = 2
    heads: int = 4
    inner: int = 512
    hidden: int = 128  # Of gru4rec.
    activation: str = "swish"
    dropout: float = 0.1777
    item_bias: bool = True


class Dropout(nn.Module):
    """As nn.Dropout, which draws an element's bits one after another on a CPU and takes longer
    than the products around it: here four elements share a draw."""

    def __init__(self, share: float):
        super().__init__()
        self._dropped = round(share * 65536)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self._dropped == 0:
            return x
        drawn = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
        # The bits of a non-negative int64: the highest of four int16 would never be negative.
        bits = drawn.random_(-2**63, None).view(torch.int16)[:x.numel()].view(x.shape)
        kept = (bits >= self._dropped - 32768).to(x.dtype)
        return x * kept.mul_(65536 / (65536 - self._dropped))


class SasRec(nn.Module):
    """Transformer encoder; the newest item has the last position."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.heads = shape.heads
        self.position = nn.Embedding(shape.max_history, shape.dim)
        self.norm = nn.LayerNorm(shape.dim, eps=EPSILON)
        self.dropout = Dropout(shape.dropout)
        self.layers = nn.ModuleList(SasRecLayer(shape) for _ in range(shape.layers))

    def forward(self, vectors: torch.Tensor, is_item: torch.Tensor) -> torch.Tensor:
        length = vectors.shape[1]
        places = torch.arange(self.position.num_embeddings - length, self.position.num_embeddings,
                              device=vectors.device)
        x = self.dropout(self.norm(vectors + self.position(places)))
        causal = torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
        # A place of padding sees itself, so that no row of the softmax is empty; nobody sees it.
        itself = torch.eye(length, dtype=torch.bool, device=x.device)
        allowed = (causal & is_item[:, None, :] | itself)[:, None]
        for layer in self.layers[:-1]:
            x = layer(x, x, allowed)
        return self.layers[-1](x[:, -1:], x, allowed[..., -1:, :])[:, 0]


class SasRecLayer(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.heads = shape.heads
        self.attention = nn.ModuleDict(
            {name: nn.Linear(shape.dim, shape.dim) for name in ("query", "key", "value", "output")})
        self.attention["norm"] = nn.LayerNorm(shape.dim, eps=EPSILON)
        self.feed_forward = nn.ModuleDict({"inner": nn.Linear(shape.dim, shape.inner),
                                           "output": nn.Linear(shape.inner, shape.dim),
                                           "norm": nn.LayerNorm(shape.dim, eps=EPSILON)})
        self.activation = ACTIVATIONS[shape.activation]
        self.dropout = Dropout(shape.dropout)

    def forward(self, x: torch.Tensor, seen: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        """The places `x` attend to the places `seen`; only the last place of the last layer is
        wanted, so that they need not be the same."""
        people, length, dim = x.shape

        def heads_of(name: str, places: torch.Tensor) -> torch.Tensor:
            rows = self.attention[name](places)
            return rows.view(people, rows.shape[1], self.heads, -1).transpose(1, 2)

        scores = _products(heads_of("query", x), heads_of("key", seen))
        scores = (scores / (dim // self.heads) ** 0.5).masked_fill(~allowed, float("-inf"))
        weights = self.dropout(scores.softmax(dim=-1))
        mixed = _mixtures(weights, heads_of("value", seen))
        mixed = mixed.transpose(1, 2).reshape(people, length, dim)
        a = self.attention["norm"](self.dropout(self.attention["output"](mixed)) + x)
        inner = self.activation(self.feed_forward["inner"](a))
        return self.feed_forward["norm"](self.dropout(self.feed_forward["output"](inner)) + a)


def _products(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Of every query with every key of the same person and head."""
    if _is_short(queries, keys):
        return (queries[:, :, :, None] * keys[:, :, None]).sum(dim=4)
    return queries @ keys.transpose(2, 3)


def _mixtures(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    if _is_short(weights, values):
        return (weights[..., None] * values[:, :, None]).sum(dim=3)
    return weights @ values


def _is_short(x: torch.Tensor, seen: torch.Tensor) -> bool:
    """Where a matrix product for each person and head is more calls than arithmetic."""
    return not x.is_cuda and 1 < x.shape[2] and seen.shape[2] <= SHORT_HISTORY


class Gru4Rec(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.gru = nn.GRU(shape.dim, shape.hidden, batch_first=True)
        self.dense = nn.Linear(shape.hidden, shape.dim)
        self.dropout = Dropout(shape.dropout)

    def forward(self, vectors: torch.Tensor, is_item: torch.Tensor) -> torch.Tensor:
        # The oldest item first and the padding behind, where it does not reach the state wanted.
        lengths = is_item.sum(dim=1)
        order = (torch.arange(vectors.shape[1], device=vectors.device)[None] -
                 lengths[:, None]) % vectors.shape[1]
        first = vectors.gather(1, order[..., None].expand_as(vectors))
        states, _ = self.gru(self.dropout(first))
        last = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[2])
        state = states.gather(1, last)[:, 0] * (lengths > 0)[:, None]
        return self.dense(state)


class MeanPooling(nn.Module):
    def forward(self, vectors: torch.Tensor, is_item: torch.Tensor) -> torch.Tensor:
        count = is_item.sum(dim=1, keepdim=True).clamp(min=1)
        return (vectors * is_item[..., None]).sum(dim=1) / count


class Filter(nn.Module):
    """Learnable filter over the ranks of one round's items, then linear, residual and norm."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.round_items = shape.round_items
        frequencies = shape.round_items // 2 + 1
        self.weight = nn.Parameter(INITIAL_DEVIATION * torch.randn(frequencies, shape.dim, 2))
        self.linear = nn.Linear(shape.dim, shape.dim)
        self.norm = nn.LayerNorm(shape.dim, eps=EPSILON)
        self.dropout = Dropout(shape.dropout)

    def kernel(self) -> torch.Tensor:
        """K x D: the circular convolution that the weights of the frequencies are."""
        return torch.fft.irfft(torch.view_as_complex(self.weight), n=self.round_items, dim=0)

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        ranks = torch.arange(self.round_items, device=items.device)
        circulant = self.kernel()[(ranks[:, None] - ranks[None, :]) % self.round_items]
        z = (circulant.permute(2, 0, 1) @ items.permute(2, 1, 0)).permute(2, 1, 0)
        return self.norm(self.dropout(self.linear(z)) + items)


class Adapter(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        dim = shape.dim
        self.filter = Filter(shape)
        self.attention_norm = nn.LayerNorm(dim, eps=EPSILON)
        self.gru = nn.GRU(dim, dim, batch_first=True)
        self.fuse_hidden = nn.Linear(2 * dim, 2 * dim)
        self.fuse_output = nn.Linear(2 * dim, dim)
        self.fuse_norm = nn.LayerNorm(dim, eps=EPSILON)
        self.dropout = Dropout(shape.dropout)

    def rewrite(self, history: torch.Tensor, context: torch.Tensor,
                is_context: torch.Tensor) -> torch.Tensor:
        """h' of every item of the history. `context`: what filter() made of all earlier rounds."""
        scores = history @ context.transpose(1, 2) / history.shape[2] ** 0.5
        weights = scores.masked_fill(~is_context[:, None, :], float("-inf")).softmax(dim=-1)
        # People whose earlier rounds found nothing have no context.
        weights = torch.nan_to_num(weights)
        rewritten = self.attention_norm(self.dropout(weights @ context) + history)
        return torch.where(is_context.any(dim=1)[:, None, None], rewritten, history)

    def read(self, user: torch.Tensor, state: torch.Tensor | None) -> torch.Tensor:
        """The GRU's state after one more user vector; 1 x B x D."""
        return self.gru(user[:, None], state)[1]

    def fuse(self, encoded: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.fuse_hidden(torch.cat([encoded, state[-1]], dim=1)))
        return self.fuse_norm(self.dropout(self.fuse_output(hidden)) + encoded)


class Recommender(nn.Module):
    """Item table, backbone and, in the second stage, adapter."""

    def __init__(self, shape: Shape, has_adapter: bool):
        super().__init__()
        self.shape = shape
        self.items = nn.Embedding(shape.item_count + 1, shape.dim, padding_idx=0)
        self.bias = nn.Parameter(torch.zeros(shape.item_count + 1), requires_grad=shape.item_bias)
        makers = {"sasrec": SasRec, "gru4rec": Gru4Rec, "mean": lambda _: MeanPooling()}
        self.backbone = makers[shape.backbone](shape)
        self.apply(_initialise)
        self.adapter = Adapter(shape) if has_adapter else None
        if self.adapter is not None:
            self.adapter.apply(_initialise)

    @torch.no_grad()
    def start_near_backbone(self, history: torch.Tensor) -> None:
        """Scales the adapter's norms so that, before it has learned anything, it changes little:
        its outputs have the size of what they stand for. `history`: of some people."""
        self.eval()
        item_size = self.items.weight[1:].std(dim=1).mean()
        self.adapter.filter.norm.weight.fill_(CONTEXT_SHARE * item_size)
        self.adapter.attention_norm.weight.fill_(item_size)
        self.adapter.fuse_norm.weight.fill_(self.first_vectors(history).std(dim=1).mean())

    def first_vectors(self, history: torch.Tensor) -> torch.Tensor:
        return self.backbone(self.items(history), history > 0)

    def scores(self, users: torch.Tensor) -> torch.Tensor:
        """B x (items + 1); padding scores minus infinity."""
        scores = torch.addmm(self.bias, users, self.items.weight.T)
        scores[:, 0] = float("-inf")
        return scores


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=INITIAL_DEVIATION)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        nn.init.zeros_(module.weight.data[module.padding_idx])
    if isinstance(module, nn.GRU):
        for name, parameter in module.named_parameters():
            if "weight" in name:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)


# ---- retrieval --------------------------------------------------------------------------------


@torch.no_grad()
def best_items(model: Recommender, users: torch.Tensor, excluded: torch.Tensor,
               count: int) -> torch.Tensor:
    """B x count ids, best first; 0 where there are no more. `excluded`: B x any ids."""
    rows = len(users) if users.is_cuda else CACHED_ROWS
    found = [_best_of(model.scores(users[first:first + rows]), excluded[first:first + rows], count)
             for first in range(0, len(users), rows)]
    return torch.cat(found) if found else users.new_zeros((0, count), dtype=torch.long)


def _best_of(scores: torch.Tensor, excluded: torch.Tensor, count: int) -> torch.Tensor:
    scores.scatter_(1, excluded, float("-inf"))
    found, ids = scores.topk(min(count, scores.shape[1]), dim=1)
    ids = torch.where(torch.isinf(found), torch.zeros_like(ids), ids)
    return functional.pad(ids, (0, count - ids.shape[1]))


def unroll_rounds(model: Recommender, history: torch.Tensor, rounds: int,
                  excluded: torch.Tensor | None,
                  contexts: list[torch.Tensor] | None = None) -> list[torch.Tensor]:
    """u_1 .. u_T; into `contexts` go the ids of rounds 1 .. T - 1. Earlier rounds' items are left
    out of later ones and, in all rounds, `excluded` (B x any; None: the context may hold items of
    the history, as in the authors' code)."""
    vectors, is_item = model.items(history), history > 0
    users = [model.backbone(vectors, is_item)]
    contexts = [] if contexts is None else contexts
    out = torch.zeros(len(history), 0, dtype=torch.long, device=history.device)
    out = out if excluded is None else excluded
    filtered: list[torch.Tensor] = []
    state = None
    while len(users) < rounds:
        found = best_items(model, users[-1].detach(), out, model.shape.round_items)
        contexts.append(found)
        out = torch.cat([out, found], dim=1)
        # What the filter makes of a round, and what the GRU has read, serve all later rounds.
        filtered.append(model.adapter.filter(model.items(found)))
        rewritten = model.adapter.rewrite(vectors, torch.cat(filtered, dim=1),
                                          torch.cat(contexts, dim=1) > 0)
        state = model.adapter.read(users[-1], state)
        users.append(model.adapter.fuse(model.backbone(rewritten, is_item), state))
    return users


@torch.no_grad()
def answer_list(model: Recommender, users: list[torch.Tensor], excluded: torch.Tensor,
                limit: int) -> torch.Tensor:
    """B x limit ids, round by round: ceil(limit / rounds) of each, the last the rest. Never sorted
    again."""
    per_round = -(-limit // len(users))
    parts: list[torch.Tensor] = []
    for user in users:
        out = torch.cat([excluded, *parts], dim=1)
        left = limit - sum(part.shape[1] for part in parts)
        if left > 0:
            parts.append(best_items(model, user, out, min(per_round, left)))
    return torch.cat(parts, dim=1)


# ---- files ------------------------------------------------------------------------------------


def adapter_metadata(shape: Shape) -> dict[str, str]:
    metadata = {"format": "tessera-adapter-1", "backbone": shape.backbone,
                "max_history": str(shape.max_history), "layer_norm_eps": repr(EPSILON),
                "item_bias": "last_dimension" if shape.item_bias else "none"}
    if shape.backbone == "sasrec":
        metadata |= {"heads": str(shape.heads), "activation": shape.activation}
    return metadata


def adapter_tensors(model: Recommender) -> dict[str, np.ndarray]:
    """Everything but the items, by the names of docs/adapters.md."""
    adapter = model.adapter
    tensors = {"filter.kernel": adapter.filter.kernel()}
    tensors |= _named("filter.linear", adapter.filter.linear)
    tensors |= _named("filter.norm", adapter.filter.norm)
    tensors |= _named("attention.norm", adapter.attention_norm)
    tensors |= _gru("gru", adapter.gru)
    tensors |= _named("fuse.hidden", adapter.fuse_hidden)
    tensors |= _named("fuse.output", adapter.fuse_output)
    tensors |= _named("fuse.norm", adapter.fuse_norm)
    if model.shape.backbone == "gru4rec":
        tensors |= _gru("backbone.gru", model.backbone.gru)
        tensors |= _named("backbone.dense", model.backbone.dense)
    elif model.shape.backbone == "sasrec":
        tensors |= {f"backbone.{name}": value for name, value in model.backbone.named_parameters()}
    return {name: value.detach().cpu().numpy() for name, value in tensors.items()}


def item_vectors(model: Recommender) -> np.ndarray:
    """(items + 1) x D, or x (D + 1) with the bias as the last entry; row 0 is zero."""
    vectors = model.items.weight.detach().cpu().numpy()
    if model.shape.item_bias:
        vectors = np.hstack([vectors, model.bias.detach().cpu().numpy()[:, None]])
    vectors[0] = 0
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _named(prefix: str, module: nn.Module) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": value for name, value in module.named_parameters()}


def _gru(prefix: str, gru: nn.GRU) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name.removesuffix('_l0')}": value for name, value in gru.named_parameters()}
