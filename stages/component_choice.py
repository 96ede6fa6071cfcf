"""Choice of the connected components that stages 3 and 4 keep: given, or decided on validation cases."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
from tqdm import tqdm

from base.component_choice import ComponentChoice
from base.errors import InputError
from base.label_classes import IGNORED, LabelClasses
from data.cases import Case
from data.components import keep_largest
from data.scribbles import unmarked
from networks.weights import TrainedNetwork
from stages.split_run import RunOptions
from utils.evaluation.metrics import dice

# Numbers of components that are tried, 0 for all. Of equally good ones the first is chosen.
_TRIED = (0, 1, 2)

Labelled = Callable[[Case], tuple[np.ndarray, np.ndarray]]  # prediction and reference, uint8 labels (z, y, x)


@dataclass(frozen=True)
class SettledComponents:
    """Components that a run keeps.

    Attributes:
        kept: number of largest components, of all classes or of each by its name; 0 keeps all.
        chosen: the choice, if it was made now.
        path: of the file of the choice.
        replaced: an earlier choice in that file, for other predictions of the same networks.
    """

    kept: int | Mapping[str, int]
    chosen: ComponentChoice | None = None
    path: Path | None = None
    replaced: ComponentChoice | None = None

    def store(self) -> None:
        """Write a choice that was made now."""
        if self.chosen:
            self.chosen.write(self.path)
            if self.replaced:
                print(f"note: {self.path.name} was for {self.replaced.made_for}; the choice of this run replaces it")


def settle_components(
    options: RunOptions,
    path: Path,
    networks: Sequence[TrainedNetwork],
    cases: Sequence[Case],
    predict: Labelled,
    clip: bool = False,
) -> SettledComponents:
    """Settle the number of largest components to keep.

    A number on the command line is taken as it is. Otherwise, it is what was chosen for these networks, from the file
    at `path`, if that was done for predictions with the same clipping and views. With ``--keep-largest auto -e val``,
    it is chosen now.

    Args:
        cases: of the split.
        predict: predicts a case with all its components, for the choice.
        clip: whether predictions are clipped to references.

    Raises:
        InputError: ``auto`` on another split than val, and nothing was chosen; or no case has a reference.
    """
    if isinstance(options.keep_largest, int):
        return SettledComponents(options.keep_largest)
    classes = networks[0].description.classes
    weights = {network.experiment: network.sha256 for network in networks}
    made_for = {"clip_to": options.clip_to, "clip": clip, "views": options.views}
    known, chosen = ComponentChoice.read(path), None
    if known and not known.suits(weights, classes.names[1:]):
        known = None
    other = None
    if known and not known.holds_with(**made_for):
        known, other = None, known
    if options.keep_largest == "auto":
        judged = [case for case in cases if case.has_reference]
        if options.evaluate == "val" and not (known and known.cases == _judged_by(judged)):
            known = chosen = replace(_choose(judged, classes, weights, predict), **made_for)
        if not known:
            remedy = "choose on the validation cases first, with the same options and -e val"
            raise InputError("--keep-largest", f"auto: nothing was chosen for these networks in {path}", remedy)
    elif other:
        print(f"note: {other.not_applied}")
    if not known:
        return SettledComponents(0)
    count = len(known.cases)
    cases_of = f"{count} validation {'case' if count == 1 else 'cases'}"
    print(f"components kept, as chosen on {cases_of} ({path.name}): {_described(known)}")
    return SettledComponents(dict(known.kept), chosen, path, other)


def _choose(
    cases: Sequence[Case], classes: LabelClasses, weights: Mapping[str, str], predict: Labelled
) -> ComponentChoice:
    """Choose for each foreground class the number of components with the highest mean Dice over `cases`."""
    if not cases:
        remedy = "add references, or give a number"
        raise InputError("--keep-largest", "auto: no validation case has a reference", remedy)
    labels = dict(zip(classes.names[1:], classes.written_labels[1:]))
    dices = {name: {count: [] for count in _TRIED} for name in labels}
    for case in tqdm(cases, "choosing components", unit="case"):
        prediction, reference = predict(case)
        annotated = reference != IGNORED
        if case.scribbles:
            annotated |= unmarked(prediction, reference, case.scribbles)  # known to be background
        for count in _TRIED:
            kept = keep_largest(prediction, count)
            for name, label in labels.items():
                dices[name][count].append(dice((kept == label) & annotated, reference == label))
    means = {name: {count: fmean(some) for count, some in tried.items()} for name, tried in dices.items()}
    return ComponentChoice(
        {name: max(tried, key=tried.get) for name, tried in means.items()},
        weights,
        None,
        _judged_by(cases),
        {name: {str(count): mean for count, mean in tried.items()} for name, tried in means.items()},
    )


def _judged_by(cases: Sequence[Case]) -> dict[str, dict[str, str]]:
    return {case.name: case.with_scribbles(case.content) for case in cases}


def _described(choice: ComponentChoice) -> str:
    """Return the choice as text, with the mean Dice that it changes."""
    parts = []
    for name, count in choice.kept.items():
        before, after = (choice.dice.get(name, {}).get(str(one)) for one in (0, count))
        known = before is not None and after is not None
        gain = f" (Dice {before:.4f} to {after:.4f})" if count and known else ""
        parts.append(f"class {name}: {count or 'all'}{gain}")
    return ", ".join(parts)
