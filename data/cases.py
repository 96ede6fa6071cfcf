"""Cases that stage 1 has resampled, and the volumes in their folders."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from base.channels import UNNAMED
from base.errors import InputError
from base.label_classes import LabelClasses
from base.names import is_of_a_system, is_text
from data.case_folder import (
    IMAGE,
    RECORD,
    REFERENCE,
    RESAMPLED_REFERENCE,
    SPLITS,
    image_kind,
    image_name,
    is_listed,
    resampled_image_name,
)
from data.case_record import read_case_record
from data.images.image_files import (
    Grid,
    from_array,
    lps_grid,
    read_grid,
    read_image,
    read_known_image,
    to_array,
)
from data.labels import whole_labels

_AGAIN = "run resample_data.py -d on the data directory"


@dataclass(frozen=True)
class Case:
    """One scan in its case folder. Arrays are (z, y, x) in LPS orientation."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def record(self) -> dict:
        """The record of stage 1 (`resampling.json`).

        Raises:
            InputError: the record is missing or damaged.
        """
        try:
            return read_case_record(self.folder, f"remove it and {_AGAIN}")
        except FileNotFoundError:
            raise InputError(self.folder, "the case is not resampled", _AGAIN) from None

    @property
    def patient(self) -> str:
        """The patient, or the name of the case if an earlier version of stage 1 did not record the patient."""
        return self.record.get("patient") or self.name

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the scan's channels, the one first on whose grid all lie; one without a name for a single image."""
        return tuple(self.record.get("channels") or (UNNAMED,))

    @property
    def image_path(self) -> Path:
        """The original image of the first channel, on whose grid reference and predictions lie."""
        return self.folder / image_name(self.channels[0])

    @property
    def has_reference(self) -> bool:
        return self.record["labels"] is not None

    @property
    def labels(self) -> set[int]:
        """The labels in the reference; empty without a reference."""
        return {int(label) for label in self.record["labels"] or ()}

    @property
    def ignore_label(self) -> int | None:
        """The label of voxels that are not annotated in the original reference; None if all are."""
        return self.record["options"].get("ignore_label")

    @property
    def scribbles(self) -> str | None:
        """Where scribbles mark every structure, one of `base.label_classes.MARKED_IN`; None if nobody says so."""
        return self.record["options"].get("scribbles")

    @property
    def voxel_size_mm(self) -> list[float | None] | None:
        """The `--voxel-size` (x, y, z) of stage 1, None along axes that were kept, or None if the grid was kept."""
        return self.record["options"]["voxel_size_mm"]

    @property
    def fingerprint(self) -> dict[str, str]:
        """The SHA-256 of the resampled images and, if there is one, of the resampled reference.

        Of several channels, `image` is the digest of all of them.
        """
        return self.record["sha256"]

    @property
    def content(self) -> dict[str, str]:
        """All data on which metrics depend: `fingerprint`, that of the originals if recorded, and both grids."""
        originals = self.record.get("original_sha256", {})
        grids = json.dumps([self.record["original"], self.record["resampled"]], sort_keys=True)
        return {
            **self.fingerprint,
            **{f"original_{kind}": value for kind, value in originals.items()},
            "grids": hashlib.sha256(grids.encode()).hexdigest(),
        }

    def with_scribbles(self, checksums: Mapping[str, str]) -> dict[str, str]:
        """Return `fingerprint` or `content` with what is said of scribbles, for results that depend on it."""
        return {**checksums, **({"scribbles": self.scribbles} if self.scribbles else {})}

    @cached_property
    def grid(self) -> Grid:
        """The resampled grid."""
        return Grid.from_json(self.record["resampled"])

    @property
    def original_grid(self) -> Grid:
        """The original grid of the scan, in LPS orientation."""
        return Grid.from_json(self.record["original"])

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        return self.grid.spacing_mm

    def stored_image(self, channel: str) -> np.ndarray:
        """Return the resampled intensities of a channel in the type that stage 1 wrote."""
        return self._resampled(resampled_image_name(channel), image_kind(channel))

    def resampled_images(self, channels: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the resampled intensities of channels by name, float32."""
        return {channel: self.stored_image(channel).astype(np.float32) for channel in channels}

    def resampled_reference(self) -> np.ndarray:
        """Return the resampled labels, uint8, `IGNORED` where they are not annotated."""
        return self._resampled(RESAMPLED_REFERENCE, "reference").astype(np.uint8)

    def resampled_classes(self, classes: LabelClasses) -> np.ndarray | None:
        """Return the resampled reference as class indices, uint8, with `IGNORED`; None without a reference."""
        return class_indices(self.resampled_reference(), classes.table()) if self.has_reference else None

    def _resampled(self, name: str, kind: str) -> np.ndarray:
        path, remedy = self.folder / name, f"remove {RECORD} and {_AGAIN}"
        image = read_known_image(path, self.fingerprint[kind], "is not as stage 1 wrote it", remedy)
        difference = Grid.of(image).differs_from(self.grid)
        if difference:
            raise InputError(path, f"is not on the grid of {RECORD} ({difference})", remedy)
        return sitk.GetArrayFromImage(image)

    def original_image(self) -> sitk.Image:
        """Return the original image of the first channel, in its own axis order.

        Raises:
            InputError: the file is damaged, or is not the scan that was resampled.
        """
        return self.check_original(self.channels[0])

    def check_original(self, channel: str) -> sitk.Image:
        """Return the original image of a channel; raise InputError if it is not the one that was resampled."""
        image = self._original(image_name(channel), image_kind(channel), "scan")
        if channel == self.channels[0]:
            difference = lps_grid(image).differs_from(self.original_grid)
            if difference:
                problem = f"lies on another grid than when it was resampled ({difference})"
                raise InputError(self.image_path, problem, _AGAIN)
        return image

    def original_reference(self) -> np.ndarray:
        """Return the labels of the reference on the original grid of the scan, in LPS orientation, with `IGNORED`.

        Raises:
            InputError: the file is damaged, or is not the reference that was resampled.
        """
        path = self.folder / REFERENCE
        image = self._original(REFERENCE, "reference", "reference")
        # Compare in the axis order of the file, as stage 1 does: reorienting to LPS moves the origin to another corner,
        # where a rounding error of the direction becomes an error of the origin.
        grid = read_grid(self.image_path)
        difference = Grid.of(image).differs_from(grid)
        if difference:
            raise InputError(path, f"is not on the grid of its scan ({difference})", "give both the same grid")
        return to_array(from_array(whole_labels(sitk.GetArrayViewFromImage(image), path, self.ignore_label), grid))

    def _original(self, name: str, kind: str, noun: str) -> sitk.Image:
        known = self.record.get("original_sha256")
        if known is None:  # not recorded by earlier versions of stage 1
            return read_image(self.folder / name)
        return read_known_image(self.folder / name, known[kind], f"is not the {noun} that was resampled", _AGAIN)


def find_cases(data_folder: Path, split: str) -> list[Case]:
    """Return the cases of `data_folder`/`split`, sorted by name and checked to have the same voxel size.

    Raises:
        InputError: the folder is missing or contains no case, a case is not resampled, or voxel sizes differ.
    """
    folder = data_folder / split
    if not folder.is_dir():
        raise InputError(
            folder,
            "there is no such folder",
            f"distribute the cases into {', '.join(SPLITS)} (resample_data.py --split)",
        )
    paths = [path for path in sorted(folder.iterdir()) if not is_of_a_system(path.name)]
    cases = [Case(path) for path in paths if (path / RECORD).exists() or _holds_scan(path)]
    for case in cases:
        if not is_text(case.name):
            raise InputError(case.folder, "its name is not UTF-8, as from an old archive", "rename the folder")
    if not cases:
        raise InputError(folder, f"holds no case (a folder with {IMAGE})", "put cases there, or check -d")
    check_one_voxel_size(cases)
    return cases


def _holds_scan(folder: Path) -> bool:
    """Return whether a folder holds an image of a case, resampled or not."""
    named = folder.glob(image_name("*")) if folder.is_dir() else ()
    return is_listed(folder / IMAGE) or any(named)


def check_channels(cases: Sequence[Case], channels: Sequence[str], reader) -> None:
    """Raise InputError unless all `cases` have the `channels` that `reader` (weights, or an option) asks for."""
    for case in cases:
        for channel in channels:
            if channel not in case.channels:
                wanted = f"channel {channel}" if channel else "scan of one channel without a name (imaging.nii.gz)"
                known = f"its channels are {', '.join(case.channels)}" if case.channels != (UNNAMED,) else "it has one"
                raise InputError(
                    case.folder, f"has no {wanted}, which {reader} reads; {known}", f"add it, and {_AGAIN}"
                )


def with_reference(cases: list[Case]) -> list[Case]:
    """Return the `cases` (all of one folder) that have a reference.

    Raises:
        InputError: no case has a reference.
    """
    known = [case for case in cases if case.has_reference]
    if not known:
        raise InputError(
            cases[0].folder.parent, f"no case has a reference ({REFERENCE})", "add references, or check -d"
        )
    return known


def shared_patients(cases: list[Case], others: list[Case]) -> list[str]:
    """Return the patients that have cases in both lists, sorted."""
    return sorted({case.patient for case in cases} & {case.patient for case in others})


def check_one_voxel_size(cases: list[Case]) -> None:
    """Raise InputError unless all cases were resampled to the same voxel size."""
    for case in cases:
        if case.voxel_size_mm != cases[0].voxel_size_mm:
            raise InputError(
                case.folder / RECORD,
                f"has voxels of {case.voxel_size_mm} mm, but {cases[0].name} of {cases[0].voxel_size_mm} mm",
                _AGAIN,
            )


def check_voxel_size(cases: list[Case], voxel_size_mm: list[float | None] | None, weights) -> None:
    """Raise InputError unless `cases` were resampled to the voxel size (x, y, z) on which `weights` were trained."""
    for case in cases:
        if case.voxel_size_mm != voxel_size_mm:
            raise InputError(
                case.folder / RECORD,
                f"has voxels of {case.voxel_size_mm} mm, but {weights} was trained on {voxel_size_mm} mm",
                "resample the data with that --voxel-size",
            )


def class_indices(labels: np.ndarray, table: bytes) -> np.ndarray:
    """Return the class index of each of the uint8 `labels`, uint8, using a table from `LabelClasses.table`."""
    return np.frombuffer(bytearray(labels).translate(table), np.uint8).reshape(labels.shape)
