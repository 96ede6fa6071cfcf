"""Stage 1 for one case: check it, resample it, write its case folder."""

import contextlib
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from base.atomic_file import remove_abandoned
from base.errors import InputError, one_line
from base.json_files import write_json
from data.case_folder import IMAGE, RECORD, REFERENCE, RESAMPLED_IMAGE, RESAMPLED_REFERENCE
from data.case_record import read_case_record
from data.images.image_files import Grid, checksum, from_array, read_image, to_lps
from data.images.image_headers import read_header
from data.images.noted_images import is_resampled, write_resampled
from data.labels import looks_like_labels, whole_labels
from data.layouts import SourceCase
from data.originals import Original
from data.resampling import count_labels, resample_image, resample_reference, resampled_grid

VERSION = 3  # of what stage 1 computes and records; cases of another version are done again
_MOST_VOXELS = 2**30  # of a resampled image: 4 GiB of float32
_LONGEST_AXIS = 2**14

Limits = Callable[[float, int], AbstractContextManager]  # of seconds and bytes that reading a file may take


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Its `record`, or the `problem` for which it was refused; a `note` for the user, if any; how many `copies` of files
    were made that would have been links if the disk had any.
    """

    name: str
    record: dict | None = None
    skipped: bool = False
    problem: str = ""
    note: str = ""
    copies: int = 0

    def with_note(self, note: str) -> "Outcome":
        """The same with one more `note`, if it is not empty."""
        return replace(self, note="; ".join(filter(None, (self.note, note))))


def prepare_case(
    source: SourceCase,
    folder: Path,
    voxel_size_mm: tuple[float, float, float] | None,
    limits: Limits = lambda seconds, size: contextlib.nullcontext(),
) -> Outcome:
    """Write the case folder of `source` at `folder`; a case that is done with the same options is skipped.

    The originals are linked where `folder` is not their own, or copied where they are not compressed NIfTI. The record
    is written last: it says that the rest is complete. A case that is refused has none.

    Args:
        limits: entered while a file is read.
    """
    try:
        return _prepare(source, folder, voxel_size_mm, limits)
    except InputError as error:
        problem = str(_explained(error, source))
    except OSError as error:
        problem = one_line(error) if error.filename else f"{source.image}: {one_line(error)}"
    except Exception as error:  # whatever a file makes of SimpleITK, numpy or the disk: the others go on
        problem = f"{source.image}: {error or type(error).__name__}"
    with contextlib.suppress(OSError):
        withdraw(folder)
    return Outcome(source.name, problem=" ".join(problem.split()))


def withdraw(folder: Path) -> None:
    """Let a case count as not resampled: later stages must not use what an earlier run made of it."""
    (folder / RECORD).unlink(missing_ok=True)


def _prepare(source: SourceCase, folder: Path, voxel_size_mm, limits: Limits) -> Outcome:
    if source.problem:
        raise InputError(source.image, source.problem)
    before = _earlier_record(folder)
    remove_abandoned(folder)
    image = Original.find(source.image, folder / IMAGE, before)
    reference = Original.find(source.reference, folder / REFERENCE, before)
    wanted = {
        "version": VERSION,
        "options": {"voxel_size_mm": list(voxel_size_mm) if voxel_size_mm else None},
        "source": {"image": image.stamps(), "reference": reference.stamps()},
    }
    note = _note_on(source, image, reference)
    if before and _is_finished(folder, before, wanted):
        if before.get("patient") != source.owner:  # which earlier versions did not record
            before = {**before, "patient": source.owner}
            write_json(folder / RECORD, before)
        return Outcome(source.name, before, skipped=True, note=note)
    _refuse_others_work(folder, before)
    pixels, drawn, labels = _read_checked(image.file, reference.file, limits)
    if source.may_be_labels and labels is None and looks_like_labels(sitk.GetArrayViewFromImage(pixels)):
        problem = "looks like a map of labels, not like a scan: its few values lie in areas"
        remedy = "remove it, or name it as the reference of its scan; a scan indeed goes to CASE/imaging.nii.gz"
        raise InputError(image.file, problem, remedy)
    withdraw(folder)
    pixels = image.put(pixels)
    reference.put(drawn)
    sums = {"image": _sum_of(pixels)} | ({"reference": _sum_of(drawn)} if drawn else {})
    written = _write_resampled(folder, pixels, labels, voxel_size_mm) | {"original_sha256": sums}
    placed = {original.place.name: original.placed() for original in (image, reference)}
    record = {**wanted, **written, "placed": placed, "patient": source.owner}
    write_json(folder / RECORD, record)
    return Outcome(source.name, record, note=note, copies=sum(one.lacks_link for one in (image, reference)))


def _explained(error: InputError, source: SourceCase) -> InputError:
    """The error; of a reference from 3D Slicer, in layers or on a part of the grid, with another remedy."""
    if source.reference and source.reference.name.lower().endswith(".seg.nrrd") and error.subject == source.reference:
        return error.with_remedy("it is 3D Slicer's: export it there as a label map, with the scan as reference volume")
    return error


def _earlier_record(folder: Path) -> dict | None:
    """What stage 1 recorded before; empty where it is damaged, None where there is nothing."""
    try:
        return read_case_record(folder, "")
    except FileNotFoundError:
        return None
    except InputError:
        return {}


def _note_on(source: SourceCase, image: Original, reference: Original) -> str:
    corrected = [
        f"{original.place} counts instead of {source_file or 'no file'}"
        for original, source_file in ((image, source.image), (reference, source.reference))
        if original.is_correction
    ]
    return "; ".join(corrected)


def _is_finished(folder: Path, record: dict, wanted: dict) -> bool:
    names = [IMAGE, RESAMPLED_IMAGE]
    if wanted["source"]["reference"] is not None:
        names += [REFERENCE, RESAMPLED_REFERENCE]
    complete = all((folder / name).exists() for name in names)
    return complete and all(record.get(key) == value for key, value in wanted.items())


def _refuse_others_work(folder: Path, record: dict | None) -> None:
    """Raise InputError where a file would be written over that no record names and that stage 1 did not write."""
    for name in (RESAMPLED_IMAGE, RESAMPLED_REFERENCE):
        if record is None and (folder / name).exists() and not is_resampled(folder / name):
            problem = f"is in the way: there is no {RECORD} beside it, and nothing tells that stage 1 wrote it"
            raise InputError(folder / name, problem, "remove it")


def _read_checked(
    image: Path, reference: Path | None, limits: Limits
) -> tuple[sitk.Image, sitk.Image | None, np.ndarray | None]:
    """The scan, the reference, and the labels that it holds, uint8 (z, y, x) in its own axes."""
    pixels = _read_within(image, limits)
    if reference is None:
        return pixels, None, None
    read = _read_within(reference, limits)
    labels = whole_labels(sitk.GetArrayViewFromImage(read), reference)
    difference = Grid.of(read).differs_from(Grid.of(pixels))
    if difference:
        raise InputError(reference, f"is not on the grid of its image ({difference})", "give both one grid")
    return pixels, read, labels


def _read_within(path: Path, limits: Limits) -> sitk.Image:
    size = read_header(path).bytes
    with limits(20 + size / 5e6, 2**30 + 3 * size):
        return read_image(path)


def _sum_of(image: sitk.Image) -> str:
    return checksum(sitk.GetArrayViewFromImage(image))


def _write_resampled(folder: Path, image: sitk.Image, reference: np.ndarray | None, voxel_size_mm) -> dict:
    """Write the resampled files; return what the record says of them.

    Args:
        reference: labels, uint8 (z, y, x) in the axes of `image`.
    """
    own, image = Grid.of(image), to_lps(image)
    original = Grid.of(image)
    grid = _checked_grid(folder, original, voxel_size_mm)
    resampled = resample_image(image, grid)
    write_resampled(resampled, folder / RESAMPLED_IMAGE)
    sums = {"image": _sum_of(resampled)}
    counts = None
    if reference is None:
        (folder / RESAMPLED_REFERENCE).unlink(missing_ok=True)
    else:
        # Within the tolerance the grids are one; made one exactly, they are compared no more.
        labels = resample_reference(to_lps(from_array(reference, own)), grid)
        write_resampled(from_array(labels, grid), folder / RESAMPLED_REFERENCE)
        sums["reference"] = checksum(labels)
        found = count_labels(labels)
        counts = {str(label): int(found[label]) for label in np.flatnonzero(found)}
    return {
        "original": vars(original),
        "resampled": vars(grid),
        "labels": counts,
        "sha256": sums,
    }


def _checked_grid(folder: Path, original: Grid, voxel_size_mm) -> Grid:
    """The resampled grid; raises InputError where that has more voxels than fit into memory."""
    sides_mm = [n * mm for n, mm in zip(original.size, original.spacing)]
    if voxel_size_mm:
        counts = [side / mm for side, mm in zip(sides_mm, voxel_size_mm)]
        if math.prod(max(1, n) for n in counts) > _MOST_VOXELS or max(counts) > _LONGEST_AXIS:
            sizes = " × ".join(f"{n:.0f}" for n in counts)
            box = " × ".join(f"{side:.4g}" for side in sides_mm)
            problem = f"would have {sizes} voxels, for it is {box} mm large"
            raise InputError(folder / IMAGE, problem, "correct its voxel size, or choose a larger --voxel-size")
    return resampled_grid(original, voxel_size_mm)
