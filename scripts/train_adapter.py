#!/usr/bin/python3
"""Trains an adapter (Ada-Retrieval) and uploads it together with the items' vectors.

  scripts/train_adapter.py ../shared/data/beauty --out beauty-model
  scripts/train_adapter.py ../shared/data/beauty --out beauty-model --upload --collection beauty
  scripts/train_adapter.py --events-from shop --out shop-model --upload --collection shop-items

Two stages: the backbone alone, then everything with the adapter. Each keeps a checkpoint after
every epoch in --out; the same command goes on where it stopped. --out then holds
adapter.safetensors, items.npy (row r: the item item_ids.json[r - 1]), report.json, log.jsonl.

Needs python3-torch (Debian's package); nothing else in the project does.
"""

import argparse
import json
import pathlib
import sys
import time
from dataclasses import asdict, fields

import numpy as np
from tessera_client import DEFAULT_URL, Client, TesseraError, chunks, path_of

try:
    import torch
except ImportError:
    sys.exit("train_adapter.py needs PyTorch: install the package python3-torch")

import adapter_model as model_of
import safetensors_file
from adapter_data import (SPLITS, DataError, Interactions, Samples, from_daemon,
                          from_folder)
from adapter_training import MEASURES, CheckpointError, Judge, Plan, Stage
from progress import Progress
from training_memory import keep_freed_memory

UPSERT_ROWS = 2000
START_SAMPLES = 4096
EXIT_OUT_OF_TIME = 3


def main() -> int:
    options = _arguments()
    try:
        return _run(options)
    except (DataError, CheckpointError, TesseraError, safetensors_file.FormatError) as error:
        print(f"train_adapter.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ntrain_adapter.py: stopped; the same command goes on after the last epoch",
              file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    started = time.monotonic()
    client = Client(options.url, api_key=options.api_key)
    if options.events_from:
        data = from_daemon(client, options.events_from)
    else:
        data = from_folder(options.folder,
                           [part for part in SPLITS if part in (options.parts or SPLITS)])
    plan = Plan(**{entry.name: getattr(options, entry.name) for entry in fields(Plan)})
    shape = model_of.Shape(item_count=len(data.item_ids), **{
        entry.name: getattr(options, entry.name) for entry in fields(model_of.Shape)
        if entry.name != "item_count"})
    samples = Samples(data, shape.max_history)
    for split, events in (("valid", 3), ("train", 4)):
        if len(samples.of[split]) == 0:
            raise DataError(f"nobody has {events} events: there is nothing to {split} by")
    device = torch.device(options.device)
    if device.type == "cpu":
        keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    print(f"{len(data.sequences):,} people, {shape.item_count:,} items, {data.count:,} events; "
          f"{len(samples.of['train']):,} training samples; {shape.backbone} on {device}")

    deadline = started + 60 * options.minutes if options.minutes else None
    torch.manual_seed(plan.seed)
    base, adapted = (model_of.Recommender(shape, has_adapter).to(device)
                     for has_adapter in (False, True))
    of_adapter = samples
    if plan.adapter_targets == "valid":
        of_adapter = samples.with_validation_as_targets(plan.seed)
    stages = {"base": Stage("base", options.out, plan, samples, device),
              "adapter": Stage("adapter", options.out, plan, of_adapter, device)}
    if not stages["base"].run(base, deadline):
        return _out_of_time()
    adapted.load_state_dict(base.state_dict(), strict=False)
    some, _ = samples.batch(samples.of["train"][:START_SAMPLES])
    adapted.start_near_backbone(torch.from_numpy(some).to(device))
    if not stages["adapter"].run(adapted, deadline):
        return _out_of_time()

    judge = Judge(samples, plan, device)
    print("Judging on the test split (leave-one-out, all items ranked)")
    test = {"base": judge.scores(base, "test", 1),
            "adapter, 1 round": judge.scores(adapted, "test", 1),
            f"adapter, {plan.rounds} rounds": judge.scores(adapted, "test", plan.rounds)}
    _save(options, data, adapted, stages, test)
    _print_table(test)
    if options.upload:
        _upload(client, options, data, adapted)
    print(f"Done in {time.monotonic() - started:.0f} s: {options.out}/adapter.safetensors")
    return 0


def _out_of_time() -> int:
    print("Out of time before the last epoch: the same command goes on from here")
    return EXIT_OUT_OF_TIME


def _save(options: argparse.Namespace, data: Interactions, model: model_of.Recommender,
          stages: dict[str, Stage], test: dict[str, dict[str, float]]) -> None:
    out = options.out
    safetensors_file.write(out / "adapter.safetensors", model_of.adapter_tensors(model),
                           model_of.adapter_metadata(model.shape))
    np.save(out / "items.npy", model_of.item_vectors(model))
    (out / "item_ids.json").write_text(json.dumps(data.item_ids), encoding="utf-8")
    report = {"shape": asdict(model.shape), "test": test,
              "plan": {entry.name: getattr(options, entry.name) for entry in fields(Plan)},
              "curves": {name: asdict(stage.curve) for name, stage in stages.items()}}
    (out / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")


def _print_table(test: dict[str, dict[str, float]]) -> None:
    names = list(next(iter(test.values())))
    print(f"  {'':20}" + "".join(f"{name:>10}" for name in names))
    for row, scores in test.items():
        print(f"  {row:20}" + "".join(f"{scores[name]:10.4f}" for name in names))


def _upload(client: Client, options: argparse.Namespace, data: Interactions,
            model: model_of.Recommender) -> None:
    """A collection of the items' vectors (made if it is missing), then the adapter."""
    collection, vectors = options.collection, model_of.item_vectors(model)
    if not client.exists(collection):
        client.call("PUT", path_of(collection),
                    {"vectors": {"size": vectors.shape[1], "distance": "Dot"}})
    progress = Progress(f"uploading items to {collection}", len(data.item_ids))
    for rows in chunks(range(1, len(data.item_ids) + 1), UPSERT_ROWS):
        client.upsert(collection, [data.item_ids[row - 1] for row in rows],
                      vectors[list(rows)].tolist())
        progress.add(len(rows))
    progress.finish()
    adapter = (options.out / "adapter.safetensors").read_bytes()
    answer = client.call("PUT", f"{path_of(collection)}/adapters/{options.adapter_name}", adapter)
    print(f"Uploaded {len(data.item_ids):,} items and the adapter '{options.adapter_name}' "
          f"(version {answer['version']}) to the collection '{collection}' of {client.url}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path,
                        help="train.tsv.gz, valid.tsv.gz, test.tsv.gz: user<TAB>item in time order")
    parser.add_argument("--parts", nargs="+", choices=SPLITS,
                        help="of the folder that are read (all); what people hold beside them "
                             "stays unknown to the model, for evaluations that hide a part")
    parser.add_argument("--events-from", metavar="COLLECTION",
                        help="instead of a folder: the events of a running daemon's users")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder of the results")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="of a CPU (0: one a core)")
    parser.add_argument("--minutes", type=float, default=0,
                        help="end with status 3 after the epoch when this time is over (0: no "
                             "limit); the same command goes on")
    group = parser.add_argument_group("upload")
    group.add_argument("--upload", action="store_true")
    group.add_argument("--url", default=DEFAULT_URL)
    group.add_argument("--api-key")
    group.add_argument("--collection", help="of the items' vectors; made where it is missing")
    group.add_argument("--adapter-name", default="default")
    _add_fields(parser.add_argument_group("model"), model_of.Shape(item_count=0), {"item_count"})
    _add_fields(parser.add_argument_group("training"), Plan(), set())
    options = parser.parse_args()
    if (options.folder is None) == (options.events_from is None):
        parser.error("give a folder or --events-from COLLECTION")
    if options.parts and options.events_from:
        parser.error("--parts are those of a folder")
    if options.upload and not options.collection:
        parser.error("--upload needs --collection")
    _check(parser, options)
    return options


def _add_fields(group: argparse._ArgumentGroup, defaults: object, left_out: set[str]) -> None:
    """One option a field, with the field's type and default."""
    choices = {"backbone": model_of.BACKBONES, "activation": tuple(model_of.ACTIVATIONS),
               "loss": ("bce", "softmax", "sampled"), "later_rounds": ("all", "missed", "near"),
               "adapter_targets": ("train", "valid"),
               "choose_by": MEASURES}
    for entry in fields(defaults):
        if entry.name in left_out:
            continue
        value = getattr(defaults, entry.name)
        settings = {"default": value, "help": f"default {value}"}
        if isinstance(value, bool):
            settings["action"] = argparse.BooleanOptionalAction
        else:
            settings |= {"type": type(value), "choices": choices.get(entry.name)}
        group.add_argument("--" + entry.name.replace("_", "-"), **settings)


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    positive = ("dim", "round_items", "max_history", "layers", "heads", "inner", "hidden", "rounds",
                "negatives", "batch", "epochs", "adapter_epochs", "limit", "learning_rate",
                "adapter_learning_rate", "clip", "near_items")
    for name in positive:
        if getattr(options, name) <= 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0")
    if options.later_rounds == "near" and options.near_items <= options.round_items:
        parser.error("--near-items must be above --round-items")
    if options.dim % options.heads:
        parser.error("--heads must divide --dim")
    for name, low, high in (("dropout", 0, 0.99), ("decay", 0, 1), ("patience", 0, 10**6),
                            ("threads", 0, 1024), ("tuning_learning_rate", 0, 1),
                            ("seed", 0, 2**62), ("judged", 0, 10**9), ("weight_decay", 0, 1),
                            ("adapter_share", 1e-6, 1)):
        if not low <= getattr(options, name) <= high:
            parser.error(f"--{name.replace('_', '-')} must be from {low} to {high}")


if __name__ == "__main__":
    sys.exit(main())
