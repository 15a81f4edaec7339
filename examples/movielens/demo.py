#!/usr/bin/python3
"""A tour of the films of this folder on a running daemon that holds them: nearest, filtered, by
interests, in rounds. Shows titles and times; changes nothing but payload indexes and clusters.

  examples/movielens/demo.py [--url http://127.0.0.1:6333] [--film TITLE] [--user NUMBER]

Python's standard library only; scripts/quickstart loads the films.
"""

import argparse
import ast
import json
import pathlib
import struct
import sys
import time
import urllib.error
import urllib.request
from typing import Any

FOLDER = pathlib.Path(__file__).resolve().parent
COLLECTION = "films"
CLUSTERS = 64
TITLE_WIDTH = 46


class DemoError(Exception):
    """Something is not as the tour needs it; the text says what to do."""


class Daemon:
    def __init__(self, url: str):
        self.url = url.rstrip("/")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The `result` of the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method,
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["result"]
        except urllib.error.HTTPError as error:
            raise DemoError(f"{method} {path}: {error.code} "
                            f"{error.read().decode(errors='replace')}") from None
        except OSError as error:
            raise DemoError(f"{self.url} does not answer ({error}): "
                            "scripts/quickstart starts a daemon and loads the films") from None

    def query(self, body: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """Answer and milliseconds, the network and JSON included."""
        started = time.perf_counter()
        result = self.call("POST", f"/collections/{COLLECTION}/points/query", body)
        return result, 1000 * (time.perf_counter() - started)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:6333")
    parser.add_argument("--film", default="Alien (1979)", help="default: %(default)s")
    parser.add_argument("--user", type=int, default=303, help="0 to 670, default: %(default)s")
    arguments = parser.parse_args()
    try:
        films = {film["id"]: film for film in read_lines("items.jsonl")}
        film = find_film(films, arguments.film)
        history = read_history(arguments.user)
        person = read_vector("user_vectors.npy", arguments.user)
        daemon = Daemon(arguments.url)
        count = daemon.call("GET", f"/collections/{COLLECTION}")["points_count"]
        prepare(daemon)
        print(f"{count:,} films in collection '{COLLECTION}' at {daemon.url}; times are those of "
              "the whole request")
        show_nearest(daemon, film)
        show_filtered(daemon, film)
        show_interests(daemon, films, arguments.user, history, person)
        show_rounds(daemon, arguments.user, history, person)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


# ---- the four queries


def show_nearest(daemon: Daemon, film: dict[str, Any]) -> None:
    result, milliseconds = daemon.query({"query": film["id"], "limit": 6, "with_payload": True})
    heading(f"Films near {film['title']}", milliseconds)
    show_points(result["points"])


def show_filtered(daemon: Daemon, film: dict[str, Any]) -> None:
    result, milliseconds = daemon.query({
        "query": film["id"], "limit": 6, "with_payload": True,
        "filter": {"must": [{"key": "genres", "match": {"value": "Comedy"}},
                            {"key": "year", "range": {"gte": 1980, "lt": 1990}}]}})
    heading("The same, but comedies of the 1980s", milliseconds)
    show_points(result["points"])


def show_interests(daemon: Daemon, films: dict[int, dict[str, Any]], user: int, history: list[int],
                   person: list[float]) -> None:
    result, milliseconds = daemon.query({
        "query": {"interests": {"history": history, "vector": person, "blend": 0.25,
                                "max_components": 4}},
        "limit": 16, "with_payload": True})
    heading(f"Person {user}: {len(history)} films liked, one search per interest", milliseconds)
    for interest in result["interests"]:
        found = [point for point in result["points"]
                 if point["interest"]["component"] == interest["component"]]
        medoid = films[interest["medoid"]]["title"] if interest.get("medoid") is not None else "?"
        print(f"  interest {interest['component'] + 1}, {100 * interest['weight']:.0f} % of the "
              f"person: as {medoid}")
        show_points(found, indent=4)


def show_rounds(daemon: Daemon, user: int, history: list[int], person: list[float]) -> None:
    result, milliseconds = daemon.query({
        "query": {"refine": {"query": person, "history": history, "rounds": 5,
                             "strategy": {"explore": {"beta": 0.5}}}},
        "filter": {"must_not": [{"has_id": history}]},
        "limit": 15, "with_payload": True})
    heading(f"Person {user}: five rounds, each away from what came before", milliseconds)
    for line in result["rounds"]:
        print(f"  round {line['round']} (cosine to the first question {line['shift']:.2f})")
        show_points([point for point in result["points"] if point["round"] == line["round"]],
                    indent=4)


# ---- printing


def heading(text: str, milliseconds: float) -> None:
    print(f"\n{text}  [{milliseconds:.1f} ms]")


def show_points(points: list[dict[str, Any]], indent: int = 2) -> None:
    for point in points:
        payload = point["payload"]
        title = payload["title"]
        if len(title) > TITLE_WIDTH:
            title = title[:TITLE_WIDTH - 3] + "..."
        print(f"{'':{indent}}{point['score']:.3f}  {title:<{TITLE_WIDTH}}  "
              f"{', '.join(payload['genres'][:3])}")


# ---- preparation and files


def prepare(daemon: Daemon) -> None:
    """Indexes for the two filtered fields, and item clusters; both may be there already."""
    for field, kind in (("genres", "keyword"), ("year", "integer")):
        daemon.call("PUT", f"/collections/{COLLECTION}/index?wait=true",
                    {"field_name": field, "field_schema": kind})
    job = daemon.call("POST", f"/collections/{COLLECTION}/clusters", {"count": CLUSTERS})["job"]
    deadline = time.monotonic() + 60
    while (state := daemon.call("GET", f"/jobs/{job}"))["state"] in ("queued", "running"):
        if time.monotonic() > deadline:
            raise DemoError("training the clusters takes more than a minute")
        time.sleep(0.05)
    if state["state"] != "done":
        raise DemoError(f"training the clusters {state['state']}: {state.get('error', '')}")


def read_lines(name: str) -> list[dict[str, Any]]:
    with open(FOLDER / name, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def find_film(films: dict[int, dict[str, Any]], title: str) -> dict[str, Any]:
    """The film of that title, or the first whose title begins so."""
    for matches in (title.__eq__, lambda other: other.lower().startswith(title.lower())):
        for film in films.values():
            if matches(film["title"]):
                return film
    raise DemoError(f"--film: no title begins with '{title}'")


def read_history(user: int) -> list[int]:
    for line in read_lines("histories.jsonl"):
        if line["user"] == user:
            return line["history"]
    raise DemoError(f"--user: there is no person {user} (0 to 670)")


def read_vector(name: str, row: int) -> list[float]:
    """One row of a float16 .npy matrix."""
    data = (FOLDER / name).read_bytes()
    header_bytes, = struct.unpack_from("<H", data, 8)
    header = ast.literal_eval(data[10:10 + header_bytes].decode("latin1"))
    if data[:7] != b"\x93NUMPY\x01" or header["descr"] != "<f2" or header["fortran_order"]:
        raise DemoError(f"{name}: not a float16 matrix in rows")
    dim = header["shape"][1]
    return list(struct.unpack_from(f"<{dim}e", data, 10 + header_bytes + 2 * dim * row))


if __name__ == "__main__":
    sys.exit(main())
