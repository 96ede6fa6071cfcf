#!/usr/bin/env python3
"""Is an ensemble better than its members, and a student as good as its ensemble? On 200 real MR scans.

    python -m benchmarks.hippocampus --data hippocampus/ --work STUDY/ --results STUDY/results/ --at-once 2

The whole study of docs/hippocampus.md, from the scans to its tables: it calls the four scripts as a user would, and
takes hours. Stopped at any time, it goes on with the same command; a part whose results are kept is not done again.
Options of the students are chosen by the program itself, on validation cases, before a test case is predicted.
"""

import argparse
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hippocampus_targets import report
from benchmarks.study.results import Part, Results
from benchmarks.study.scripts import Network, Scripts
from benchmarks.study.steps import StepError

ROOT = Path(__file__).resolve().parents[1]

DIL2D = "-n dil2D --receptive-field-size 35 --sample-size 16 -b 24 --learning-rate 0.006 --precision bf16"
UNET3D = "-n UNet3D --features 16 --sample-size 40 -b 2 --deep-supervision --augmentation strong --precision bf16"
SMALL_UNET3D = UNET3D.replace("--features 16", "--features 8")
ITERATIONS = {"dil2D": 12000, "UNet3D": 1500}
SMALL_ITERATIONS = 3000
MEMBER_ITERATIONS = {"dil2D": 8000, "UNet3D": 1500}  # of the diverse ensemble
TRIAL_ITERATIONS = 3000  # of the students among which options are chosen
CLASSES = "0,1,2"
SEEDS = (1, 2, 3)
FIRST_CHOICE = {"labels": "cross-fitted", "alpha": 1, "softloss": "KL", "temperature": 1}
QUESTIONS = {
    "labels": ("cross-fitted", "all"),
    "alpha": (0, 0.1, 0.5, 1),
    "softloss": ("KL", "CE", "MSE"),
    "temperature": (1, 2, 4),
}
SMALL_FIRST_CHOICE = FIRST_CHOICE | {"alpha": 0.1}
SMALL_QUESTIONS = {"labels": ("cross-fitted", "all"), "alpha": (0.1, 1)}
MEMBERS = 5  # of the uniform ensemble
FOLDS = 3  # of the diverse one: each fold is left out by a network of each kind
WIDTHS = {"half": 16, "quarter": 8}  # features of narrower students
ANNOTATED = 30  # of the train cases, where most have no reference


@dataclass(frozen=True)
class Study:
    """What the parts of the study work with; `scans` is the data set, with its split.json."""

    scripts: Scripts
    results: Results
    scans: Path
    work: Path

    def resample(self) -> None:
        """Stage 1 of all scans."""
        self._resample("ALL", "-d", self.scans)

    def resample_few(self) -> None:
        """Stage 1 again, with the references of `ANNOTATED` train cases, drawn at random, and of val and test alone."""
        split = json.loads((self.scans / "split.json").read_text(encoding="utf-8"))
        annotated = random.Random(0).sample(sorted(split["train"]), ANNOTATED)
        references = self.work / "few_references"
        references.mkdir(parents=True, exist_ok=True)
        for case in (*annotated, *split["val"], *split["test"]):
            link = references / f"{case}.nii.gz"
            if not link.is_symlink():
                link.symlink_to((self.scans / "labelsTr" / link.name).resolve())
        self._resample("FEW", "--images", self.scans / "imagesTr", "--references", references)

    def _resample(self, data: str, *source: object) -> None:
        self.scripts.resample(data, *source, "--voxel-size", 1, 1, 1, "--split-file", self.scans / "split.json")

    def train_diverse(self) -> list[Network]:
        """Networks of two and of three dimensions; each leaves out a fold of the train cases."""
        members = [
            Network(f"diverse_{kind}_{fold}", f"{options} --fold {fold}/{FOLDS}", MEMBER_ITERATIONS[kind], fold)
            for fold in range(1, FOLDS + 1)
            for kind, options in (("UNet3D", UNET3D), ("dil2D", DIL2D))
        ]
        self.scripts.train(members)
        return members

    def label(self, name: str, members: list[Network], chosen: dict, data: str = "ALL") -> str:
        """Soft labels of the train cases; returns the name of the ensemble that made them."""
        name = f"{name}_{chosen['labels']}_t{chosen['temperature']}"
        cross_fit = ["--cross-fit"] if chosen["labels"] == "cross-fitted" else []
        self.scripts.average(name, members, "train", "--temperature", chosen["temperature"], *cross_fit, data=data)
        return name

    def choose(self, part: Part, first: dict, questions: dict, trial: Callable[[dict], Network]) -> dict:
        """Answer one question after the other with the option whose trial is best on validation cases."""
        chosen = dict(first)
        for question, options in questions.items():
            trials = {option: trial({**chosen, question: option}) for option in options}
            self.scripts.train(list(trials.values()))
            self.scripts.predict(list(trials.values()), "val")
            chosen[question] = part.choose(question, trials, self.scripts, "val")
        return chosen

    def evaluate(self, part: Part, groups: dict[str, list[Network]], ensembles: dict[str, list[Network]]) -> Part:
        """Add the results of groups of networks, and of ensembles by their members, on validation and test cases."""
        for split in ("val", "test"):
            for group, members in ensembles.items():
                name = group.replace(" ", "_")
                self.scripts.average(name, members, split, data=members[0].data)
                part.add_ensemble(group, self.scripts, name, split)
            for group, networks in groups.items():
                self.scripts.predict(networks, split)
                part.add_networks(group, self.scripts, networks, split)
        return part


def student(name: str, teacher: str, chosen: dict, options: str, iterations: int, seed: int, data="ALL") -> Network:
    """A student of an ensemble with the loss that was chosen."""
    loss = f"--softloss {chosen['softloss']} --alpha {chosen['alpha']}"
    return Network(name, f"{options} {loss}", iterations, seed, data, teacher)


def students(
    name: str, teacher: str, chosen: dict, options: str = DIL2D, seeds: Sequence[int] = SEEDS
) -> list[Network]:
    """Students that differ in their seeds."""
    iterations = ITERATIONS[options.split()[1]]
    return [student(f"{name}_{seed}", teacher, chosen, options, iterations, seed) for seed in seeds]


def choose_options(study: Study) -> Part:
    """Which soft labels and which loss make the best student on validation cases: one question after the other."""
    scripts, part = study.scripts, Part()
    study.resample()
    members = study.train_diverse()

    def trial(chosen: dict) -> Network:
        name = "trial_" + "_".join(str(value) for value in chosen.values())
        return student(name, study.label("diverse", members, chosen), chosen, DIL2D, TRIAL_ITERATIONS, SEEDS[0])

    study.choose(part, FIRST_CHOICE, QUESTIONS, trial)
    alone = [Network("trial_alone", DIL2D, TRIAL_ITERATIONS)]
    scripts.train(alone)
    scripts.predict(alone, "val")
    part.add_networks("dil2D as long as a trial, references alone", scripts, alone, "val")
    return part


def study_diverse(study: Study) -> Part:
    """The diverse ensemble, and its students: as wide as a single network, narrower, and a U-Net."""
    chosen = study.results.chosen("choices")
    study.resample()
    members = study.train_diverse()
    teacher = study.label("diverse", members, chosen)
    half, quarter = (f"{DIL2D} --features {count}" for count in WIDTHS.values())
    groups = {
        "diverse student": students("diverse_student", teacher, chosen),
        "UNet3D student": students("UNet3D_student", teacher, chosen, UNET3D, seeds=SEEDS[:1]),
        "half-width student": students("half_width_student", teacher, chosen, half),
        "quarter-width student": students("quarter_width_student", teacher, chosen, quarter, seeds=SEEDS[:1]),
    }
    study.scripts.train([student for group in groups.values() for student in group])
    return study.evaluate(Part(), {"diverse member": members, **groups}, {"diverse ensemble": members})


def study_uniform(study: Study) -> Part:
    """Single networks, the uniform ensemble that they and others of their kind make, and its students."""
    chosen = study.results.chosen("choices") | {"labels": "all"}  # each member has seen all cases
    study.resample()
    members = [Network(f"dil2D_{seed}", DIL2D, ITERATIONS["dil2D"], seed) for seed in range(1, MEMBERS + 1)]
    study.scripts.train(members)
    teacher = study.label("uniform", members, chosen)
    learners = students("uniform_student", teacher, chosen)
    study.scripts.train(learners)
    groups = {"single": members[: len(SEEDS)], "uniform member": members, "uniform student": learners}
    return study.evaluate(Part(), groups, {"uniform ensemble": members})


def study_small_unet(study: Study) -> Part:
    """A small U-Net in three dimensions, without and with the diverse ensemble's soft labels, chosen anew for it."""
    part = Part()
    study.resample()
    members = study.train_diverse()
    alone = [Network(f"small_alone_{seed}", SMALL_UNET3D, SMALL_ITERATIONS, seed) for seed in SEEDS]

    def learner(chosen: dict, seed: int = SEEDS[0]) -> Network:
        name = f"small_{chosen['labels']}_{chosen['alpha']}_{seed}"
        return student(name, study.label("diverse", members, chosen), chosen, SMALL_UNET3D, SMALL_ITERATIONS, seed)

    chosen = study.choose(part, SMALL_FIRST_CHOICE, SMALL_QUESTIONS, learner)
    learners = [learner(chosen, seed) for seed in SEEDS]
    study.scripts.train([*alone, *learners])
    return study.evaluate(part, {"small UNet3D": alone, "small UNet3D student": learners}, {})


def study_few(study: Study) -> Part:
    """Few references: networks trained on them, their ensemble, and students that see its labels of all scans."""
    chosen = SMALL_FIRST_CHOICE | study.results.chosen("small")
    chosen["labels"] = "all"  # no member has seen a case without reference
    study.resample_few()
    alone = [Network(f"few_alone_{seed}", SMALL_UNET3D, SMALL_ITERATIONS, seed, "FEW") for seed in SEEDS]
    study.scripts.train(alone)
    teacher = study.label("few", alone, chosen, "FEW")
    learners = [
        student(f"few_student_{seed}", teacher, chosen, SMALL_UNET3D, SMALL_ITERATIONS, seed, "FEW") for seed in SEEDS
    ]
    study.scripts.train(learners)
    groups = {"few references alone": alone, "student of few references": learners}
    return study.evaluate(Part(), groups, {"ensemble of few references": alone})


PARTS: dict[str, Callable[[Study], Part]] = {
    "choices": choose_options,
    "diverse": study_diverse,
    "small": study_small_unet,
    "uniform": study_uniform,
    "few": study_few,
}
_EVERYWHERE = {"dil2D": DIL2D, "UNet3D": UNET3D, "seeds": SEEDS}
_OF_STUDENTS = {**_EVERYWHERE, "iterations": ITERATIONS}
_OF_DIVERSE = {**_EVERYWHERE, "member_iterations": MEMBER_ITERATIONS, "folds": FOLDS}
_OF_SMALL = {"small_UNet3D": SMALL_UNET3D, "small_iterations": SMALL_ITERATIONS, "seeds": SEEDS}
_CHOICES = {"first_choice": SMALL_FIRST_CHOICE, "questions": SMALL_QUESTIONS}
# What determines a part's results: they are kept with them, and do not hold for others.
SETTINGS: dict[str, dict] = {
    "choices": {**_OF_DIVERSE, "trial_iterations": TRIAL_ITERATIONS},
    "diverse": {**_OF_DIVERSE, **_OF_STUDENTS, "widths": WIDTHS},
    "small": {**_OF_DIVERSE, **_OF_SMALL, **_CHOICES},
    "uniform": {**_OF_STUDENTS, "members": MEMBERS},
    "few": {**_OF_SMALL, "annotated": ANNOTATED},
}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="The study of docs/hippocampus.md, from the scans to its tables.")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of the Decathlon's Task04 with a split.json (required)"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for all that is computed (required)")
    parser.add_argument("--results", type=Path, help="folder for tables and pictures (default: WORK/results)")
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to do, in this order (default: all)"
    )
    parser.add_argument(
        "--at-once", type=int, default=1, help="trainings beside each other, which share the cores (default: 1)"
    )
    parser.add_argument(
        "--share", type=float, default=1.0, help="of all iterations; less than 1 to try the program out (default: 1)"
    )
    return parser


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> None:
    """The study; `root` is the folder of the four scripts."""
    parser = build_parser()
    args = parser.parse_args(arguments)
    if not (args.data / "split.json").is_file():
        parser.error(f"--data {args.data}: there is no split.json")
    if args.at_once < 1 or not 0 < args.share <= 1:
        parser.error("--at-once is 1 or more, --share above 0 and at most 1")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    args.data, args.work = args.data.resolve(), args.work.resolve()
    results = Results(args.results or args.work / "results")
    scripts = Scripts(args.work, root, CLASSES, os.cpu_count() or 1, args.at_once, args.share)
    study = Study(scripts, results, args.data, args.work)
    try:
        for name in args.parts:
            settings = {**SETTINGS[name], "share": args.share}
            if not results.has(name, settings):
                print(f"\n== {name}: {PARTS[name].__doc__}", flush=True)
                results.keep(name, settings, PARTS[name](study))
        report(results)
    except StepError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
