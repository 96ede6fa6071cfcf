"""Stage 1 for a single case: checks, resampling, and writing of its case folder."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from base.atomic_file import remove_abandoned
from base.channels import UNNAMED
from base.errors import InputError, one_line
from base.json_files import write_json
from base.label_classes import IGNORED
from data.case_folder import RECORD, REFERENCE, RESAMPLED_REFERENCE, image_kind, image_name, resampled_image_name
from data.case_record import earlier_record, is_withdrawn, withdraw
from data.images.image_files import Grid, checksum, from_array, lps_grid, read_component, read_image, to_lps
from data.images.image_headers import read_header
from data.images.noted_images import is_resampled, write_resampled
from data.labels import looks_like_labels, whole_labels
from data.layouts import SourceCase
from data.layouts.source_case import ImageFile
from data.originals import Original
from data.resampled_scan import resample_scan
from data.resampling import VoxelSize, checked_grid, count_labels, resample_reference

VERSION = 3  # of the computations and the record of stage 1; cases of another version are resampled again
_NOT_ANNOTATED = "nothing of its reference is annotated: it counts as a case without reference"

Limits = Callable[[float, int], AbstractContextManager]  # limits the seconds and bytes for reading a file


@dataclass(frozen=True)
class Outcome:
    """The result of stage 1 for a case.

    Attributes:
        record: the record of the case; None if it was refused.
        skipped: whether the case was already resampled with the same options.
        problem: the reason for which the case was refused, or "".
        note: a note for the user, or "".
        copies: number of files that were copied because the disk does not support links.
    """

    name: str
    record: dict | None = None
    skipped: bool = False
    problem: str = ""
    note: str = ""
    copies: int = 0

    def with_note(self, note: str) -> "Outcome":
        """Return the same outcome with another `note` appended, unless it is empty."""
        return replace(self, note=_joined(self.note, note))


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def prepare_case(
    source: SourceCase,
    folder: Path,
    voxel_size_mm: VoxelSize,
    limits: Limits = lambda seconds, size: contextlib.nullcontext(),
) -> Outcome:
    """Write the case folder of `source` at `folder`, unless the case is already resampled with the same options.

    Originals outside `folder` are linked if they are compressed NIfTI, and copied otherwise. The record is written
    last and marks the case as complete; a refused case has no record.

    Args:
        limits: returns a context manager that limits time and memory while a file is read.
    """
    try:
        return _prepare(source, folder, voxel_size_mm, limits)
    except Exception as error:  # any failure on one file must not stop the other cases
        problem = reason_for_refusal(error, source)
    with contextlib.suppress(OSError):
        withdraw(folder)
    return Outcome(source.name, problem=problem)


def reason_for_refusal(error: Exception, source: SourceCase) -> str:
    """Return in one line why a case is refused, of which `error` was raised."""
    if isinstance(error, InputError):
        problem = str(_explained(error, source))
    elif isinstance(error, OSError):
        problem = one_line(error) if error.filename else f"{source.image}: {one_line(error)}"
    else:
        problem = f"{source.image}: {error or type(error).__name__}"
    return " ".join(problem.split())


def _prepare(source: SourceCase, folder: Path, voxel_size_mm: VoxelSize, limits: Limits) -> Outcome:
    if source.problem:
        raise InputError(source.image, source.problem)
    before = earlier_record(folder)
    remove_abandoned(folder)
    images = {
        channel: Original.find(file.path, folder / image_name(channel), before, file.component, file.components)
        for channel, file in source.images.items()
    }
    reference = Original.find(source.reference, folder / REFERENCE, before)
    wanted = {
        "version": VERSION,
        "options": {
            "voxel_size_mm": list(voxel_size_mm) if voxel_size_mm else None,
            **({} if source.ignore_label is None else {"ignore_label": source.ignore_label}),
            **({} if source.scribbles is None else {"scribbles": source.scribbles}),
        },
        "source": {
            **{image_kind(channel): image.stamps() for channel, image in images.items()},
            "reference": reference.stamps(),
        },
        **({"channels": list(source.channels)} if source.channels else {}),
    }
    note = _note_on(source, images, reference)
    if before and _is_finished(folder, before, wanted):
        if before.get("patient") != source.owner:  # not recorded by earlier versions
            before = {**before, "patient": source.owner}
            write_json(folder / RECORD, before)
        if before["labels"] is None and reference.file is not None:
            note = _joined(note, _NOT_ANNOTATED)
        return Outcome(source.name, before, skipped=True, note=note)
    _refuse_foreign_files(folder, images, None if before is None or is_withdrawn(before) else before)
    scan, reference_image, labels = read_checked(_files_of(source, images, reference), limits)
    if labels is not None and (labels == IGNORED).all():
        note, labels = _joined(note, _NOT_ANNOTATED), None
    withdraw(folder)
    scan = {channel: images[channel].put(pixels) for channel, pixels in scan.items()}
    reference.put(reference_image)
    checksums = _image_checksums({channel: _checksum_of(pixels) for channel, pixels in scan.items()})
    checksums |= {"reference": _checksum_of(reference_image)} if reference_image else {}
    note = _joined(note, _note_on_other_scan(before, checksums))
    written, moved = _write_resampled(folder, scan, labels, voxel_size_mm)
    if source.ignore_label is not None and labels is not None:
        written["ignored_voxels"] = int((labels == IGNORED).sum())  # of the original reference
    originals = [*images.values(), reference]
    placed = {original.place.name: original.placed() for original in originals}
    record = {**wanted, **written, "original_sha256": checksums, "placed": placed, "patient": source.owner}
    write_json(folder / RECORD, record)
    return Outcome(source.name, record, note=_joined(note, *moved), copies=sum(one.lacks_link for one in originals))


def _explained(error: InputError, source: SourceCase) -> InputError:
    """Return the error, with a specific remedy for a 3D Slicer reference that has layers or covers part of the grid."""
    if source.reference and source.reference.name.lower().endswith(".seg.nrrd") and error.subject == source.reference:
        return error.with_remedy(
            "it is from 3D Slicer: export it there as a label map, with the scan as reference volume"
        )
    return error


def _note_on(source: SourceCase, images: Mapping[str, Original], reference: Original) -> str:
    pairs = [(original, source.images[channel].path) for channel, original in images.items()]
    corrected = [
        f"{original.place} is used instead of {source_file or 'no file'}"
        for original, source_file in (*pairs, (reference, source.reference))
        if original.is_correction
    ]
    return "; ".join(corrected)


def _is_finished(folder: Path, record: dict, wanted: dict) -> bool:
    names = [
        name(channel) for channel in wanted.get("channels", [UNNAMED]) for name in (image_name, resampled_image_name)
    ]
    if wanted["source"]["reference"] is not None:
        names += [REFERENCE] if record.get("labels") is None else [REFERENCE, RESAMPLED_REFERENCE]
    complete = all((folder / name).exists() for name in names)
    return complete and all(record.get(key) == value for key, value in wanted.items())


def _refuse_foreign_files(folder: Path, channels: Iterable[str], record: dict | None) -> None:
    """Raise InputError if a file would be overwritten that has no record and was not written by stage 1."""
    for name in (*(resampled_image_name(channel) for channel in channels), RESAMPLED_REFERENCE):
        if record is None and (folder / name).exists() and not is_resampled(folder / name):
            problem = f"already exists, but there is no {RECORD} in its folder and stage 1 did not write it"
            raise InputError(folder / name, problem, "remove it")


def _files_of(source: SourceCase, images: Mapping[str, Original], reference: Original) -> SourceCase:
    """Return the case with the files that are to be read, which may be corrections of those of the data set."""
    files = {channel: ImageFile(one.file, one.component, one.components) for channel, one in images.items()}
    first = next(iter(files.values()))
    channels = files if source.channels else {}
    return replace(source, image=first.path, reference=reference.file, channels=channels)


def read_checked(
    source: SourceCase, limits: Limits
) -> tuple[dict[str, sitk.Image], sitk.Image | None, np.ndarray | None]:
    """Read scan and reference of a case, with all checks.

    Returns:
        the channels by name, the reference, and the labels of the reference, uint8 (z, y, x) in its own axis order;
        voxels that are not annotated are `IGNORED`.

    Raises:
        InputError: a file is damaged, the reference is not on the grid of the scan, or the scan is a map of labels.
    """
    scan = {channel: _read_within(file, limits) for channel, file in source.images.items()}
    first, reference = next(iter(scan.values())), source.reference
    if reference is None:
        if source.may_be_labels and looks_like_labels(sitk.GetArrayViewFromImage(first)):
            problem = "looks like a map of labels, not like a scan: it has few values in uniform areas"
            remedy = "remove it, or name it as the reference of its scan; if it is a scan, move it to "
            raise InputError(source.image, problem, remedy + "CASE/imaging.nii.gz")
        return scan, None, None
    read = _read_within(ImageFile(reference), limits)
    labels = whole_labels(sitk.GetArrayViewFromImage(read), reference, source.ignore_label)
    difference = Grid.of(read).differs_from(Grid.of(first))
    if difference:
        raise InputError(reference, f"is not on the grid of its image ({difference})", "give both the same grid")
    return scan, read, labels


def _read_within(file: ImageFile, limits: Limits) -> sitk.Image:
    path, size = file.path, read_header(file.path).bytes
    with limits(20 + size / 5e6, 2**30 + 3 * size):
        return read_image(path) if file.component is None else read_component(path, file.component, file.components)


def _checksum_of(image: sitk.Image) -> str:
    return checksum(sitk.GetArrayViewFromImage(image))


def _image_checksums(sums: Mapping[str, str]) -> dict[str, str]:
    """Return the checksums of the images of a record; of several channels, `image` is the digest of all."""
    if list(sums) == [UNNAMED]:
        return {"image": sums[UNNAMED]}
    together = hashlib.sha256("".join(sums.values()).encode()).hexdigest()
    return {"image": together, **{image_kind(channel): value for channel, value in sums.items()}}


def _note_on_other_scan(before: Mapping | None, checksums: Mapping[str, str]) -> str:
    """Return a note if an earlier command resampled another scan under this name; empty if not."""
    known = (before or {}).get("original_sha256") or {}
    shared = (known.keys() & checksums.keys()) - {"reference"}
    if len({*known, *checksums} - {"reference"}) > 1:  # of several channels, compare each
        shared -= {"image"}
    changed = any(known[image] != checksums[image] for image in shared)
    return "its scan is another one than before" if changed else ""


def _write_resampled(
    folder: Path, scan: Mapping[str, sitk.Image], reference: np.ndarray | None, voxel_size_mm: VoxelSize
) -> tuple[dict, list[str]]:
    """Write the resampled files.

    Args:
        scan: channels by name; the first determines the grid.
        reference: labels, uint8 (z, y, x) in the axis order of the first channel.

    Returns:
        their part of the record, and a note on each channel that lies on another grid than the first.
    """
    first = next(iter(scan.values()))
    own, original = Grid.of(first), lps_grid(first)
    grid = checked_grid(folder / image_name(next(iter(scan))), original, voxel_size_mm)
    sums, notes = {}, []
    for channel, image, note in resample_scan(scan, own, grid, lambda name: folder / image_name(name)):
        write_resampled(image, folder / resampled_image_name(channel))
        sums[channel] = _checksum_of(image)
        notes += [note] if note else []
    checksums = _image_checksums(sums)
    counts = None
    if reference is None:
        (folder / RESAMPLED_REFERENCE).unlink(missing_ok=True)
    else:
        # The grids of scan and reference agree within the tolerance; from here on, that of the scan is used for both.
        labels = resample_reference(to_lps(from_array(reference, own)), grid)
        write_resampled(from_array(labels, grid), folder / RESAMPLED_REFERENCE)
        checksums["reference"] = checksum(labels)
        found = count_labels(labels)
        counts = {str(label): int(found[label]) for label in np.flatnonzero(found[:IGNORED])}
    record = {
        "original": vars(original),
        "resampled": vars(grid),
        "labels": counts,
        "sha256": checksums,
    }
    return record, notes
