"""Stage 1: bring the cases of a data set to case folders on one voxel grid."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from base.errors import InputError, one_line
from base.folder_lock import locked
from base.limits import reading_limits
from data.case_folder import SPLITS, recorded_options
from data.case_moves import finish_moves, move_to_split
from data.case_record import withdraw
from data.layouts import SourceCase, find_paired_cases, find_source_cases, recognise_layout
from data.layouts.left_over import LeftOver, find_left_over, lines_of
from data.patients import read_patients, with_patients
from data.preparation import Outcome, prepare_case
from data.split import cases_in_splits, check_patients_together, current_folder, read_split_file, split_patients
from stages.resampling_options import ResamplingOptions
from utils.runtime.processes import CASE_TIMEOUT, Processes
from utils.runtime.threads import job_threads, use_image_threads
from utils.runtime.worker_pool import Died, run_each

_NAME_WIDTH = 28
_LEFT_OUT_SHOWN = 10


def resample_data_set(options: ResamplingOptions) -> None:
    """Check and resample the cases that are not done, and report on all.

    Raises:
        InputError: the data set does not suit the options, or cases were refused.
    """
    processes = Processes.of_environment()
    is_written = options.output is not None or options.root.is_dir()
    with locked(options.root, processes.is_first and is_written):
        _resample(options, processes)


def _resample(options: ResamplingOptions, processes: Processes) -> None:
    """Resample the data set; the case folders are locked against other processes."""
    origin, root = options.origin, options.root
    if processes.is_first:
        finish_moves(root)
    layout, sources = find_sources(options)
    check_scribbles(sources)
    left_over = find_left_over_of(options, layout, sources) if processes.is_first else []
    if not all(source.is_case_folder or source.problem for source in sources):
        if options.output is None:
            problem = f"not all cases of {origin} are folders of imaging.nii.gz and segmentation.nii.gz"
            raise InputError("--output", problem, "name a folder for them with -o OUT")
        if options.output.resolve() == origin.resolve():
            raise InputError("--output", f"{origin} is the data set itself", "name another folder")
    names = [source.name for source in sources]
    sources, split = assign(options, sources)
    print(f"{len(sources)} cases in {origin}, layout {layout}")
    folders = [
        source.image.parent if options.output is None else current_folder(root, source, split) for source in sources
    ]
    moves = _moves(sources, folders, split)
    with processes.together(CASE_TIMEOUT):
        processes.wait()  # until every process has found the cases: they may move
        pairs = processes.share(list(zip(sources, folders)))
        outcomes = processes.gather(prepare_all(pairs, options, split, processes))
    if processes.is_first:
        done = {outcome.name for outcome in outcomes}
        left_out = [name for name in names if name not in done]
        present = cases_in_splits(root)
        print_splits(present, sources, [text for name, text in moves.items() if name in present[split[name]]], split)
        excluded = sorted(set(left_out) & {name for cases in present.values() for name in cases})
        conclude(outcomes, left_out, left_over, origin, excluded)


def find_sources(options: ResamplingOptions) -> tuple[str, list[SourceCase]]:
    """Return the name of the layout, and the cases."""
    layout = "pairs" if options.images else options.layout
    if layout == "auto":
        layout = recognise_layout(options.data)
    if options.frames and layout != "acdc":
        raise InputError("--frames", f"means nothing for the layout {layout}", "leave it out")
    frames = {"frames": options.frames} if options.frames else {}
    channels = options.channels or ()
    if options.images:
        sources = find_paired_cases(options.image_folders, options.references, channels)
    else:
        sources = find_source_cases(options.data, layout, channels, **frames)
    return layout, [_with_annotation(source, options) for source in sources]


def _with_annotation(source: SourceCase, options: ResamplingOptions) -> SourceCase:
    """Return the case with what is said of its reference: by the options, else the layout, else its earlier record.

    The record counts where a case folder is resampled in its place: what the data set said of it is known nowhere else.
    """
    before = recorded_options(source.image.parent) if source.is_case_folder else {}
    ignore_label = options.ignore_label
    if ignore_label is None:
        ignore_label = before.get("ignore_label") if source.ignore_label is None else source.ignore_label
    scribbles = options.scribbles or source.scribbles or before.get("scribbles")
    return replace(source, ignore_label=ignore_label, scribbles=scribbles)


def check_scribbles(sources: Sequence[SourceCase]) -> None:
    """Raise InputError if scribbles mark every structure, and no case has voxels that are not annotated."""
    if any(source.scribbles for source in sources) and all(source.ignore_label is None for source in sources):
        problem = "means nothing where all voxels are annotated"
        raise InputError("--scribbles", problem, "name the label of those that are not with --ignore-label")


def find_left_over_of(options: ResamplingOptions, layout: str, sources: list[SourceCase]) -> list[LeftOver]:
    """Return everything that the data set holds beside its cases; unwanted frames of acdc do not count."""
    if options.frames:
        sources = find_source_cases(options.data, layout, options.channels or ())
    folders = [folder for folder in (options.data, *options.image_folders.values(), options.references) if folder]
    return find_left_over(list(dict.fromkeys(folders)), sources, layout, options.output)


def assign(options: ResamplingOptions, sources: list[SourceCase]) -> tuple[list[SourceCase], dict[str, str]]:
    """Assign patients and splits to the cases.

    Returns:
        the cases to prepare, with their patients; the split of each by name, empty without --split and --split-file.
    """
    root, names = options.root, [source.name for source in sources]
    told = read_patients(options.patients, names) if options.patients else {}
    sources = with_patients(sources, [current_folder(root, source, {}) for source in sources], told)
    if options.split_file:
        split = read_split_file(options.split_file, names)
        check_patients_together(split, sources, options.split_file)
        return [source for source in sources if source.name in split], split
    return sources, split_patients(sources, list(options.split), options.seed) if options.split else {}


def prepare_all(
    pairs: Sequence[tuple[SourceCase, Path]], options: ResamplingOptions, split: dict[str, str], processes: Processes
) -> list[Outcome]:
    """Prepare each case in its folder, and move the folder to its split; return outcomes in the order of `pairs`."""
    outcomes: list[Outcome | None] = [None] * len(pairs)
    jobs = options.jobs or 1
    threads = options.threads or job_threads(jobs, processes)
    tasks = [(source, folder, options.voxel_size_mm, reading_limits) for source, folder in pairs]
    bar = {"total": len(tasks), "unit": "case", "desc": "resampling", "disable": not processes.is_first}
    results = run_each(prepare_case, tasks, min(jobs, len(tasks)), partial(use_image_threads, threads))
    for number, outcome in tqdm(results, **bar):
        source, folder = pairs[number]
        if isinstance(outcome, Died):
            withdraw(folder)
            outcome = Outcome(source.name, problem=f"{source.image}: {outcome.reason}")
        outcomes[number] = outcome
        try:
            if not outcome.problem and source.name in split:
                note = move_to_split(folder, options.root, split[source.name])
                outcomes[number] = outcome.with_note(note)
        except (InputError, OSError) as error:
            outcomes[number] = Outcome(source.name, problem=one_line(error))
    return outcomes


def _moves(sources: Sequence[SourceCase], folders: Sequence[Path], split: Mapping[str, str]) -> dict[str, str]:
    """Return the cases that are about to move from one split to another, by name, each with both splits as text."""
    before = {source.name: folder.parent.name for source, folder in zip(sources, folders) if folder.is_dir()}
    return {
        name: f"{name} ({before[name]} to {new})"
        for name, new in split.items()
        if before.get(name) in SPLITS and before[name] != new
    }


def print_splits(
    present: Mapping[str, Mapping[str, str]],
    sources: Sequence[SourceCase],
    moved: Sequence[str],
    split: Mapping[str, str],
) -> None:
    """Print what a user has to know of the splits, which may hold cases of earlier commands.

    Args:
        present: what `cases_in_splits` returns.
        moved: cases that moved between splits.
        split: of each case by name, as this command distributes them; empty if it does not.
    """
    if moved:
        print(f"note: moved between splits: {_some(moved)}; networks trained before know other cases")
    others = sorted({name for cases in present.values() for name in cases} - {source.name for source in sources})
    if others:
        print(f"note: the splits also hold cases that this command does not name: {_some(others)}")
    lists = {} if split else {source.name: source.split for source in sources if source.split}
    elsewhere = [
        f"{name} ({own}, in the data set {lists[name]})"
        for own, cases in present.items()
        for name in cases
        if lists.get(name, own) != own
    ]
    if elsewhere:
        print(f"note: in another split than that of the data set: {_some(elsewhere)}; --split-file moves cases")
    splits_of: dict[str, set[str]] = {}
    for own, cases in present.items():
        for patient in cases.values():
            splits_of.setdefault(patient, set()).add(own)
    if apart := sorted(patient for patient, some in splits_of.items() if len(some) > 1):
        print(
            f"warning: patients with cases in several splits: {_some(apart)}; results on them flatter", file=sys.stderr
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LEFT_OUT_SHOWN} more" if len(names) > _LEFT_OUT_SHOWN else ""
    return ", ".join(names[:_LEFT_OUT_SHOWN]) + more


def conclude(
    outcomes: list[Outcome], left_out: list[str], left_over: list[LeftOver], origin: Path, excluded: list[str]
) -> None:
    """Report all outcomes, and what was not taken: cases `left_out` by a split file, files `left_over`.

    Args:
        excluded: cases that are left out, and in a split nevertheless.

    Raises:
        InputError: cases were refused, files were not taken by mistake, as it seems, or cases are `excluded`.
    """
    report(outcomes, left_out)
    for line in lines_of(left_over):
        print(f"not taken: {line}")
    refused = [outcome for outcome in outcomes if outcome.problem]
    mistakes = [one for one in left_over if one.is_mistake]
    if len(refused) == 1 and not mistakes and not excluded:
        raise InputError(refused[0].name, f"refused: {refused[0].problem}")
    problems = [f"{len(refused)} of {len(outcomes)} cases were refused"] if refused else []
    if mistakes:
        problems.append(f"not taken, by mistake as it seems: {', '.join(one.name for one in mistakes[:3])}")
        problems[-1] += f" and {len(mistakes) - 3} more" if len(mistakes) > 3 else ""
    if excluded:
        problems.append(f"the split file leaves out cases that train, val or test hold: {_some(excluded)}")
    if problems:
        remedy = "move those folders away" if excluded and len(problems) == 1 else "see the list above"
        raise InputError(origin, "; ".join(problems), remedy)


def report(outcomes: list[Outcome], left_out: list[str]) -> None:
    """Print a line for each case: its grids and voxels per label after resampling, or why it was refused."""
    columns = f"{'size':>15} {'spacing mm':>20} {'new size':>15} {'spacing mm':>20}  voxels per label"
    print(f"\n{'case':{_NAME_WIDTH}} {columns}")
    for outcome in outcomes:
        if outcome.problem:
            continue
        grids = [outcome.record["original"], outcome.record["resampled"]]
        columns = [
            f"{' '.join(str(n) for n in grid['size']):>15} {' '.join(f'{mm:.3g}' for mm in grid['spacing']):>20}"
            for grid in grids
        ]
        labels = outcome.record["labels"]
        voxels = "no reference" if labels is None else "  ".join(f"{label}: {n}" for label, n in labels.items())
        print(f"{outcome.name:{_NAME_WIDTH}} {' '.join(columns)}  {voxels}")
    refused = [outcome for outcome in outcomes if outcome.problem]
    skipped = sum(outcome.skipped for outcome in outcomes)
    print(
        f"\n{len(outcomes) - skipped - len(refused)} resampled, {skipped} done before, {len(refused)} refused"
        + (f", {len(left_out)} not named in the split file" if left_out else "")
    )
    if copies := sum(outcome.copies for outcome in outcomes):
        print(f"note: the output's disk has no links: {copies} files were copied to it")
    if left_out:
        print(f"not named in the split file: {_some(left_out)}")
    records = [outcome.record for outcome in outcomes if outcome.record and outcome.record["labels"] is not None]
    ignored = {record["options"].get("ignore_label") for record in records} - {None}
    if ignored and all(record.get("ignored_voxels") == 0 for record in records):  # None: of an earlier version
        label = ", ".join(map(str, sorted(ignored)))
        print(f"note: no reference has the label of voxels that are not annotated, {label} (--ignore-label)")
    for outcome in outcomes:
        if outcome.note:
            print(f"note: {outcome.name}: {outcome.note}")
    for outcome in refused:
        print(f"refused: {outcome.name}: {outcome.problem}")
