"""Trials with mutated JSON files."""

import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.campaign.checks import problems_of
from tests.campaign.damage import damage
from tests.campaign.folders import changes, snapshot, stray_files
from tests.campaign.running import run_forked
from tests.campaign.scenarios import SCENARIOS
from tests.campaign.trials import Kind, Outcome
from tests.campaign.world import World

_TRIALS = 2000
_READERS = (
    ("DATA/train/*/resampling.json", "train_short"),
    ("DATA/val/*/resampling.json", "test_val"),
    ("DATA/val/*/resampling.json", "average_val"),
    ("SAVE/soft_labels/*/train/soft_labels.json", "student_short"),
    ("SAVE/soft_labels/*/train/soft_labels.json", "average_again"),
    ("SAVE/first/val/predictions.json", "test_again"),
    ("SAVE/first/val/predictions.json", "compare"),
    ("SAVE/first/val/predictions.json", "clip"),
    ("SAVE/half/experiment.json", "resume"),
    ("DATA/val/*/resampling.json", "resample_again"),
    ("DECATHLON/dataset.json", "decathlon"),
    ("split.json", "split_file"),
    ("SAVE/one/*.keep_largest.json", "kept"),
    ("SAVE/one/*.trust.json", "trusted"),
)
_DEPTH = 200_000
_BYTES_SHARE, _TEXT_SHARE = 0.1, 0.2


@dataclass(frozen=True)
class _Raw:
    """A value that is written as raw text."""

    text: str


def _values(folder: Path) -> list:
    return [
        [], {}, None, "", -1, 0, 1, 1.5, True, "text", 10**400, [[]], [[[1], 2], 3], {"a": {"b": 1}}, [None], ["", ""],
        _Raw("1e400"), _Raw("-1e400"), _Raw("NaN"), _Raw("Infinity"), _Raw("1" * 5000),
        _Raw("[" * _DEPTH + "]" * _DEPTH), "../x", "../../x", f"{folder}/bait/x", "/", "..", ".", "a/b",
        "\0", "\udc80", "x" * 5000, "é" * 200,
        [1] * 10_000, 1e308, 1e-320, 10**12, -(10**12),
    ]  # fmt: skip


def _perform(world: World, number: int, rng: np.random.Generator, folder: Path) -> Outcome:
    pattern, name = _READERS[number % len(_READERS)]
    scenario = SCENARIOS[name]
    work = folder / "work"
    world.prepare(scenario, work)
    (folder / "bait").mkdir()
    (folder / "bait" / "bait.txt").write_text("bait")
    files = sorted(work.glob(pattern))
    path = files[rng.integers(len(files))]
    status = path.stat()
    content, description = mutate(path.read_bytes(), rng, folder)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    outside = (work / scenario.output, folder / "tmp")
    before = snapshot(folder, outside)
    run = run_forked(scenario.command(work), folder / "tmp")
    problems = problems_of(run)
    problems += [f"outside the output: {word}" for word in changes(before, snapshot(folder, outside))]
    return Outcome(f"{path.relative_to(work)}: {description}; read by {scenario.name}", problems + stray_files(work))


def mutate(content: bytes, rng: np.random.Generator, folder: Path) -> tuple[bytes, str]:
    """Mutate the content of a JSON file; return it with a description."""
    chance = rng.random()
    if chance < _BYTES_SHARE:
        return damage(content, rng)
    if chance < _TEXT_SHARE:
        return _damage_text(content, rng)
    tree, descriptions = json.loads(content), []
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        tree, word = _mutate_tree(tree, rng, folder)
        descriptions.append(word)
    return _written(tree), "; ".join(descriptions)


def _damage_text(content: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    place = int(rng.integers(0, len(content)))
    pieces = {
        "bytes that are no UTF-8": b"\xff\xfe\x80", "a NUL byte": b"\0", "a byte order mark": b"\xef\xbb\xbf",
        "a bracket": b"[", "a brace": b"}", "a quote": b'"',
    }  # fmt: skip
    name = sorted(pieces)[rng.integers(len(pieces))]
    return content[:place] + pieces[name] + content[place:], f"{name} at {place}"


def _mutate_tree(tree, rng: np.random.Generator, folder: Path) -> tuple[object, str]:
    """Change, remove, rename or add one node of a tree of plain values; return it with a description."""
    tree = copy.deepcopy(tree)
    places = list(_places(tree))
    values = _values(folder)
    value = values[rng.integers(len(values))]
    if not places or rng.random() < 0.03:
        return value, f"all of it replaced by {_short(value)}"
    node, key, path = places[rng.integers(len(places))]
    way = rng.integers(5)
    if way == 0:
        del node[key]
        return tree, f"{path} removed"
    if way == 1 and isinstance(node, dict):
        name = ["../x", "../../x", "a/b", f"{folder}/bait/x", "", "\0", "case_99999", "0", "__class__"][rng.integers(9)]
        node[name] = node.pop(key)
        return tree, f"{path} renamed to {name[:40]!r}"
    if way == 2 and isinstance(node, list):
        node.insert(key, value)
        return tree, f"{_short(value)} inserted at {path}"
    node[key] = value
    return tree, f"{path} replaced by {_short(value)}"


def _places(node, path: str = ""):
    """Yield every position in a tree: parent, key, and path as text."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        yield node, key, f"{path}/{key}"
        yield from _places(value, f"{path}/{key}")


def _written(tree) -> bytes:
    raw: list[str] = []

    def plain(value):
        if isinstance(value, _Raw):
            raw.append(value.text)
            return f"RAW{len(raw) - 1}WAR"
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        if isinstance(value, list):
            return [plain(one) for one in value]
        return value

    text = _dumps(plain(tree))
    for number, one in enumerate(raw):
        text = text.replace(f'"RAW{number}WAR"', one)
    return text.encode("utf-8", "surrogatepass")


def _dumps(tree) -> str:
    """Return JSON with numbers of any length."""
    text, big = json.dumps(_without_big(tree), indent=1), str(10**400)
    return text.replace('"BIGNUMBER"', big)


def _without_big(value):
    if isinstance(value, int) and value == 10**400:
        return "BIGNUMBER"
    if isinstance(value, dict):
        return {key: _without_big(one) for key, one in value.items()}
    return [_without_big(one) for one in value] if isinstance(value, list) else value


def _short(value) -> str:
    text = value.text if isinstance(value, _Raw) else repr(value)
    return text if len(text) < 60 else text[:40] + "..."


JSON = Kind("json", _TRIALS, (), _perform)
