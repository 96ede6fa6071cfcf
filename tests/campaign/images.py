"""Trials of stage 1 on many damaged images and two intact ones, with an independent reader to check each case."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from tests.campaign.checks import last_line, problems_of
from tests.campaign.folders import changes, left_in_temporary, snapshot, stray_files
from tests.campaign.image_damage import damage_image
from tests.campaign.readers import Unreadable, read_volumes, write_clean
from tests.campaign.running import Limits, Run, run_forked
from tests.campaign.trials import Kind, Outcome
from tests.campaign.world import World

_ENDINGS = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr")
_OF_EACH, _AT_ONCE = 500, 25
_REFERENCE_SHARE = 0.35
_COMPRESSED_SHARE = 0.4  # of the text formats
_LIMITS = Limits(seconds=55)  # 40 for a case that hangs, and some more
_INTACT = ("intact_1", "intact_2")
_TOLERANCE = 1e-4
_HALFWAY_SHARE = 1e-3  # of the voxels may lie on the border of two values


@dataclass(frozen=True)
class _Damaged:
    """A case with one damaged file."""

    name: str
    path: Path
    description: str


def perform(world: World, number: int, rng: np.random.Generator, folder: Path, at_once: int = _AT_ONCE) -> Outcome:
    ending = _ENDINGS[number % len(_ENDINGS)]
    source, output = folder / "source", folder / "out"
    (folder / "bait").mkdir()
    (folder / "bait" / "bait.txt").write_text("bait")
    names = [f"damaged_{n:02d}" for n in range(at_once)]
    for name in (*_INTACT, *names):
        _write_case(world, source / name, ending, rng.random() < _COMPRESSED_SHARE)
    if ending == ".nhdr" and not _is_known(world, folder, source / _INTACT[0]):
        return Outcome(f"{ending} is not read by the program", count=0)
    damaged = [_damaged(source / name, ending, rng) for name in names]

    outside = (output, folder / "tmp")
    before = snapshot(folder, outside)
    run = _resample(source, output, folder / "tmp")
    problems = _problems_of_run(run)
    if problems:  # find the cases that cause them
        problems += _culprits(damaged, source, folder)
    else:
        problems = _check_cases(damaged, world, run, output, folder)
    problems += [
        f"outside the output: {word}" for word in changes(before, snapshot(folder, (*outside, folder / "clean")))
    ]
    return Outcome(
        f"{ending}, {at_once} damaged", problems + stray_files(output) + left_in_temporary(folder / "tmp"), at_once
    )


def _write_case(world: World, folder: Path, ending: str, compressed: bool) -> None:
    folder.mkdir(parents=True)
    for name in ("imaging", "segmentation"):
        original = sitk.ReadImage(str(world.base / "RAW" / "case_00000" / f"{name}.nii.gz"))
        voxels = sitk.GetArrayFromImage(original).astype(np.int16 if name == "imaging" else np.uint8)
        image = sitk.GetImageFromArray(voxels)  # without metadata of the other format's header
        image.CopyInformation(original)
        sitk.WriteImage(image, str(folder / f"{name}{ending}"), compressed and ending != ".nii")


def _is_known(world: World, folder: Path, case: Path) -> bool:
    shutil.copytree(case, folder / "probe" / case.name)
    known = _resample(folder / "probe", folder / "probe_out", folder / "tmp").status == 0
    shutil.rmtree(folder / "probe")
    shutil.rmtree(folder / "probe_out", ignore_errors=True)
    return known


def _damaged(folder: Path, ending: str, rng: np.random.Generator) -> _Damaged:
    path = folder / f"{'segmentation' if rng.random() < _REFERENCE_SHARE else 'imaging'}{ending}"
    return _Damaged(folder.name, path, f"{path.name}: {damage_image(path, rng)}")


def _resample(source: Path, output: Path, temporary: Path, limits: Limits = _LIMITS) -> Run:
    words = ("resample_data", "-d", source, "-o", output, "--voxel-size", 3, 3, 5, "--jobs", 2, "--layout", "kits")
    return run_forked(words, temporary, limits)


def _culprits(damaged: list[_Damaged], source: Path, folder: Path) -> list[str]:
    """Find the cases that cause problems by bisection; return the problems of each."""
    few, output = folder / "clean" / "few", folder / "clean" / "out"
    few.mkdir(parents=True)
    for case in damaged:
        (few / case.name).symlink_to(source / case.name)
    run = _resample(few, output, folder / "tmp")
    shutil.rmtree(folder / "clean")
    problems = _problems_of_run(run)
    if len(damaged) == 1:
        return [f"{damaged[0].name}, {damaged[0].description}: {word}" for word in problems]
    if not problems:
        return []
    half = len(damaged) // 2
    return [word for part in (damaged[:half], damaged[half:]) for word in _culprits(part, source, folder)]


def _problems_of_run(run: Run) -> list[str]:
    problems = problems_of(run)
    if not problems and run.status == 2 and "refused: " not in run.stdout:
        problems.append(f"no line names a refused case: {last_line(run)}")
    return problems


def _check_cases(damaged: list[_Damaged], world: World, run: Run, output: Path, folder: Path) -> list[str]:
    problems = []
    refused = dict(re.findall(r"^refused: (\S+): (.*)$", run.stdout, re.MULTILINE))
    done = {path.parent.name for path in output.rglob("resampling.json")}
    for name in _INTACT:
        if name not in done:
            problems.append(f"the intact case {name} was not done ({refused.get(name) or last_line(run)})")
    intact = output / _INTACT[0]
    doubtful = []
    for case in damaged:
        here = output / case.name
        if (case.name in refused) == (case.name in done):
            where = "both refused and done" if case.name in done else f"neither refused nor done ({last_line(run)})"
            problems.append(f"{case.name}, {case.description}: {where}")
        elif case.name in done and _difference(intact, here):
            doubtful.append(case)
    return problems + _check_doubtful(doubtful, world, output, folder)


def _check_doubtful(doubtful: list[_Damaged], world: World, output: Path, folder: Path) -> list[str]:
    """Compare cases that differ from the intact ones with their content according to an independent reader."""
    problems, readings = [], {}
    source, clean = folder / "clean" / "source", folder / "clean" / "out"
    for case in doubtful:
        try:
            image, reference = (
                read_volumes(case.path.with_name(case.path.name.replace("segmentation", name).replace("imaging", name)))
                for name in ("imaging", "segmentation")
            )
        except Unreadable as error:
            problems.append(f"{case.name}, {case.description}: accepted, though it {error}")
            continue
        readings[case] = []
        for one in image:
            for other in reference:
                name = f"{case.name}_{len(readings[case])}"
                (source / name).mkdir(parents=True)
                write_clean(one, source / name / "imaging.mha")
                write_clean(other, source / name / "segmentation.mha")
                readings[case].append(name)
    if readings:
        _resample(source, clean, folder / "tmp", Limits(seconds=120))
    for case, names in readings.items():
        found = [_difference(clean / name, output / case.name) for name in names]
        if all(found):
            problems.append(f"{case.name}, {case.description}: accepted, but read differently: {found[0]}")
    return problems


def _difference(expected: Path, found: Path) -> str:
    """Return a difference of the resampled files of two cases beyond rounding; empty if they agree."""
    for name in ("imaging_rs.nii.gz", "segmentation_rs.nii.gz"):
        if not (expected / name).exists() or not (found / name).exists():
            return f"{name} is in one alone"
        one, other = nibabel.load(expected / name), nibabel.load(found / name)
        if one.shape != other.shape:
            return f"{name} has the shape {other.shape}, not {one.shape}"
        if not np.allclose(one.affine, other.affine, rtol=_TOLERANCE, atol=_TOLERANCE):
            return f"{name} lies elsewhere"
        values = [np.asarray(image.dataobj, np.float64) for image in (one, other)]
        # Values halfway between two integers, or between two labels, may be rounded differently.
        step = 1.0 if name.startswith("imaging") and one.get_data_dtype().kind in "iu" else 0.0
        atol = step + _TOLERANCE * (1 + np.abs(values[0]).max())
        other_voxels = np.count_nonzero(~np.isclose(*values, rtol=_TOLERANCE, atol=atol))
        if other_voxels > _HALFWAY_SHARE * values[0].size:
            return f"{name} has {other_voxels} other voxels"
    return ""


IMAGES = Kind("images", _OF_EACH // _AT_ONCE * len(_ENDINGS), (), perform)
