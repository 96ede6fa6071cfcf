"""What each member brings to an ensemble: Dice of the ensemble without it, and how far members disagree."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from utils.metrics import dice


def contributions(
    members: Mapping[str, np.ndarray],
    weights: Mapping[str, float],
    mean: np.ndarray,
    reference: np.ndarray,
    class_names: Sequence[str],
) -> list[dict]:
    """A row a member and foreground class, for one case.

    Args:
        members: probabilities of each, (classes, z, y, x); read class by class, so that they may lie on disk.
        weights: of each member in `mean`.
        mean: the ensemble's probabilities, float32 (classes, z, y, x).
        reference: class indices (z, y, x).

    Returns:
        rows with `member`, `class`, `dice` of the member alone, `ensemble_dice`, `dice_without` it (None for the only
        member), and for each member `disagreement NAME`: 1 - Dice between the two (0 with itself).
    """
    total = sum(weights.values())
    decisions = {name: np.asarray(values).argmax(axis=0).astype(np.uint8) for name, values in members.items()}
    ensemble = mean.argmax(axis=0)
    rows = []
    for name, values in members.items():
        without = None
        if len(members) > 1:
            rest = total - weights[name]
            without = np.stack([(total * m - weights[name] * v) / rest for m, v in zip(mean, values)]).argmax(axis=0)
        for index, class_name in enumerate(class_names[1:], start=1):
            true, own = reference == index, decisions[name] == index
            rows.append(
                {
                    "member": name,
                    "class": class_name,
                    "dice": dice(own, true),
                    "ensemble_dice": dice(ensemble == index, true),
                    "dice_without": None if without is None else dice(without == index, true),
                    **{f"disagreement {other}": 1 - dice(own, decisions[other] == index) for other in members},
                }
            )
    return rows


class MemberStore(Mapping):
    """Probabilities of an ensemble's members for one case, on disk while it is entered, however many there are."""

    def __enter__(self) -> "MemberStore":
        self._folder = TemporaryDirectory(prefix="members-")
        self._files: dict[str, Path] = {}
        return self

    def __exit__(self, *exception) -> None:
        self._folder.cleanup()

    def add(self, name: str, probabilities: np.ndarray) -> None:
        """Keep the probabilities of a member, (classes, z, y, x)."""
        self._files[name] = Path(self._folder.name) / f"{len(self._files)}.npy"
        np.save(self._files[name], probabilities)

    def __getitem__(self, name: str) -> np.ndarray:
        return np.load(self._files[name], mmap_mode="r")

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
