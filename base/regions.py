"""Regions that are evaluated in a prediction: its foreground classes, and unions of them."""

from dataclasses import dataclass

from base.errors import InputError
from base.label_classes import LabelClasses


@dataclass(frozen=True)
class Region:
    """A foreground class or a union of several, evaluated as one structure.

    `labels` are its labels in predictions, ascending; `channels` are the indices of its classes, in the same order.
    """

    name: str
    labels: tuple[int, ...]
    channels: tuple[int, ...]


def parse_regions(text: str) -> tuple[tuple[int, ...], ...]:
    """Parse a list of regions such as ``1+2,2`` and return the labels of each, ascending.

    Raises:
        InputError: `text` is not such a list.
    """
    try:
        return tuple(tuple(sorted({int(label) for label in region.split("+")})) for region in text.split(","))
    except ValueError:
        raise InputError("--report-regions", f"{text!r} is not a list of unions", "write it like 1+2,2") from None


def regions_of(classes: LabelClasses, unions: tuple[tuple[int, ...], ...] = ()) -> tuple[Region, ...]:
    """Return the foreground classes, followed by the `unions` (of labels in predictions) that are not classes.

    Each region is returned once.

    Raises:
        InputError: predictions of `classes` do not contain a label of some union.
    """
    labelled = list(zip(classes.shown, classes.written_labels))
    channels = {label: index for index, (_, label) in enumerate(labelled) if index > 0}
    regions = {(label,): Region(name, (label,), (channels[label],)) for name, label in labelled[1:]}
    for labels in unions:
        unknown = [str(label) for label in labels if label not in channels]
        if unknown:
            raise InputError(
                "--report-regions",
                f"the predictions have no foreground label {', '.join(unknown)}",
                f"unite these: {', '.join(str(label) for label in channels)}",
            )
        name = "+".join(str(label) for label in labels)
        regions.setdefault(labels, Region(name, labels, tuple(channels[label] for label in labels)))
    return tuple(regions.values())
