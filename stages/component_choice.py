"""Choice of the connected components that stages 3 and 4 keep: given, or decided on validation cases."""

from collections.abc import Callable, Mapping, Sequence
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


def settle_components(
    options: RunOptions,
    path: Path,
    networks: Sequence[TrainedNetwork],
    cases: Sequence[Case],
    predict: Labelled,
) -> int | dict[str, int]:
    """Return the number of largest components to keep: of all classes, or of each by its name; 0 keeps all.

    A number on the command line is taken as it is. Otherwise, it is what was chosen for these networks, from the file
    at `path`. With ``--keep-largest auto -e val``, it is chosen now, and stored there.

    Args:
        cases: of the split.
        predict: predicts a case with all its components, for the choice.

    Raises:
        InputError: ``auto`` on another split than val, and nothing was chosen; or no case has a reference.
    """
    if isinstance(options.keep_largest, int):
        return options.keep_largest
    classes = networks[0].description.classes
    weights = {network.experiment: network.sha256 for network in networks}
    known = ComponentChoice.read(path)
    if known and not known.suits(weights, options.clip_to, classes.names[1:]):
        known = None
    if options.keep_largest == "auto":
        judged = [case for case in cases if case.has_reference]
        if options.evaluate == "val" and not (known and known.cases == _judged_by(judged)):
            known = _choose(judged, classes, weights, options.clip_to, predict)
            known.write(path)
        if not known:
            remedy = "choose on the validation cases first, with the same options and -e val"
            raise InputError("--keep-largest", f"auto: nothing was chosen for these networks in {path}", remedy)
    if not known:
        return 0
    print(f"components kept, as chosen on {len(known.cases)} validation cases ({path.name}): {_described(known)}")
    return dict(known.kept)


def _choose(
    cases: Sequence[Case], classes: LabelClasses, weights: Mapping[str, str], clip_to: str | None, predict: Labelled
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
        clip_to,
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
