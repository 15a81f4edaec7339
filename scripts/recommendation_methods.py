"""The ways of asking for recommendations that evaluate_recs.py compares, as request bodies."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recommendation_data import Person, normalised

LIMIT = 100
ROUNDS = 5
RECENT = 5

# One configuration for all data: what to use where nobody can choose on a validation split.
MIXTURE = {"max_components": 10, "blend": 0.4, "blend_with": "history", "quota_power": 1.3}
FIRST_PAGE = {"page": 20, "page_blend": 0.1, "diversity": {"mmr": {"lambda": 0.6}}}
DEFAULT_SETTINGS = MIXTURE | FIRST_PAGE
DEFAULT_SMOOTHING = {"neighbors": 10, "lambda": 0.4}

BLENDS = (0.1, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Method:
    """`family` groups methods that differ in their settings only; a family's settings can be chosen
    on validation. Those of "single vector" and "default" have nothing to choose."""
    name: str
    family: str
    source: str  # "user", "mean", "recent", "newest" (one vector each) or "interests"
    interests: dict[str, Any] = field(default_factory=dict)
    strategy: dict[str, Any] | None = None  # Of query.refine.
    curve: str | None = None  # Name of the curve over the blend that it is a point of.

    @property
    def has_choice(self) -> bool:
        return self.family not in ("single vector", "default")

    @property
    def is_smoothed(self) -> bool:
        return "smoothing" in self.interests

    def as_json(self) -> dict[str, Any]:
        shown = {"name": self.name, "family": self.family, "source": self.source}
        if self.interests:
            shown["interests"] = self.interests
        if self.strategy is not None:
            shown["strategy"] = self.strategy
        return shown


def single_vectors() -> list[Method]:
    return [Method("user", "single vector", "user"), Method("mean", "single vector", "mean"),
            Method(f"last {RECENT}", "single vector", "recent")]


def defaults() -> list[Method]:
    return [_interests("default", "default", DEFAULT_SETTINGS),
            _interests("default, smoothed", "default",
                       DEFAULT_SETTINGS | {"smoothing": DEFAULT_SMOOTHING})]


def all_methods() -> list[Method]:
    return single_vectors() + defaults() + _mixtures() + _variants() + _smoothings()


def _mixtures() -> list[Method]:
    methods = []
    for components in (5, 10, 20):
        settings: dict[str, Any] = {"max_components": components}
        curves = [f"interests {components}, b {blend_with}" for blend_with in ("vector", "history")]
        methods.append(_interests(f"interests {components}", "interests", settings))
        for curve, blend_with in zip(curves, ("vector", "history"), strict=True):
            for blend in BLENDS:
                name = f"interests {components} b {_short(blend)} {blend_with}"
                methods.append(_interests(name, "interests", settings | {
                    "blend": blend, "blend_with": blend_with}, curve if components == 10 else None))
    return methods


def _variants() -> list[Method]:
    """Other parts of the method exchanged, each in the default configuration."""
    ward = {"clustering": "ward", "represent": "medoid"}
    smoothing = {"smoothing": DEFAULT_SMOOTHING}
    variants = [_interests(f"default, {name}", "variants", DEFAULT_SETTINGS | change)
                for name, change in (("equal quotas", {"allocation": "equal"}),
                                     ("quotas by weight", {"quota_power": 1}),
                                     ("quotas >= 5", {"min_quota": 5}),
                                     ("medoids", {"represent": "medoid"}),
                                     ("ward", {"clustering": "ward"}))]
    variants.append(_interests("ward medoids", "variants", DEFAULT_SETTINGS | ward | {
        "blend": 0, "page_blend": 0}))
    # How the answer is ordered, without and with smoothing.
    orders: dict[str, dict[str, Any]] = {
        "turns": {}, "score order": {"merge": "score"}, "page of turns": {"page": 20},
        "page by the blend": {"page": 20, "diversity": FIRST_PAGE["diversity"]},
        "page by interests": {"page": 20, "page_blend": FIRST_PAGE["page_blend"]}}
    for share in (0.5, 0.7, 0.8):
        orders[f"page of mmr {_short(share)}"] = FIRST_PAGE | {
            "diversity": {"mmr": {"lambda": share}}}
    orders["mmr .7 of 400"] = {"diversity": {"mmr": {"lambda": 0.7}}}
    for name, order in orders.items():
        variants.append(_interests(f"default, {name}", "variants", MIXTURE | order))
        variants.append(_interests(f"default, smoothed, {name}", "variants",
                                   MIXTURE | smoothing | order))
    return variants


def _smoothings() -> list[Method]:
    methods = []
    for neighbors in (10, 50):
        for share in (0.2, 0.4, 0.6, 0.8):
            name = f"smoothing {neighbors} l {_short(share)}"
            methods.append(_interests(name, "smoothing", DEFAULT_SETTINGS | {
                "smoothing": {"neighbors": neighbors, "lambda": share}}))
    return methods


def refinements(bases: list[Method]) -> list[Method]:
    """Every strategy over every base, the single round among them: it may be the best choice."""
    strategies: dict[str, dict[str, Any]] = {}
    for beta in (0.1, 0.2, 0.35, 0.5, 0.7):
        strategies[f"explore {_short(beta)}"] = {"explore": {"beta": beta}}
    for beta in (0.15, 0.3):
        for feedback in (3, 10):
            strategies[f"rocchio {_short(beta)} of {feedback}"] = {
                "rocchio": {"alpha": 1 - beta, "beta": beta, "feedback": feedback}}
    for gamma in (0.05, 0.15, 0.3, 0.6):
        for temperature in (0.1, 0.3):
            strategies[f"attention {_short(gamma)} t {_short(temperature)}"] = {
                "attention": {"gamma": gamma, "temperature": temperature}}
    methods = []
    for base in bases:
        family = f"rounds over {base.name}"
        methods.append(Method(f"{base.name}, one round", family, base.source, base.interests))
        methods += [Method(f"{base.name} + {name}", family, base.source, base.interests, strategy)
                    for name, strategy in strategies.items()]
    return methods


def _interests(name: str, family: str, settings: dict[str, Any],
               curve: str | None = None) -> Method:
    return Method(name, family, "interests", settings, curve=curve)


def _short(number: float) -> str:
    return f"{number:g}".removeprefix("0") or "0"


def search_body(method: Method, person: Person, item_vectors: np.ndarray, exact: bool,
                limit: int = LIMIT) -> dict[str, Any]:
    """One search of /points/query. No answer may hold an item of the history: interests leave it
    out by themselves, other queries by a filter (so that the answer still has `limit` items)."""
    history = person.history.tolist()
    query = query_of(method, person, item_vectors)
    if method.strategy is not None:
        query = {"refine": {"query": query, "history": history, "rounds": ROUNDS,
                            "strategy": method.strategy}}
    body: dict[str, Any] = {"query": query, "limit": limit}
    if method.source != "interests":
        body["filter"] = {"must_not": [{"has_id": history}]}
    if exact:
        body["params"] = {"exact": True}
    return body


def query_of(method: Method, person: Person, item_vectors: np.ndarray) -> Any:
    """What is asked in the first round. Smoothing names the stored user, who must not be one of
    their own neighbours."""
    if method.source == "user":
        return person.vector.tolist()
    if method.source == "mean":
        return normalised(item_vectors[person.history].mean(axis=0)).tolist()
    if method.source == "recent":
        return normalised(item_vectors[person.history[-RECENT:]].mean(axis=0)).tolist()
    if method.source == "newest":
        return item_vectors[person.history[-1]].tolist()
    if method.is_smoothed:
        return {"interests": method.interests | {"user": person.user}}
    return {"interests": method.interests | {"history": person.history.tolist(),
                                             "vector": person.vector.tolist()}}
