"""Soft labels on disk: mean and standard deviation of an ensemble's probabilities, one byte per voxel and class.

    SAVE/soft_labels/0_1_2/train/soft_labels.json               their members and options
                                 case_00000/mean_1.nii.gz       probability of class 1 in units of 1/255
                                            deviation_1.nii.gz  its standard deviation in units of 1/510

Every file is a plain 3D image on the case's resampled grid, so that viewers lay it over `imaging_rs.nii.gz`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from base.atomic_file import remove_abandoned
from base.chunks import chunks
from base.errors import InputError
from base.json_files import read_json, write_json
from base.label_classes import LabelClasses, check_classes
from base.own_folders import refuse_foreign
from data.case_record import check_fingerprints
from data.cases import Case
from data.images.image_files import Grid, checksum, from_array, read_grid, read_image, write_image
from data.images.noted_images import note_of

MEAN_UNITS = 255  # of a probability, 0 to 1
DEVIATION_UNITS = 510  # of a standard deviation, which is 0.5 at most
RECORD = "soft_labels.json"

_ADDED = ("views",)  # keys of the record that earlier versions did not write, where None stands for their default
_NOTE = "soft label "  # earlier versions wrote none
_RECORD_SHAPE = {
    "weights": {str: str},
    "classes": check_classes,
    "temperature": float,
    "cases": check_fingerprints,
    "clips?": {str: str},
}


def quantise(mean: np.ndarray) -> np.ndarray:
    """Return probabilities (classes, ...) in whole units of 1/255 whose sum is exactly 255, uint8.

    The largest remainders are rounded up (Hamilton's method), so that no value changes by a whole unit.
    """
    quantised = np.empty((len(mean), mean[0].size), np.uint8)
    flat = mean.reshape(quantised.shape)
    for chunk in chunks(flat.shape[1]):
        part, target = (array[:, chunk] for array in (flat, quantised))
        scaled = part * (MEAN_UNITS / part.sum(axis=0))
        units = np.floor(scaled)
        remainders = scaled - units
        missing = MEAN_UNITS - units.sum(axis=0)
        for own, (unit, remainder) in enumerate(zip(units, remainders)):
            # A class's rank is the number of those with a larger remainder, or with the same and before it.
            rank = (remainders > remainder).sum(axis=0) + (remainders[:own] == remainder).sum(axis=0)
            target[own] = unit + (rank < missing)
    return quantised.reshape(mean.shape)


@dataclass(frozen=True)
class SoftLabels:
    """Soft labels of one split in `folder`, for `classes`; `remedy` names the command that makes them, for errors."""

    folder: Path
    classes: LabelClasses
    remedy: str = "make them with ensemble.py"

    def read_record(self) -> dict:
        """Return the record of the soft labels, their members and options; {} without soft labels."""
        try:
            return read_json(self.folder / RECORD, _RECORD_SHAPE, f"{self.remedy} --overwrite")
        except FileNotFoundError:
            return {}

    def check(self, record: dict, overwrite: bool) -> None:
        """Check that soft labels may be written to the folder: those of another record are never mixed with these.

        Raises:
            InputError: there are some of another record, and `overwrite` is not given; or the folder holds something
                else.
        """
        refuse_foreign(self.folder, RECORD, "--soft-labels")
        before = self._earlier_record(overwrite)
        for key in {*before, *_ADDED} - {"cases", "clips"} if before and not overwrite else ():
            if before.get(key) != record.get(key):
                raise InputError(
                    self.folder,
                    f"holds soft labels with {key} {before.get(key)}, not {record.get(key)}",
                    "name another place with --soft-labels, or --overwrite",
                )

    def begin(
        self, record: dict, fingerprints: dict[str, dict], overwrite: bool, clips: Mapping[str, str] = {}
    ) -> None:
        """Write the record of the soft labels, after `check`, and remove those that no longer hold.

        Soft labels of other cases, such as of another data set, stay unless everything is overwritten.

        Args:
            fingerprints: of each case, by name; the soft labels of a case that changed since are removed.
            clips: checksum of what each case is clipped to, by name, if it is; the same holds for these.

        Raises:
            InputError: as `check`.
        """
        self.check(record, overwrite)
        before = self._earlier_record(overwrite)
        known, known_clips = before.get("cases", {}), before.get("clips", {})
        classes = LabelClasses.from_json(before["classes"]) if before else self.classes
        # No file goes but those that the earlier record names, and those that will be written anew.
        for name in {*known, *fingerprints}:
            changed = known.get(name) != fingerprints.get(name) or known_clips.get(name) != clips.get(name)
            if overwrite or (name in fingerprints and changed):
                for path in {*_paths(self.folder / name, classes), *_paths(self.folder / name, self.classes)}:
                    path.unlink(missing_ok=True)
        if not overwrite:
            fingerprints = {**known, **fingerprints}
            clips = {**{name: clip for name, clip in known_clips.items() if name in known}, **clips}
        write_json(self.folder / RECORD, {**record, "cases": fingerprints, **({"clips": clips} if clips else {})})

    def _earlier_record(self, overwrite: bool) -> dict:
        """Return the earlier record; {} for a damaged one that is to be overwritten."""
        try:
            return self.read_record()
        except InputError:
            if overwrite:
                return {}
            raise

    def paths(self, case: Case) -> list[Path]:
        """Return the paths of the files of a case."""
        return _paths(self.folder / case.name, self.classes)

    def are_there(self, case: Case) -> bool:
        """Tell whether every file of the case exists."""
        return all(path.is_file() for path in self.paths(case))

    def is_complete(self, case: Case) -> bool:
        """Tell whether every file of the case exists, and lies on its resampled grid."""
        try:
            return self.are_there(case) and not any(read_grid(p).differs_from(case.grid) for p in self.paths(case))
        except InputError:  # damaged
            return False

    def write(self, case: Case, mean: np.ndarray, deviation: np.ndarray) -> None:
        """Write mean and deviation, float32 (classes, z, y, x), on the resampled grid of `case`."""
        remove_abandoned(self.folder / case.name)
        deviations = (np.rint(channel * DEVIATION_UNITS).astype(np.uint8) for channel in deviation)
        for statistic, channels in (("deviation", deviations), ("mean", quantise(mean))):
            for name, units in zip(self.classes.names, channels):
                path = _path(self.folder / case.name, statistic, name)
                write_image(from_array(units, case.grid), path, _note(case, statistic, name, units))

    def read_mean(self, case: Case) -> np.ndarray:
        """Return the mean probabilities of a case in units of 1/255, uint8 (classes, z, y, x).

        Raises:
            InputError: a file is missing, lies on another grid, or the values do not sum to 1.
        """
        mean = np.stack([self._read(case, "mean", index) for index in range(len(self.classes))])
        if (mean.sum(axis=0, dtype=np.int32) != MEAN_UNITS).any():
            raise InputError(self.folder / case.name, "the soft labels do not sum to 1", self.remedy)
        return mean

    def read_deviation(self, case: Case) -> np.ndarray:
        """Return the standard deviation of a case in units of 1/510, uint8 (z, y, x), largest over the classes.

        Raises:
            InputError: a file is missing, or lies on another grid.
        """
        return np.maximum.reduce([self._read(case, "deviation", index) for index in range(len(self.classes))])

    def _read(self, case: Case, statistic: str, class_index: int) -> np.ndarray:
        path = _path(self.folder / case.name, statistic, self.classes.names[class_index])
        if not path.is_file():
            raise InputError(path, "the soft label is missing", self.remedy)
        try:
            image = read_image(path)
        except InputError as error:
            raise error.with_remedy(f"remove the file, and {self.remedy}") from None
        difference = Grid.of(image).differs_from(case.grid)
        if difference:
            raise InputError(path, f"is not on the case's resampled grid ({difference})", self.remedy)
        if image.GetPixelID() != sitk.sitkUInt8:
            raise InputError(path, f"holds values of type {image.GetPixelIDTypeAsString()}, no bytes", self.remedy)
        units, note = sitk.GetArrayFromImage(image), note_of(path)
        if note.startswith(_NOTE) and note != _note(case, statistic, self.classes.names[class_index], units):
            raise InputError(path, "is another file than was written here", f"remove the file, and {self.remedy}")
        return units


def _note(case: Case, statistic: str, class_name: str, units: np.ndarray) -> str:
    """Return the note in a file's header, by which its place and its content are checked."""
    words = f"{sorted(case.with_scribbles(case.fingerprint).items())} {statistic} {class_name} {checksum(units)}"
    return f"{_NOTE}{hashlib.sha256(words.encode()).hexdigest()[:32]}"


def _path(folder: Path, statistic: str, class_name: str) -> Path:
    return folder / f"{statistic}_{class_name}.nii.gz"


def _paths(folder: Path, classes: LabelClasses) -> list[Path]:
    return [_path(folder, statistic, name) for statistic in ("deviation", "mean") for name in classes.names]


def find_soft_labels(
    folder: Path, classes: LabelClasses, temperature: float | None, cases: Sequence[Case], remedy: str
) -> tuple[SoftLabels, dict]:
    """Find the soft labels of `cases` in `folder`.

    Returns:
        the soft labels, and their record.

    Args:
        classes: compared by name; the record states which labels each unites.
        temperature: at which they must have been made; None for any.
        remedy: command that makes them, for the error's text.

    Raises:
        InputError: there are none, they are of other classes or another temperature, or were made of other scans.
    """
    wanted = f"{remedy} --temperature {temperature:g}" if temperature else remedy
    record = SoftLabels(folder, classes, wanted).read_record()
    if not record:
        raise InputError(folder, "there are no soft labels", wanted)
    made_of = LabelClasses.from_json(record["classes"])
    if made_of.names != classes.names:
        raise InputError(folder, f"the soft labels are of classes {made_of}", remedy)
    if temperature not in (None, record["temperature"]):
        raise InputError(
            "--temperature",
            f"{temperature:g} contradicts the soft labels in {folder}, made at {record['temperature']:g}",
            f"{wanted} --overwrite",
        )
    if record["temperature"] != 1:  # what is missing is made as the others were
        remedy += f" --temperature {record['temperature']:g}"
    soft_labels = SoftLabels(folder, made_of, remedy)
    known = record.pop("cases")
    for case in cases:
        if case.name not in known or not soft_labels.are_there(case):
            raise InputError(folder / case.name, "the soft labels are missing", remedy)
        if known[case.name] != case.with_scribbles(case.fingerprint):
            problem = f"the soft labels were made of another scan, voxel grid or reference than {case.folder} holds now"
            raise InputError(folder / case.name, problem, remedy)
    return soft_labels, record


def soft_label_folder(save_folder: Path, classes: LabelClasses) -> Path:
    """Return the default folder of the soft labels of all splits."""
    return save_folder / "soft_labels" / classes.folder_name
