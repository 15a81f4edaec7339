"""A person who talks to the index in rounds, simulated from held-out items.

The person sees a round, says which of the items they wanted (and, if asked to, dislikes the first
few of the others), and gets the next round. Two ways of serving that person:

  sessions  POST .../sessions, then .../next with the feedback of the round before
  paging    the first query again and again, with a filter that excludes all that was shown
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Protocol

import numpy as np

from progress import Progress
from recommendation_data import Person
from tessera_client import Client, path_of


@dataclass
class Feedback:
    positive: list[int]
    negative: list[int]


class Rounds(Protocol):
    """One person's conversation; every call answers the ids of one round."""

    def start(self, body: dict[str, Any]) -> list[int]: ...
    def next(self, feedback: Feedback) -> list[int]: ...
    def end(self) -> None: ...


@dataclass
class Traffic:
    """Of every round: bytes of the request's body, and seconds until the answer."""
    sent: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def call(self, client: Client, path: str, body: dict[str, Any]) -> Any:
        self.sent.append(len(json.dumps(body, separators=(",", ":"))))
        started = time.monotonic()
        result = client.call("POST", path, body)
        self.seconds.append(time.monotonic() - started)
        return result


class SessionRounds:
    def __init__(self, client: Client, collection: str, strategy: dict[str, Any] | None):
        self._client, self._path = client, f"{path_of(collection)}/sessions"
        self._strategy, self._id = strategy, ""
        self.traffic = Traffic()

    def start(self, body: dict[str, Any]) -> list[int]:
        body = dict(body)
        if self._strategy is not None:
            body["strategy"] = self._strategy
        result = self.traffic.call(self._client, self._path, body)
        self._id = result["session"]
        return [point["id"] for point in result["points"]]

    def next(self, feedback: Feedback) -> list[int]:
        said = {name: ids for name, ids in (("positive", feedback.positive),
                                            ("negative", feedback.negative)) if ids}
        result = self.traffic.call(self._client, f"{self._path}/{self._id}/next",
                                   {"feedback": said} if said else {})
        return [point["id"] for point in result["points"]]

    def end(self) -> None:
        self._client.call("DELETE", f"{self._path}/{self._id}")


class PagingRounds:
    def __init__(self, client: Client, collection: str):
        self._client, self._path = client, f"{path_of(collection)}/points/query"
        self._body: dict[str, Any] = {}
        self._shown: list[int] = []
        self.traffic = Traffic()

    def start(self, body: dict[str, Any]) -> list[int]:
        self._body = body
        return self._page()

    def next(self, feedback: Feedback) -> list[int]:
        return self._page()

    def end(self) -> None:
        pass

    def _page(self) -> list[int]:
        body = dict(self._body)
        if self._shown:
            known = [item for condition in body.get("filter", {}).get("must_not", ())
                     for item in condition["has_id"]]
            body["filter"] = {"must_not": [{"has_id": known + self._shown}]}
        result = self.traffic.call(self._client, self._path, body)
        page = [point["id"] for point in result["points"]]
        self._shown += page
        return page


@dataclass
class Outcome:
    """Of one person."""
    found: list[int]  # Wanted items after every round.
    first: int  # Round of the first wanted item, and of the third; 0: in none.
    third: int
    repeats: int  # Items shown again, or known from the history.
    sent: list[int]
    seconds: list[float]


def simulate(person: Person, rounds: Rounds, body: dict[str, Any], round_count: int,
             negatives: int) -> Outcome:
    shown: set[int] = set(person.history.tolist())
    found: list[int] = []
    repeats = total = first = third = 0
    page = rounds.start(body)
    for number in range(1, round_count + 1):
        repeats += len(page) - len(set(page) - shown)
        liked = [item for item in dict.fromkeys(page)
                 if item in person.wanted and item not in shown]
        shown.update(page)
        total += len(liked)
        found.append(total)
        first = first or (number if total >= 1 else 0)
        third = third or (number if total >= 3 else 0)
        if number < round_count:
            others = [item for item in page if item not in person.wanted]
            page = rounds.next(Feedback(liked, others[:negatives]))
    rounds.end()
    traffic = getattr(rounds, "traffic", Traffic())
    return Outcome(found, first, third, repeats, traffic.sent, traffic.seconds)


@dataclass
class Conversations:
    """One way of serving, for everybody. Rows are people, columns rounds."""
    name: str
    found: np.ndarray
    first: np.ndarray  # One round more than there were for those who never got there.
    third: np.ndarray
    repeats: int
    sent: np.ndarray
    seconds: np.ndarray

    @property
    def round_count(self) -> int:
        return self.found.shape[1]


def converse(name: str, people: list[Person], make_rounds: Callable[[], Rounds],
             bodies: Callable[[Person], dict[str, Any]], round_count: int,
             negatives: int) -> Conversations:
    outcomes = []
    progress = Progress(name, len(people))
    for person in people:
        outcomes.append(simulate(person, make_rounds(), bodies(person), round_count, negatives))
        progress.add(1)
    progress.finish()
    return Conversations(name, np.array([one.found for one in outcomes]),
                         np.array([one.first or round_count + 1 for one in outcomes]),
                         np.array([one.third or round_count + 1 for one in outcomes]),
                         sum(one.repeats for one in outcomes),
                         np.array([one.sent for one in outcomes]),
                         np.array([one.seconds for one in outcomes]))
