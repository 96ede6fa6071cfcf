"""The plan of a data set: facts, proposed settings, hours, and the commands of all stages."""

import hashlib
import json
import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from base.atomic_file import write_text
from base.errors import InputError
from base.folder_lock import locked
from base.json_files import read_json, write_json
from base.limits import reading_limits
from base.own_folders import refuse_foreign
from data.case_facts import CaseFacts, Refused, examine_case
from data.layouts import SourceCase
from data.layouts.left_over import lines_of
from data.patients import read_patients, with_patients
from data.split import current_folder
from stages.planning.data_set import DataSet
from stages.planning.hours import hours_of
from stages.planning.picture import plot_data_set
from stages.planning.report import Plan, page_of, record_of
from stages.planning.rules import guess_ignore_label, propose, with_tried
from stages.planning.script import script_of
from stages.planning.splits import propose_split
from stages.planning.trial import try_settings
from stages.resample import check_scribbles, find_left_over_of, find_sources
from stages.resampling_options import ResamplingOptions
from utils.runtime.devices import choose_device
from utils.runtime.processes import ALONE, Processes
from utils.runtime.threads import usable_cores, use_image_threads
from utils.runtime.usable_memory import device_memory_bytes
from utils.runtime.worker_pool import Died, run_each

RECORD, PAGE, PICTURE, SCRIPT, SPLIT = "plan.json", "plan.md", "plan.png", "run.sh", "split.json"


def plan_data_set(options: ResamplingOptions) -> None:
    """Read the data set, and write its plan into the folder `options.plan`; nothing is written into the data set.

    Raises:
        InputError: the data set does not suit the options, its references give nothing to learn, or cases would be
            refused; in the last case, the plan of the others is written before.
    """
    if Processes.of_environment().are_several:
        raise InputError("--plan", "is made by one process", "leave torchrun out")
    folder = options.plan
    refuse_foreign(folder, RECORD, "--plan")
    with locked(folder):
        refuse_changed_files(folder)
        layout, sources = find_sources(options)
        left_over = find_left_over_of(options, layout, sources)
        mistakes = lines_of([one for one in left_over if one.is_mistake])
        sources = of_patients(options, sources)
        print(f"{len(sources)} cases in {options.origin}, layout {layout}")
        jobs = options.jobs or usable_cores()
        data_set = examine(sources, layout, jobs, options.threads or 1)
        if guess := guess_ignore_label(data_set):  # read again: the label is no structure
            label, figure = guess
            print(f"label {label} is taken for voxels that are not annotated: {figure}")
            sources = [replace(source, ignore_label=label) for source in sources]
            data_set = replace(examine(sources, layout, jobs, options.threads or 1), guess=figure)
        check_scribbles(sources)
        names = [source.name for source in sources]
        split, split_choice = propose_split(data_set, names, options.split_file, options.split, options.seed)
        memory_bytes = device_memory_bytes(choose_device("auto", ALONE))
        settings = propose(data_set, split, split_choice, memory_bytes)
        trial = try_settings(data_set, settings)
        settings = with_tried(settings, [one.network for one in trial.networks])
        hours = hours_of(data_set, settings, trial, jobs)
        plan = Plan(str(options.origin), data_set, settings, trial, hours, mistakes)
        refuse_changed_files(folder)  # meanwhile
        is_tested = any(case.name in set(split["test"]) for case in data_set.annotated)
        write_plan(folder, plan, script_of(options, layout, settings, jobs, is_tested, bool(mistakes)))
    report(folder, plan)
    conclude(plan, len(names))


def write_plan(folder: Path, plan: Plan, script: str) -> None:
    """Write all files of a plan."""
    files = {SPLIT: json.dumps(plan.settings.split, indent=1) + "\n", SCRIPT: script}
    for name in files:  # before the record: a file that it does not know counts as changed by the user
        (folder / name).unlink(missing_ok=True)
    plot_data_set(folder / PICTURE, plan.data_set)
    write_text(folder / PAGE, page_of(plan))
    write_json(folder / RECORD, record_of(plan, {name: checksum_of(text) for name, text in files.items()}))
    for name, text in files.items():
        write_text(folder / name, text)


def refuse_changed_files(folder: Path) -> None:
    """Raise InputError if run.sh or split.json in `folder` is not as planned: the user has changed it."""
    there = [name for name in (SPLIT, SCRIPT) if (folder / name).exists()]
    known = {}
    if there:
        known = read_json(folder / RECORD, {"written": {str: str}}, "name another folder with --plan")["written"]
    for name in there:
        if checksum_of((folder / name).read_text(encoding="utf-8", errors="replace")) != known.get(name):
            raise InputError(folder / name, "was changed", "name another folder with --plan, or remove it")


def checksum_of(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def of_patients(options: ResamplingOptions, sources: list[SourceCase]) -> list[SourceCase]:
    """Return the cases with their patients, as stage 1 knows them."""
    told = read_patients(options.patients, [source.name for source in sources]) if options.patients else {}
    return with_patients(sources, [current_folder(options.origin, source, {}) for source in sources], told)


def examine(sources: list[SourceCase], layout: str, jobs: int, threads: int) -> DataSet:
    """Read all cases in `jobs` processes, and print the refused ones.

    Raises:
        InputError: all cases are refused.
    """
    found: dict[str, CaseFacts | Refused] = {}
    tasks = [(source, reading_limits) for source in sources]
    results = run_each(examine_case, tasks, min(jobs, len(tasks)), partial(use_image_threads, threads))
    for number, result in tqdm(results, total=len(tasks), unit="case", desc="reading"):
        source = sources[number]
        if isinstance(result, Died):
            result = Refused(source.name, f"{source.image}: {result.reason}")
        found[source.name] = result
    ordered = [found[source.name] for source in sources]
    refused = tuple(one for one in ordered if isinstance(one, Refused))
    for one in refused:
        print(f"refused: {one.name}: {one.problem}")
    cases = tuple(one for one in ordered if isinstance(one, CaseFacts))
    if not cases:
        raise InputError(layout, f"all {len(refused)} cases are refused", "see the list above")
    ignored = {source.ignore_label for source in sources} - {None}
    return DataSet(layout, cases, refused, ignored.pop() if ignored else None)


def report(folder: Path, plan: Plan) -> None:
    """Print the proposals, and what is unusual."""
    for choice in plan.settings.choices:
        print(f"{choice.what:17} {choice.value}  ({choice.reason})")
    for outlier in plan.data_set.outliers():
        print(f"unusual: {outlier.what}: {len(outlier.names)} of {outlier.of} cases")
    print(f"hours on this machine: about {sum(one.hours for one in plan.hours):.2g}")
    print(f"plan: {folder / PAGE}; start it with: bash {shlex.quote(str(folder / SCRIPT))}")


def conclude(plan: Plan, count: int) -> None:
    """Raise InputError, as stage 1 does, if some of `count` cases were refused or files seem to be forgotten."""
    for line in plan.mistakes:
        print(f"not taken: {line}")
    problems, refused = [], len(plan.data_set.refused)
    if refused:
        problems.append(f"{refused} of {count} cases are refused, and left out of the plan")
    if plan.mistakes:
        problems.append(f"{len(plan.mistakes)} files or folders are not taken, by mistake as it seems")
    if problems:
        raise InputError(plan.origin, "; ".join(problems), "see the list above")
