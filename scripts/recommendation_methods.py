"""The ways of asking for recommendations that evaluate_recs.py compares, as request bodies."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recommendation_data import Person, normalised

LIMIT = 100
ROUNDS = 5
RECENT = 5


@dataclass(frozen=True)
class Method:
    """`family` groups methods that differ in their settings only ("baseline" ones are no such)."""
    name: str
    family: str
    source: str  # "user", "mean", "recent" (one vector each) or "interests"
    interests: dict[str, Any] = field(default_factory=dict)
    strategy: dict[str, Any] | None = None  # Of query.refine.


def all_methods() -> list[Method]:
    baselines = [Method("user", "baseline", "user"), Method("mean", "baseline", "mean"),
                 Method(f"last {RECENT}", "baseline", "recent")]
    interests = []
    for components in (5, 10):
        interests.append(_interests(components))
        for blend_with in ("vector", "history"):
            interests += [_interests(components, blend, blend_with) for blend in (0.25, 0.5)]
    strategies = {
        "explore .2": {"explore": {"beta": 0.2}},
        "explore .5": {"explore": {"beta": 0.5}},
        "attention": {"attention": {"gamma": 0.3, "temperature": 0.1}},
        "rocchio": {"rocchio": {"alpha": 0.7, "beta": 0.3, "feedback": 3}},
    }
    refined = [Method(f"{base.name} + {name}", f"refined {base.name}", base.source,
                      strategy=strategy)
               for base in baselines for name, strategy in strategies.items()]
    best = _interests(10, 0.25, "vector")
    refined.append(Method(f"{best.name} + explore .2", "refined interests", "interests",
                          best.interests, strategies["explore .2"]))
    return baselines + interests + refined


def _interests(components: int, blend: float = 0, blend_with: str = "vector") -> Method:
    name = f"interests {components}"
    settings: dict[str, Any] = {"max_components": components}
    if blend:
        name += f" b {blend:.2g} {blend_with}".replace("0.", ".")
        settings |= {"blend": blend, "blend_with": blend_with}
    return Method(name, "interests", "interests", settings)


def search_body(method: Method, person: Person, item_vectors: np.ndarray,
                exact: bool) -> dict[str, Any]:
    """One search of /points/query. No answer may hold an item of the history: interests leave it
    out by themselves, other queries by a filter (so that the answer still has LIMIT items)."""
    history = person.history.tolist()
    query = _query(method, person, item_vectors)
    if method.strategy is not None:
        query = {"refine": {"query": query, "history": history, "rounds": ROUNDS,
                            "strategy": method.strategy}}
    body: dict[str, Any] = {"query": query, "limit": LIMIT}
    if method.source != "interests":
        body["filter"] = {"must_not": [{"has_id": history}]}
    if exact:
        body["params"] = {"exact": True}
    return body


def _query(method: Method, person: Person, item_vectors: np.ndarray) -> Any:
    if method.source == "user":
        return person.vector.tolist()
    if method.source == "mean":
        return normalised(item_vectors[person.history].mean(axis=0)).tolist()
    if method.source == "recent":
        return normalised(item_vectors[person.history[-RECENT:]].mean(axis=0)).tolist()
    return {"interests": method.interests | {"history": person.history.tolist(),
                                             "vector": person.vector.tolist()}}
