"""Leave-one-out contributions of the members of an ensemble, and their disagreement."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from base.argmax import argmax
from base.atomic_file import not_written
from base.label_classes import IGNORED

_VOXELS_PER_BLOCK = 1 << 18  # in whole slices, at least one
_STORE, _STORED = ".members-", ".probabilities"


def leave_one_out(
    members: Mapping[str, np.ndarray],
    weights: Mapping[str, float],
    mean: np.ndarray,
    reference: np.ndarray,
    class_names: Sequence[str],
) -> list[dict]:
    """Return a row for each member and foreground class, for one case.

    Args:
        members: probabilities of each, (classes, z, y, x); read a few slices at a time, so that they may lie on disk.
        weights: of each member in `mean`.
        mean: the ensemble's probabilities, float32 (classes, z, y, x).
        reference: class indices (z, y, x); voxels that are `IGNORED` do not count.

    Returns:
        rows with `member`, `class`, `dice` of the member alone, `ensemble_dice`, `dice_without` it (None for the only
        member), and for each member `disagreement NAME`: 1 - Dice between the two (0 with itself).
    """
    counts = _overlaps(members, weights, mean, reference, len(class_names))
    number = len(members)
    true, ensemble, own, without = 0, 1, range(2, 2 + number), range(2 + number, 2 + 2 * number)
    rows = []
    for place, name in enumerate(members):
        for index, class_name in enumerate(class_names[1:], start=1):

            def dice(one: int, other: int, both=counts[index]) -> float:
                total = both[one, one] + both[other, other]
                return float(2 * both[one, other] / total) if total else 1.0

            rows.append(
                {
                    "member": name,
                    "class": class_name,
                    "dice": dice(own[place], true),
                    "ensemble_dice": dice(ensemble, true),
                    "dice_without": dice(without[place], true) if number > 1 else None,
                    **{f"disagreement {other}": 1 - dice(own[place], own[i]) for i, other in enumerate(members)},
                }
            )
    return rows


def _overlaps(members, weights, mean: np.ndarray, reference: np.ndarray, number_of_classes: int) -> np.ndarray:
    """Count the voxels of each class that any two segmentations share, int64 (classes, n, n).

    The segmentations: reference, ensemble, each member, the ensemble without each member.
    """
    total = sum(weights.values())
    counts = np.zeros((number_of_classes, *[2 + 2 * len(members)] * 2), np.int64)
    step = max(1, _VOXELS_PER_BLOCK // reference[0].size)
    for part in (slice(first, first + step) for first in range(0, len(reference), step)):
        shares = [np.array(values[:, part]) for values in members.values()]
        own = np.stack([argmax(share) for share in shares])
        # Where the argmax of every member is background, so is that of any weighted mean of them.
        active = (own.any(axis=0) | (reference[part] > 0)) & (reference[part] != IGNORED)
        if not active.any():
            continue
        there = mean[:, part][:, active]
        without = [argmax(total * there - weight * share[:, active]) for weight, share in zip(weights.values(), shares)]
        every = np.stack([reference[part][active], argmax(there), *own[:, active], *without])
        for index in range(1, number_of_classes):
            of_class = (every == index).astype(np.float32)  # exact: fewer than 2^24 voxels
            counts[index] += (of_class @ of_class.T).astype(np.int64)
    return counts


class MemberStore(Mapping):
    """Store of the members' probabilities of one case, in files that are removed on exit.

    Args:
        folder: parent of the hidden folder that holds the files.
    """

    def __init__(self, folder: Path):
        self._folder = folder / f"{_STORE}{secrets.token_hex(4)}"
        self._files: dict[str, tuple[Path, np.dtype, tuple[int, ...]]] = {}

    def __enter__(self) -> "MemberStore":
        self._folder.mkdir(parents=True)
        return self

    def __exit__(self, *exception) -> None:
        _remove_store(self._folder)

    def add(self, name: str, probabilities: np.ndarray) -> None:
        """Keep the probabilities of a member, (classes, z, y, x).

        Raises:
            InputError: they cannot be written, for example because the disk is full.
        """
        path = self._folder / f"{len(self._files)}{_STORED}"
        try:
            path.write_bytes(np.ascontiguousarray(probabilities).data)
        except OSError as error:
            raise not_written(path, error) from error
        self._files[name] = path, probabilities.dtype, probabilities.shape

    def __getitem__(self, name: str) -> np.ndarray:
        path, dtype, shape = self._files[name]
        return np.memmap(path, dtype, "r", shape=shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def remove_abandoned_stores(folder: Path) -> None:
    """Remove the stores that killed processes left in `folder`; no process may be using the folder."""
    for path in folder.glob(f"{_STORE}*"):
        if path.is_dir() and not path.is_symlink():
            _remove_store(path)


def _remove_store(folder: Path) -> None:
    for path in folder.glob(f"*{_STORED}"):
        path.unlink()
    folder.rmdir()
