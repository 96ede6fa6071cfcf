"""Stage 1 for one case: check it, resample it, write its case folder."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from base.atomic_file import write_json
from base.errors import InputError
from data.case_folder import IMAGE, RECORD, REFERENCE, RESAMPLED_IMAGE, RESAMPLED_REFERENCE
from data.image_files import Grid, checksum, files_of, from_array, is_copy, to_lps, write_copy, write_image
from data.intact_files import read_intact
from data.layouts import SourceCase
from data.resampling import count_labels, resample_image, resample_reference, resampled_grid

VERSION = 2  # of what stage 1 computes and records; cases of another version are done again
LARGEST_LABEL = 254


@dataclass(frozen=True)
class Outcome:
    """What became of a case: its `record`, or the `problem` for which it was refused."""

    name: str
    record: dict | None = None
    skipped: bool = False
    problem: str = ""


def prepare_case(source: SourceCase, folder: Path, voxel_size_mm: tuple[float, float, float] | None) -> Outcome:
    """Write the case folder of `source` at `folder`; a case that is done with the same options is skipped.

    The originals are linked where `folder` is not their own, or copied where they are not compressed NIfTI. The record
    is written last: it says that the rest is complete.
    """
    try:
        options = {"voxel_size_mm": list(voxel_size_mm) if voxel_size_mm else None}
        wanted = {"version": VERSION, "options": options, "source": _source_stamps(source)}
        record = _finished_record(folder, wanted)
        if record:
            return Outcome(source.name, record, skipped=True)
        image, reference = _read_checked(source)
        (folder / RECORD).unlink(missing_ok=True)
        image = _place_original(source.image, image, folder / IMAGE)
        _place_original(source.reference, reference, folder / REFERENCE)
        record = {**wanted, **_write_resampled(folder, to_lps(image), reference, voxel_size_mm)}
        write_json(folder / RECORD, record)
        return Outcome(source.name, record)
    except InputError as error:
        return Outcome(source.name, problem=str(error))
    except (OSError, RuntimeError, MemoryError) as error:  # what SimpleITK and the disk raise
        return Outcome(source.name, problem=f"{source.image}: {error or type(error).__name__}".replace("\n", " "))


def _source_stamps(source: SourceCase) -> dict:
    """Size and time of change of the originals, summed over their files, by which a replaced one is noticed."""

    def stamp(path: Path | None):
        if path is None:
            return None
        if not path.exists():
            raise InputError(path, "there is no such file", "restore it, or remove the case")
        status = [file.stat() for file in files_of(path)]
        return {"bytes": sum(s.st_size for s in status), "modified_ns": sum(s.st_mtime_ns for s in status)}

    return {"image": stamp(source.image), "reference": stamp(source.reference)}


def _finished_record(folder: Path, wanted: dict) -> dict | None:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    names = [IMAGE, RESAMPLED_IMAGE]
    if wanted["source"]["reference"] is not None:
        names += [REFERENCE, RESAMPLED_REFERENCE]
    complete = all((folder / name).exists() for name in names)
    same = all(record.get(key) == value for key, value in wanted.items())
    return record if complete and same else None


def _read_checked(source: SourceCase) -> tuple[sitk.Image, sitk.Image | None]:
    image = read_intact(source.image)
    if source.reference is None:
        return image, None
    reference = read_intact(source.reference)
    labels = sitk.GetArrayViewFromImage(reference)
    if labels.dtype.kind == "f" and (labels != np.round(labels)).any():
        raise InputError(source.reference, "holds values that are not whole numbers", "give labels, not probabilities")
    if labels.min() < 0 or labels.max() > LARGEST_LABEL:
        raise InputError(
            source.reference, f"holds labels {labels.min():g} to {labels.max():g}", f"use labels 0 to {LARGEST_LABEL}"
        )
    difference = Grid.of(reference).differs_from(Grid.of(image))
    if difference:
        raise InputError(source.reference, f"is not on the grid of its image ({difference})", "give both one grid")
    return image, reference


def _place_original(original: Path | None, image: sitk.Image | None, place: Path) -> sitk.Image | None:
    """Make `original` be found at `place`: link it, or copy it where it is not compressed NIfTI.

    Returns:
        `image`, which is what `original` holds, as it is read at `place`.
    """
    if original and original.name == place.name and original.parent.resolve() == place.parent.resolve():
        return image
    if place.is_symlink() or is_copy(place):  # an earlier run's
        place.unlink()
    if original is None:
        return None
    if place.exists():
        raise InputError(place, f"is in the way of {original}", "remove it, or name another folder with -o")
    if not original.name.endswith(".nii.gz"):
        return write_copy(image, original, place)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(original.resolve())
    return image


def _write_resampled(folder: Path, image: sitk.Image, reference: sitk.Image | None, voxel_size_mm) -> dict:
    """Write the resampled files; return what the record says of them. `image` is in LPS order."""
    original = Grid.of(image)
    grid = resampled_grid(original, voxel_size_mm)
    resampled = resample_image(image, grid)
    write_image(resampled, folder / RESAMPLED_IMAGE)
    sums = {"image": checksum(sitk.GetArrayViewFromImage(resampled))}
    counts = None
    if reference is None:
        (folder / RESAMPLED_REFERENCE).unlink(missing_ok=True)
    else:
        # Within the tolerance the grids are one; made one exactly, they are compared no more.
        reference = sitk.Cast(to_lps(reference), sitk.sitkUInt8)
        reference.CopyInformation(image)
        labels = resample_reference(reference, grid)
        write_image(from_array(labels, grid), folder / RESAMPLED_REFERENCE)
        sums["reference"] = checksum(labels)
        found = count_labels(labels)
        counts = {str(label): int(found[label]) for label in np.flatnonzero(found)}
    return {
        "original": vars(original),
        "resampled": vars(grid),
        "labels": counts,
        "sha256": sums,
    }
