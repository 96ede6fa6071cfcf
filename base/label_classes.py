"""Classes of a segmentation as given by the user: labels of the reference, or unions of labels."""

import hashlib
from dataclasses import dataclass, field, replace

from base.errors import InputError
from base.json_files import check_shape
from base.names import check_name

# Label and class index of voxels that are excluded from losses and measures: outside the image, without a reference, or
# not annotated in it.
IGNORED = 255
MEAN = "mean"  # in tables, in place of a class: of all foreground classes
MARKED_IN = ("volumes", "slices")  # where every structure has a scribble, if somebody says so

_LONGEST_NAME = 150  # of a folder named by its classes; file systems allow 255, with what is added
_KEYS = {"names", "labels", "titles"}
_EVERY_FOREGROUND_LABEL = tuple(range(1, 255))


@dataclass(frozen=True)
class LabelClasses:
    """The classes of a segmentation. Class 0 is the background, which also includes all labels that belong to no class.

    Attributes:
        names: of the classes as given, such as ``1+2``.
        labels: labels of the reference that each class unites.
        titles: what each class is called, such as ``kidney``; empty without titles. They distinguish no classes.
    """

    names: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    titles: tuple[str, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def folder_name(self) -> str:
        """The classes as the name of a folder: ``0_1_2``; very many by their number and a hash."""
        name = "_".join(self.names)
        if len(name) <= _LONGEST_NAME:
            return name
        return f"{len(self.names)}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"

    @property
    def shown(self) -> tuple[str, ...]:
        """The titles of the classes, else their names: for tables, pictures and names of files."""
        return self.titles or self.names

    @property
    def written_labels(self) -> tuple[int, ...]:
        """The label of each class in a prediction: the label it was named by, or the first label of a union."""
        return tuple(int(name.split("+")[0]) for name in self.names)

    def table(self) -> bytes:
        """Return the class index of each label 0 to 255, used as ``numpy.frombuffer(table, "uint8")[labels]``.

        `IGNORED` stays `IGNORED`.
        """
        table = bytearray(256)
        table[IGNORED] = IGNORED
        for index, labels in enumerate(self.labels):
            for label in labels:
                table[label] = index
        return bytes(table)

    def to_json(self) -> dict:
        titles = {"titles": list(self.titles)} if self.titles else {}
        return {"names": list(self.names), "labels": [list(labels) for labels in self.labels], **titles}

    @classmethod
    def from_json(cls, value: dict) -> "LabelClasses":
        return cls(
            tuple(value["names"]), tuple(tuple(labels) for labels in value["labels"]), tuple(value.get("titles", ()))
        )

    def __str__(self) -> str:
        return ",".join(self.names)


def parse_classes(text: str) -> LabelClasses:
    """Parse a list of classes such as ``0,1,2`` or ``0,1+2``.

    Raises:
        InputError: `text` is not such a list, repeats a label, has fewer than two classes, or does not begin with the
            background (0).
    """
    try:
        labels = tuple(tuple(int(label) for label in name.split("+")) for name in text.split(","))
    except ValueError:
        raise InputError("--classes", f"{text!r} is not a list of labels", "write it like 0,1,2 or 0,1+2") from None
    flat = [label for group in labels for label in group]
    if len(set(flat)) != len(flat):
        raise InputError("--classes", f"{text!r} names a label twice", "name each label once")
    if labels[0] != (0,) or len(labels) < 2:
        raise InputError("--classes", f"{text!r} does not begin with 0 (background) and one more class", "write 0,1,2")
    if min(flat) < 0 or max(flat) > 254:
        raise InputError("--classes", f"{text!r} has a label outside 0 to 254", "relabel the references")
    names = tuple("+".join(str(label) for label in group) for group in labels)
    return LabelClasses(names, labels)


def parse_titles(text: str) -> tuple[tuple[str, str], ...]:
    """Parse titles of classes such as ``1=kidney,2=tumour``: (name, title) of each.

    Raises:
        InputError: `text` is no such list, or a title cannot be part of a file's name.
    """
    pairs = [tuple(part.strip() for part in pair.partition("=")[::2]) for pair in text.split(",")]
    try:
        for name, title in pairs:
            if not name:
                raise ValueError("a title belongs to no class")
            _check_title(title)
            if title == MEAN:
                raise ValueError(f"{MEAN} stands for the mean of several classes")
    except ValueError as error:
        raise InputError("class names", f"{text!r}: {error}", "write them like 1=kidney,2=tumour") from None
    return tuple(pairs)


def with_titles(classes: LabelClasses, titles: tuple[tuple[str, str], ...], option: str) -> LabelClasses:
    """Return the classes with titles, by name; without one, a class keeps its name, and 0 is called background.

    Raises:
        InputError: a title is given to a class that there is not, or two classes are called the same.
    """
    unknown = [name for name, _ in titles if name not in classes.names]
    if unknown:
        raise InputError(option, f"there is no class {unknown[0]}", f"the classes are {classes}")
    called = {name: name for name in classes.names} | {classes.names[0]: "background"} | dict(titles)
    if len(set(called.values())) < len(called) or len(dict(titles)) < len(titles):
        raise InputError(option, "a class or a title is named twice", "give each class one title of its own")
    return replace(classes, titles=tuple(called.values()))


def _check_title(text: str) -> None:
    """Raise ValueError unless a title can be part of the name of a file and of a list of classes."""
    check_name(text)
    if any(character in text for character in ",=+"):
        raise ValueError(f"{text!r} has a comma, an equals sign or a plus sign")


def check_classes(value) -> None:
    """Raise ValueError unless `value` is valid output of `LabelClasses.to_json`."""
    check_shape(value, {"names": [str], "labels": [[int]], "titles?": [str]})
    titles = value.get("titles", [])
    for title in titles:
        _check_title(title)
    if len(set(titles)) < len(titles) or len(titles) not in (0, len(value["names"])):
        raise ValueError("titles of the classes: expected one of each, all different")
    try:
        named = parse_classes(",".join(value["names"]))
    except InputError as error:
        raise ValueError(str(error)) from None
    labels = [label for group in value["labels"] for label in group]
    if list(named.names) != list(value["names"]) or len(value["labels"]) != len(named) or value.keys() - _KEYS:
        raise ValueError("names and labels of the classes do not match")
    if not all(0 <= label <= 255 for label in labels):
        raise ValueError("a label of the classes is outside 0 to 255")


def notice(classes: LabelClasses, labels_in_data: set[int]) -> str:
    """Return a note if ``0,3`` does not mean what a user of KiTS19 expects because 3 is a label; otherwise ""."""
    if classes.names == ("0", "3") and classes.labels[1] == (3,) and 3 in labels_in_data:
        return (
            "note: label 3 is a label of these data; 0,3 means background against 3, not kidney and tumour together as "
            "in KiTS19 (write 0,1+2)"
        )
    return ""


def resolve(classes: LabelClasses, labels_in_data: set[int], data_folder) -> LabelClasses:
    """Resolve the meaning of `classes` for data with the labels `labels_in_data`.

    ``0,3`` means background against every label above 0 (KiTS19's kidney and tumour) unless 3 is itself a label.

    Raises:
        InputError: no case contains a label of some class.
    """
    if classes.names == ("0", "3") and 3 not in labels_in_data:
        return replace(classes, labels=((0,), _EVERY_FOREGROUND_LABEL))
    for name, labels in zip(classes.names, classes.labels):
        if not labels_in_data.intersection(labels):
            known = ", ".join(str(label) for label in sorted(labels_in_data)) or "none"
            raise InputError(
                "--classes",
                f"no case of {data_folder} holds class {name} (labels found: {known})",
                "choose other classes",
            )
    return classes
