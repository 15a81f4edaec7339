"""How sessions begin and how they go on with feedback: what evaluate_sessions.py compares."""

from dataclasses import dataclass
from typing import Any, Callable

import recommendation_data as recs
from recommendation_methods import DEFAULT_SETTINGS, Method, query_of, single_vectors

EVERY_OTHER = 10**9  # Dislikes all that is not liked.
Body = Callable[[recs.Person], dict[str, Any]]


@dataclass(frozen=True)
class Strategy:
    """`body`: of a session, None for the daemon's default. `negatives`: how many unwanted items of
    a round the person dislikes; None: as many as --negatives says."""
    body: dict[str, Any] | None
    negatives: int | None = None


def strategies() -> dict[str, Strategy]:
    found = {"default": Strategy(None)}
    for alpha, beta in ((1, 0.4), (1, 1.5), (1, 4), (0, 1)):
        found[f"rocchio {alpha}/{beta:g}"] = Strategy(
            {"rocchio": {"alpha": alpha, "beta": beta, "gamma": 0.15}})
    for beta, gamma in ((0.75, 0.15), (1.5, 0.5)):
        found[f"rocchio 1/{beta:g}/{gamma:g} n3"] = Strategy(
            {"rocchio": {"alpha": 1, "beta": beta, "gamma": gamma}}, 3)
    for beta in (1.5, 4):
        found[f"rocchio 1/{beta:g}/0.5 all"] = Strategy(
            {"rocchio": {"alpha": 1, "beta": beta, "gamma": 0.5}}, EVERY_OTHER)
    for c in (0.1, 0.3, 1):
        found[f"relevance_feedback 1/1/{c:g} n3"] = Strategy(
            {"relevance_feedback": {"a": 1, "b": 1, "c": c}}, 3)
    for beta in (0.15, 0.3, 0.5):
        found[f"explore {_short(beta)}"] = Strategy({"explore": {"beta": beta}})
    for gamma in (0.1, 0.3):
        found[f"attention {_short(gamma)}"] = Strategy(
            {"attention": {"gamma": gamma, "temperature": 0.1}})
    return found


def starts() -> dict[str, Method]:
    return {method.name: method for method in single_vectors()} | {
        "last item": Method("last item", "single vector", "newest"),
        "interests": Method("interests", "default", "interests", DEFAULT_SETTINGS)}


def first_round(data: recs.RecommendationSet, method: Method, limit: int) -> Body:
    """The body of a start and of a plain query alike. Interests exclude the history themselves."""
    def body(person: recs.Person) -> dict[str, Any]:
        search = {"query": query_of(method, person, data.item_vectors), "limit": limit}
        if method.source != "interests":
            search["filter"] = {"must_not": [{"has_id": person.history.tolist()}]}
        return search
    return body


def first_round_by_adapter(adapter: str, limit: int) -> tuple[Body, Body]:
    """The bodies of a session's start and of the plain query that is its first round; both leave
    the history out by themselves."""
    strategy = {"adapter": adapter}

    def start(person: recs.Person) -> dict[str, Any]:
        return {"history": person.history.tolist(), "limit": limit, "strategy": strategy}

    def query(person: recs.Person) -> dict[str, Any]:
        return {"query": {"refine": {"history": person.history.tolist(), "rounds": 1,
                                     "strategy": strategy}}, "limit": limit}
    return start, query


def _short(number: float) -> str:
    return f"{number:g}".removeprefix("0")
