#!/usr/bin/env python3
"""Stage 1: bring the cases of a data set to case folders on one voxel grid.

    python resample_data.py -d "path-to-data-directory"
    python resample_data.py -d Task04_Hippocampus -o DATA --voxel-size 1 1 1 --split 70 15 15
    python resample_data.py --images SCANS --references LABELS -o DATA --split 70 15 15

The layout of the data set is told by its files, or by --layout. Cases that are done with the same options are skipped,
so a run that was stopped is taken up by the same command.
"""

from argparse import ArgumentTypeError
from functools import partial
from pathlib import Path

from base.errors import InputError, one_line
from base.folder_lock import locked
from data.case_moves import finish_moves, move_to_split
from data.layouts import LAYOUTS, find_paired_cases, find_source_cases, recognise_layout
from data.layouts.acdc import FRAMES
from data.layouts.left_over import find_left_over, lines_of
from utils.cli.arguments import add_threads, parse_natural_number, parse_positive_int, parse_positive_number
from utils.cli.command_line import OneLineParser, run_stage
from utils.runtime.processes import PATIENCE, Processes
from utils.runtime.threads import job_threads

NAME_WIDTH = 28
LEFT_OUT_SHOWN = 10


def build_parser() -> OneLineParser:
    parser = OneLineParser(description="Stage 1: check and resample the cases of a data set.")
    parser.add_argument("-d", "--data", type=Path, help="folder of the data set; required, but with --images")
    add_layout_options(parser.add_argument_group("layout of the data set"))
    parser.add_argument(
        "-o", "--output", type=Path, help="write the case folders here, originals linked (default: in place)"
    )
    parser.add_argument(
        "--voxel-size",
        nargs="+",
        default=["1.5", "1.5", "2.5"],
        metavar=("X Y Z | none", ""),
        help="size of the new voxels along x, y and z in mm; none keeps each scan's own",
    )
    parser.add_argument(
        "--split",
        nargs=3,
        type=float,
        metavar=("TRAIN", "VAL", "TEST"),
        help="distribute the cases into train, val and test in these shares, such as 70 15 15",
    )
    parser.add_argument("--split-file", type=Path, help="JSON file that lists case names under train, val and test")
    parser.add_argument(
        "--patients",
        type=Path,
        help="CSV or JSON file that gives the patient of each case, where several belong to one (default: told by the "
        "layout, else each case is a patient)",
    )
    parser.add_argument("--seed", type=parse_natural_number, default=0, help="seed of --split")
    parser.add_argument(
        "-j",
        "--jobs",
        type=parse_positive_int,
        default=1,
        help="number of processes; with torchrun: of each of its own",
    )
    add_threads(parser, "threads of each of the --jobs processes (default: usable cores divided by the processes)")
    return parser


def add_layout_options(group) -> None:
    group.add_argument("--layout", choices=("auto", *LAYOUTS), default="auto", help="auto: told by the files")
    group.add_argument("--frames", choices=FRAMES, help="of acdc: end of diastole, of systole (default: both)")
    group.add_argument("--images", type=Path, help="of pairs, instead of -d: folder of the images")
    group.add_argument(
        "--references", type=Path, help="folder of their references, under equal names (default: no references)"
    )


def check_options(args) -> None:
    """Refuse what can be refused before anything is looked at."""
    if not (args.data or args.images):
        raise InputError("-d/--data", "is missing", "name the folder of the data set, or its images with --images")
    if args.data and args.images:
        raise InputError("--images", "contradicts -d", "give one of them")
    if args.references and not args.images:
        raise InputError("--references", "means nothing without --images", "name the folder of the images")
    if args.images and args.layout not in ("auto", "pairs"):
        raise InputError("--images", f"means nothing for the layout {args.layout}", "give -d instead")
    if args.split and args.split_file:
        raise InputError("--split", "contradicts --split-file", "give one of them")
    if args.split and (min(args.split) < 0 or sum(args.split) == 0):
        raise InputError("--split", f"{args.split} are not shares", "give three numbers such as 70 15 15")
    if args.output and args.output.exists() and not args.output.is_dir():
        raise InputError(args.output, "is a file, not a folder", "name another folder with -o")


def main(args) -> None:
    check_options(args)
    voxel_size_mm = read_voxel_size(args.voxel_size)
    processes = Processes.of_environment()
    folder = args.output or args.data or args.images
    with locked(folder, processes.is_first and (args.output is not None or folder.is_dir())):
        resample(args, voxel_size_mm, processes)


def resample(args, voxel_size_mm: tuple[float, float, float] | None, processes: Processes) -> None:
    """Bring the cases to case folders; nobody else writes to these meanwhile."""
    origin = args.data or args.images
    root = args.output or origin
    if processes.is_first:
        finish_moves(root)
    layout, sources = find_sources(args)
    left_over = find_left_over_of(args, layout, sources) if processes.is_first else []
    if not all(source.is_case_folder or source.problem for source in sources):
        if args.output is None:
            problem = f"not all cases of {origin} are folders of imaging.nii.gz and segmentation.nii.gz"
            raise InputError("--output", problem, "name a folder for them with -o OUT")
        if args.output.resolve() == origin.resolve():
            raise InputError("--output", f"{origin} is the data set itself", "name another folder")

    from data.patients import read_patients, with_patients
    from data.split import check_patients_together, current_folder, read_split_file, split_patients

    names = [source.name for source in sources]
    told = read_patients(args.patients, names) if args.patients else {}
    sources = with_patients(sources, [current_folder(root, source, {}) for source in sources], told)
    split = {}
    if args.split_file:
        split = read_split_file(args.split_file, names)
        check_patients_together(split, sources, args.split_file)
        sources = [source for source in sources if source.name in split]
    elif args.split:
        split = split_patients(sources, args.split, args.seed)
    print(f"{len(sources)} cases in {origin}, layout {layout}")
    folders = [
        source.image.parent if args.output is None else current_folder(root, source, split) for source in sources
    ]
    with processes.together(PATIENCE):
        processes.wait()  # until none looks any more where the cases are: they may move
        pairs = processes.share(list(zip(sources, folders)))
        threads = args.threads or job_threads(args.jobs, processes)
        outcomes = prepare_all(pairs, root, voxel_size_mm, split, args.jobs, threads, hide_bar=not processes.is_first)
        outcomes = processes.gather(outcomes)
    if processes.is_first:
        done = {outcome.name for outcome in outcomes}
        conclude(outcomes, [name for name in names if name not in done], left_over, origin)


def conclude(outcomes: list, left_out: list[str], left_over: list, origin: Path) -> None:
    """Report on all outcomes, and on what was not taken: cases `left_out` by a split file, files `left_over`.

    Raises:
        InputError: cases were refused, or what was not taken looks like a mistake.
    """
    report(outcomes, left_out)
    for line in lines_of(left_over):
        print(f"not taken: {line}")
    refused = [outcome for outcome in outcomes if outcome.problem]
    mistakes = [one for one in left_over if one.is_mistake]
    if len(refused) == 1 and not mistakes:
        raise InputError(refused[0].name, f"refused: {refused[0].problem}")
    problems = [f"{len(refused)} of {len(outcomes)} cases were refused"] if refused else []
    if mistakes:
        problems.append(f"not taken, by mistake as it seems: {', '.join(one.name for one in mistakes[:3])}")
        problems[-1] += f" and {len(mistakes) - 3} more" if len(mistakes) > 3 else ""
    if problems:
        raise InputError(origin, "; ".join(problems), "see the list above")


def find_sources(args) -> tuple[str, list]:
    """The name of the layout, and the cases."""
    layout = "pairs" if args.images else args.layout
    if layout == "auto":
        layout = recognise_layout(args.data)
    if args.frames and layout != "acdc":
        raise InputError("--frames", f"means nothing for the layout {layout}", "leave it out")
    if args.images:
        return layout, find_paired_cases(args.images, args.references)
    options = {"frames": args.frames} if args.frames else {}
    return layout, find_source_cases(args.data, layout, **options)


def find_left_over_of(args, layout: str, sources: list) -> list:
    """What the data set holds beside its cases; frames of acdc that are not wanted are none of it."""
    if args.frames:
        sources = find_source_cases(args.data, layout)
    folders = [folder for folder in (args.data, args.images, args.references) if folder]
    return find_left_over(list(dict.fromkeys(folders)), sources, layout, args.output)


def read_voxel_size(words: list[str]) -> tuple[float, float, float] | None:
    if words == ["none"]:
        return None
    try:
        x, y, z = (parse_positive_number(word) for word in words)
    except (ValueError, ArgumentTypeError):
        raise InputError(
            "--voxel-size", f"{' '.join(words)} is not a voxel size", "give X Y Z in mm, or none"
        ) from None
    return x, y, z


def prepare_all(
    pairs: list, root: Path, voxel_size_mm, split: dict[str, str], jobs: int, threads: int, hide_bar: bool
) -> list:
    """Prepare each case in its folder, then move the folder to its split; the outcomes in the order of the `pairs`."""
    from tqdm import tqdm

    from base.limits import reading_limits
    from data.preparation import Outcome, prepare_case, withdraw
    from utils.runtime.threads import use_image_threads
    from utils.runtime.worker_pool import Died, run_each

    outcomes: list = [None] * len(pairs)
    tasks = [(source, folder, voxel_size_mm, reading_limits) for source, folder in pairs]
    bar = {"total": len(tasks), "unit": "case", "desc": "resampling", "disable": hide_bar}
    results = run_each(prepare_case, tasks, min(jobs, len(tasks)), partial(use_image_threads, threads))
    for number, outcome in tqdm(results, **bar):
        source, folder = pairs[number]
        if isinstance(outcome, Died):
            withdraw(folder)
            outcome = Outcome(source.name, problem=f"{source.image}: {outcome.reason}")
        outcomes[number] = outcome
        try:
            if not outcome.problem and source.name in split:
                note = move_to_split(folder, root, split[source.name])
                outcomes[number] = outcome.with_note(note)
        except (InputError, OSError) as error:
            outcomes[number] = Outcome(source.name, problem=one_line(error))
    return outcomes


def report(outcomes: list, left_out: list[str]) -> None:
    """Print a line a case: its grids, its voxels per label after resampling, or why it was refused."""
    print(
        f"\n{'case':{NAME_WIDTH}} {'size':>15} {'spacing mm':>20} {'new size':>15} {'spacing mm':>20}  voxels per label"
    )
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
        print(f"{outcome.name:{NAME_WIDTH}} {' '.join(columns)}  {voxels}")
    refused = [outcome for outcome in outcomes if outcome.problem]
    skipped = sum(outcome.skipped for outcome in outcomes)
    print(
        f"\n{len(outcomes) - skipped - len(refused)} resampled, {skipped} done before, {len(refused)} refused"
        + (f", {len(left_out)} not named in the split file" if left_out else "")
    )
    if copies := sum(outcome.copies for outcome in outcomes):
        print(f"note: the output's disk has no links: {copies} files were copied to it")
    if left_out:
        more = f" and {len(left_out) - LEFT_OUT_SHOWN} more" if len(left_out) > LEFT_OUT_SHOWN else ""
        print(f"not named in the split file: {', '.join(left_out[:LEFT_OUT_SHOWN])}{more}")
    for outcome in outcomes:
        if outcome.note:
            print(f"note: {outcome.name}: {outcome.note}")
    for outcome in refused:
        print(f"refused: {outcome.name}: {outcome.problem}")


if __name__ == "__main__":
    run_stage(build_parser, main)
