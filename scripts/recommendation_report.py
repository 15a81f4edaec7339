"""Runs as JSON and as tables: means, intervals, gains over the best single vector, by bucket."""

from typing import Any

import numpy as np

import recommendation_metrics as metrics
from recommendation_bootstrap import Bootstrap, gain
from recommendation_runs import ROUND_ENDS, MethodRun, PartRun, best_single

TABLE_COLUMNS = (("R@20", "recall@20", 100), ("R@50", "recall@50", 100),
                 ("R@100", "recall@100", 100), ("nDCG@50", "ndcg@50", 100),
                 ("HR@50", "hit@50", 100), ("D@20", "diversity@20", 1),
                 ("cat@20", "categories@20", 1), ("nov@20", "novelty@20", 1))
Interval = dict[str, float]  # value, low, high


def interval(value: float, bounds: np.ndarray) -> Interval:
    return {"value": float(value), "low": float(bounds[0]), "high": float(bounds[1])}


def report_part(run: PartRun, measure: str, seed: int, resamples: int) -> dict[str, Any]:
    """Everything that is known of a run. `measure` decides which single vector is the best."""
    base = best_single(run, measure)
    bootstrap = Bootstrap(len(run.users), seed, resamples)
    names = list(run.methods[0].values)
    means: dict[str, np.ndarray] = {}
    gains: dict[str, np.ndarray] = {}
    for name in names:
        values = np.column_stack([entry.values[name] for entry in run.methods])
        means[name] = bootstrap.means(values)
        gains[name] = bootstrap.gains(values, base.values[name])
    methods = []
    for place, entry in enumerate(run.methods):
        methods.append(entry.method.as_json() | {
            "coverage": entry.coverage, "ms_per_query": entry.ms_per_query,
            "measures": {name: interval(entry.values[name].mean(), means[name][place])
                         for name in names},
            "gain": {name: interval(gain(entry.values[name], base.values[name]),
                                    gains[name][place]) for name in names}})
    return {"set": run.set_name, "part": run.part, "people": len(run.users),
            "best_single_vector": base.method.name, "chosen_by": measure,
            "methods": methods,
            "buckets": _buckets(run, base, measure, seed, resamples)} | run.about


def _buckets(run: PartRun, base: MethodRun, measure: str, seed: int,
             resamples: int) -> list[dict[str, Any]]:
    """The same for people with histories of similar length, for one measure; smoothed methods are
    also compared with the same settings without smoothing."""
    rows = []
    bucket = np.array([metrics.bucket_of(length) for length in run.lengths])
    for place, bounds in enumerate(metrics.BUCKETS):
        inside = bucket == place
        if not inside.any():
            continue
        bootstrap = Bootstrap(int(inside.sum()), seed, resamples)
        values = np.column_stack([entry.values[measure][inside] for entry in run.methods])
        means = bootstrap.means(values)
        gains = bootstrap.gains(values, base.values[measure][inside])
        row: dict[str, Any] = {"history": metrics.bucket_name(bounds),
                               "people": int(inside.sum()), "measure": measure, "methods": {}}
        for column, entry in enumerate(run.methods):
            row["methods"][entry.method.name] = {
                "mean": interval(values[:, column].mean(), means[column]),
                "gain": interval(gain(values[:, column], base.values[measure][inside]),
                                 gains[column])}
        for column, entry in enumerate(run.methods):
            plain = unsmoothed(run, entry)
            if plain is not None:
                against = plain.values[measure][inside]
                row["methods"][entry.method.name]["smoothing_gain"] = interval(
                    gain(values[:, column], against),
                    bootstrap.gains(values[:, [column]], against)[0])
        rows.append(row)
    return rows


def unsmoothed(run: PartRun, entry: MethodRun) -> MethodRun | None:
    """The method with the same settings but for the smoothing, if it was run."""
    if not entry.method.is_smoothed:
        return None
    settings = {key: value for key, value in entry.method.interests.items() if key != "smoothing"}
    return next((other for other in run.methods if other.method.interests == settings
                 and other.method.strategy == entry.method.strategy), None)


# ---- tables -------------------------------------------------------------------------------------


def percent(entry: Interval) -> str:
    """A gain with its interval, "+12.3 % [+4.5, +20.1]"."""
    if not np.isfinite(entry["value"]):
        return "no base"
    if not np.isfinite(entry["low"]):
        return f"{100 * entry['value']:+.1f} % [too few]"
    return (f"{100 * entry['value']:+.1f} % [{100 * entry['low']:+.1f}, "
            f"{100 * entry['high']:+.1f}]")


def table(part: dict[str, Any]) -> str:
    """Recall, nDCG and hit rate in %; the last two columns compare with the best single vector."""
    rows = [["method"] + [name for name, _, _ in TABLE_COLUMNS]
            + ["cover", "ms", "x D@20", f"gain {part['chosen_by']}"]]
    for method in part["methods"]:
        cells = [f"{scale * method['measures'][name]['value']:.{2 if scale == 100 else 3}f}"
                 for _, name, scale in TABLE_COLUMNS]
        diversity = 1 + method["gain"]["diversity@20"]["value"]
        rows.append([method["name"]] + cells
                    + [f"{method['coverage']:.3f}", f"{method['ms_per_query']:.2f}",
                       f"{diversity:.2f}", percent(method["gain"][part["chosen_by"]])])
    head = (f"{part['set']}, {part['part']} part: {part['people']:,} people, best single vector "
            f"by {part['chosen_by']}: {part['best_single_vector']}")
    return head + "\n\n" + aligned(rows)


def bucket_table(part: dict[str, Any], names: list[str]) -> str:
    rows = [["history", "people", "method", part["chosen_by"], "gain", "smoothing"]]
    for bucket in part["buckets"]:
        for name in names:
            entry = bucket["methods"][name]
            smoothing = entry.get("smoothing_gain")
            rows.append([bucket["history"], f"{bucket['people']:,}", name,
                         f"{100 * entry['mean']['value']:.2f}", percent(entry["gain"]),
                         percent(smoothing) if smoothing else ""])
    return f"{part['set']}, by length of the history\n\n" + aligned(rows)


def rounds_table(part: dict[str, Any], chosen: dict[str, str]) -> str:
    """Per base the chosen strategy beside the single round, after every round."""
    rows = [["base and strategy", "after"] + ["HR", "nDCG", "Recall"]
            + ["gain HR", "gain nDCG", "gain Recall"]]
    for name, base in chosen.items():
        for number, end in enumerate(ROUND_ENDS, 1):
            row = part["rounds"][name][f"round {number}"]
            rows.append([name, f"{number} ({end})"]
                        + [f"{100 * row[measure]['mean']['value']:.2f}"
                           for measure in ("hit", "ndcg", "recall")]
                        + ([percent(row[measure]["gain"]) for measure in ("hit", "ndcg", "recall")]
                           if name != base else ["", "", ""]))
    return (f"{part['set']}, {part['part']} part, rounds against one round\n\n" + aligned(rows))


def report_rounds(run: PartRun, chosen: dict[str, str], seed: int,
                  resamples: int) -> dict[str, Any]:
    """`chosen`: name of a method -> name of the same base in one round."""
    bootstrap = Bootstrap(len(run.users), seed, resamples)
    result: dict[str, Any] = {}
    for name, base in chosen.items():
        result[name] = {"against": base}
        for number in range(1, len(ROUND_ENDS) + 1):
            row = {}
            for measure in ("hit", "ndcg", "recall"):
                key = f"{measure}@round {number}"
                values, against = run.of(name).values[key], run.of(base).values[key]
                row[measure] = {
                    "mean": interval(values.mean(), bootstrap.means(values[:, None])[0]),
                    "gain": interval(gain(values, against),
                                     bootstrap.gains(values[:, None], against)[0])}
            result[name][f"round {number}"] = row
    return result


def summary(parts: list[dict[str, Any]], names: list[str]) -> str:
    """One line a set and method: the gain over the set's best single vector."""
    rows = [["set", "method", "best single", "gain R@20", "gain R@50", "gain R@100", "x D@20"]]
    for part in parts:
        by_name = {method["name"]: method for method in part["methods"]}
        for name in names:
            if name in by_name:
                gains = by_name[name]["gain"]
                rows.append([part["set"], name, part["best_single_vector"]]
                            + [percent(gains[f"recall@{k}"]) for k in (20, 50, 100)]
                            + [f"{1 + gains['diversity@20']['value']:.2f}"])
    return "Against the best single vector\n\n" + aligned(rows)


def aligned(rows: list[list[str]]) -> str:
    """The first column to the left, all others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) if column == 0 else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)
