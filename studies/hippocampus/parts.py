"""Parts of the study: networks that are trained, averaged and distilled, and the groups that are compared."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from base.json_files import read_json
from stages.training_options import SOFT_DEFAULTS
from studies.hippocampus.figures import AT_RANDOM, ORDERED
from studies.hippocampus.settings import (
    ANNOTATED,
    DICE_CHOICE,
    DIL2D,
    DIL2D_FP32,
    DIL2D_SHORT,
    DIL2D_SHORT_BF16,
    DIL2D_TRIAL,
    FIRST_CHOICE,
    FOLDS,
    KINDS,
    MEMBERS,
    MIRRORINGS,
    MORE,
    QUESTIONS,
    SEEDS,
    SMALL_FIRST_CHOICE,
    SMALL_QUESTIONS,
    SMALL_UNET3D,
    SMALL_UNET3D_FP32,
    TEN,
    TEN_DIVERSE,
    UNET3D,
    VIEWS,
    WIDTHS,
)
from studies.results import Part, Results
from studies.scripts import Network, Recipe, Scripts


@dataclass(frozen=True)
class Study:
    """Scripts and folders of the study; `scans` is the data set with its split.json."""

    scripts: Scripts
    results: Results
    scans: Path
    work: Path

    def resample(self) -> None:
        """Run stage 1 on all scans."""
        self._resample("ALL", "-d", self.scans)

    @cached_property
    def split(self) -> dict[str, list[str]]:
        return read_json(self.scans / "split.json", {"train": [str], "val": [str], "test": [str]}, "restore it")

    def few_cases(self, count: int) -> list[str]:
        """Return `count` random train cases."""
        return random.Random(0).sample(sorted(self.split["train"]), count)

    def resample_few(self, annotated: Sequence[str], data: str = "FEW") -> None:
        """Run stage 1 with only the references of some train cases, and of all val and test cases."""
        references = self.work / f"{data.lower()}_references"
        references.mkdir(parents=True, exist_ok=True)
        for case in (*annotated, *self.split["val"], *self.split["test"]):
            link = references / f"{case}.nii.gz"
            if not link.is_symlink():
                link.symlink_to((self.scans / "labelsTr" / link.name).resolve())
        self._resample(data, "--images", self.scans / "imagesTr", "--references", references)

    def _resample(self, data: str, *source: object) -> None:
        self.scripts.resample(data, *source, "--voxel-size", 1, 1, 1, "--split-file", self.scans / "split.json")

    def train_diverse(self) -> list[Network]:
        """Train 2D and 3D networks, each without one fold of the train cases."""
        members = [
            network(f"diverse_{kind}_{fold}", recipe.with_options(f"--fold {fold}/{FOLDS}"), fold)
            for fold in range(1, FOLDS + 1)
            for kind, recipe in KINDS.items()
        ]
        self.scripts.train(members)
        return members

    def label(self, name: str, members: list[Network], chosen: Mapping, data: str = "ALL") -> str:
        """Compute soft labels of the train cases; return the name of the ensemble."""
        name = f"{name}_{chosen['labels']}_t{chosen['temperature']}"
        cross_fit = ["--cross-fit"] if chosen["labels"] == "cross-fitted" else []
        self.scripts.average(name, members, "train", "--temperature", chosen["temperature"], *cross_fit, data=data)
        return name

    def choose(self, part: Part, first: Mapping, questions: Mapping, trial: Callable[[dict], Network]) -> dict:
        """Choose one option after the other, each by the trial that is best on validation cases."""
        chosen = dict(first)
        for question, options in questions.items():
            trials = {option: trial({**chosen, question: option}) for option in options}
            self.scripts.train(list(trials.values()))
            self.scripts.predict(list(trials.values()), "val")
            chosen[question] = part.choose(
                question, {option: one.name for option, one in trials.items()}, self.scripts, "val"
            )
        return chosen

    def evaluate(
        self,
        part: Part,
        groups: Mapping[str, Sequence[Network]],
        ensembles: Mapping[str, Sequence[Network]] = {},
        views: int = 1,
    ) -> Part:
        """Add the results of groups of networks, and of ensembles by their members, on validation and test cases.

        Args:
            views: mirrored views of the ensembles.
        """
        in_views = ["--views", views] if views > 1 else []
        for split in ("val", "test"):
            for group, members in ensembles.items():
                name = group.replace(" ", "_")
                self.scripts.average(name, members, split, *in_views, data=members[0].data)
                part.add_ensemble(group, self.scripts, name, split)
            for group, networks in groups.items():
                self.scripts.predict(networks, split)
                part.add_networks(group, self.scripts, networks, split)
        return part


def network(name: str, recipe: Recipe, seed: int = SEEDS[0], data: str = "ALL") -> Network:
    """Return a network that is trained on references alone."""
    return Network(name, recipe.options, recipe.iterations, seed, data)


def student(
    name: str, recipe: Recipe, teacher: str, chosen: Mapping, seed: int = SEEDS[0], data: str = "ALL"
) -> Network:
    """Return a student of the ensemble `teacher` with the chosen loss."""
    options = f"{recipe.options} --softloss {chosen['softloss']} --alpha {chosen['alpha']}"
    return Network(name, options, recipe.iterations, seed, data, teacher)


def choose_options(study: Study) -> Part:
    """Choose soft labels and loss of the dil2D students, one option after the other."""
    scripts, part = study.scripts, Part()
    study.resample()
    members = study.train_diverse()

    def trial(chosen: dict) -> Network:
        name = "trial_" + "_".join(str(value) for value in chosen.values())
        return student(name, DIL2D_TRIAL, study.label("diverse", members, chosen), chosen)

    study.choose(part, FIRST_CHOICE, QUESTIONS, trial)
    alone = [network("trial_alone", DIL2D_TRIAL)]
    scripts.train(alone)
    scripts.predict(alone, "val")
    part.add_networks("dil2D as long as a trial, references alone", scripts, alone, "val")
    return part


def study_small_unet(study: Study) -> Part:
    """Train small 3D U-Nets without and with soft labels of the diverse ensemble, with options chosen for them."""
    part = Part()
    study.resample()
    members = study.train_diverse()
    alone = [network(f"small_alone_{seed}", SMALL_UNET3D, seed) for seed in SEEDS]

    def learner(chosen: dict, seed: int = SEEDS[0]) -> Network:
        name = f"small_{chosen['labels']}_{chosen['alpha']}_{seed}"
        return student(name, SMALL_UNET3D, study.label("diverse", members, chosen), chosen, seed)

    chosen = study.choose(part, SMALL_FIRST_CHOICE, SMALL_QUESTIONS, learner)
    learners = [learner(chosen, seed) for seed in SEEDS]
    study.scripts.train([*alone, *learners])
    return study.evaluate(part, {"small UNet3D": alone, "small UNet3D student": learners})


def study_diverse(study: Study) -> Part:
    """Evaluate the diverse ensemble and its students: of full width, narrower, and a U-Net."""
    chosen = study.results.chosen("choices")
    study.resample()
    members = study.train_diverse()
    teacher = study.label("diverse", members, chosen)

    def students(name: str, recipe: Recipe, seeds: Sequence[int] = SEEDS) -> list[Network]:
        return [student(f"{name}_student_{seed}", recipe, teacher, chosen, seed) for seed in seeds]

    half, quarter = (DIL2D.with_options(f"--features {WIDTHS[width]}") for width in ("half", "quarter"))
    groups = {
        "diverse student": students("diverse", DIL2D),
        "UNet3D student": students("UNet3D", UNET3D, SEEDS[:1]),
        "half-width student": students("half_width", half),
        "quarter-width student": students("quarter_width", quarter, SEEDS[:1]),
    }
    study.scripts.train([learner for group in groups.values() for learner in group])
    return study.evaluate(Part(), {"diverse member": members, **groups}, {"diverse ensemble": members})


def study_few(study: Study) -> Part:
    """Train networks on few references, and students on their ensemble's soft labels of all scans."""
    alone, teacher, chosen = teach_from_few(study)
    learners = [student(f"few_student_{seed}", SMALL_UNET3D, teacher, chosen, seed, "FEW") for seed in SEEDS]
    study.scripts.train(learners)
    groups = {"few references alone": alone, "student of few references": learners}
    return study.evaluate(Part(), groups, {"ensemble of few references": alone})


def teach_from_few(study: Study) -> tuple[list[Network], str, dict]:
    """Train networks on few references and label all train cases; return networks, ensemble name, chosen options."""
    chosen = choice_for_few(study)
    study.resample_few(study.few_cases(ANNOTATED))
    alone = [network(f"few_alone_{seed}", SMALL_UNET3D, seed, "FEW") for seed in SEEDS]
    study.scripts.train(alone)
    return alone, study.label("few", alone, chosen, "FEW"), chosen


def choice_for_few(study: Study) -> dict:
    """Return the small U-Net's options, without cross-fitting: no member was trained on the cases without reference."""
    return SMALL_FIRST_CHOICE | study.results.chosen("small") | {"labels": "all"}


def study_dice(study: Study) -> Part:
    """Train the small U-Net students with all and with few references, with KL and a Dice loss for soft labels."""
    chosen = SMALL_FIRST_CHOICE | study.results.chosen("small") | DICE_CHOICE
    study.resample()
    teacher = study.label("diverse", study.train_diverse(), chosen)
    _, few_teacher, few_chosen = teach_from_few(study)
    few_chosen |= DICE_CHOICE
    learners = [student(f"dice_{seed}", SMALL_UNET3D, teacher, chosen, seed) for seed in SEEDS]
    few = [student(f"few_dice_{seed}", SMALL_UNET3D, few_teacher, few_chosen, seed, "FEW") for seed in SEEDS]
    study.scripts.train([*learners, *few])
    groups = {"small UNet3D student, KL+dice": learners, "student of few references, KL+dice": few}
    return study.evaluate(Part(), groups)


def study_few_diverse(study: Study) -> Part:
    """Train a diverse ensemble on few references, each member on all of them, and its students."""
    chosen = choice_for_few(study) | DICE_CHOICE
    study.resample_few(study.few_cases(ANNOTATED))
    alone = [network(f"few_UNet3D_{seed}", SMALL_UNET3D_FP32, seed, "FEW") for seed in SEEDS]
    members = [*alone, *(network(f"few_dil2D_{seed}", DIL2D_SHORT, seed, "FEW") for seed in SEEDS)]
    study.scripts.train(members)
    teacher = study.label("few_diverse", members, chosen, "FEW")
    learners = [
        student(f"few_diverse_student_{seed}", SMALL_UNET3D_FP32, teacher, chosen, seed, "FEW") for seed in SEEDS
    ]
    study.scripts.train(learners)
    groups = {"few references alone, fp32": alone, "few diverse member": members, "few diverse student": learners}
    return study.evaluate(Part(), groups, {"few diverse ensemble": members})


def study_uniform(study: Study) -> Part:
    """Train the uniform ensemble, whose first members are the single networks, and its students."""
    members, teacher, chosen = teach_uniform(study)

    def students(name: str, recipe: Recipe) -> list[Network]:
        return [student(f"uniform_{name}_{seed}", recipe, teacher, chosen, seed) for seed in SEEDS]

    learners = students("student", DIL2D_SHORT)
    narrow = students("half", DIL2D_SHORT.with_options(f"--features {WIDTHS['half']}"))
    study.scripts.train([*learners, *narrow])
    groups = {"single": members[: len(SEEDS)], "uniform member": members, "uniform student": learners}
    return study.evaluate(Part(), {**groups, "uniform half-width student": narrow}, {"uniform ensemble": members})


def teach_uniform(study: Study) -> tuple[list[Network], str, dict]:
    """Train networks that differ in their seeds and label the train cases; return networks, ensemble name, options."""
    chosen = study.results.chosen("choices") | {"labels": "all"}  # each member was trained on all cases
    study.resample()
    members = [network(f"dil2D_{seed}", DIL2D_SHORT, seed) for seed in range(1, MEMBERS + 1)]
    study.scripts.train(members)
    return members, study.label("uniform", members, chosen), chosen


def study_alone(study: Study) -> Part:
    """Train single networks on references alone, as long as the dil2D students of the diverse ensemble."""
    study.resample()
    alone = [network(f"dil2D_alone_{seed}", DIL2D_FP32, seed) for seed in SEEDS]
    study.scripts.train(alone)
    return study.evaluate(Part(), {"dil2D alone, fp32": alone})


def study_ten(study: Study) -> Part:
    """Train a diverse ensemble on ten references, and students on its labels of all scans; mirroring is chosen."""
    scripts, part = study.scripts, Part()
    study.resample_few(study.few_cases(TEN), "TEN")
    trials = {mirroring: alone_of_ten(mirroring, SEEDS[0]) for mirroring in MIRRORINGS}
    scripts.train(list(trials.values()))
    scripts.predict(list(trials.values()), "val")
    mirroring = part.choose("mirroring", {option: one.name for option, one in trials.items()}, scripts, "val")
    singles, dilated = teach_from_ten(study, mirroring)
    recipe = SMALL_UNET3D.with_options(MIRRORINGS[mirroring])
    learners = [student(f"ten_student_{seed}", recipe, TEN_DIVERSE, SOFT_DEFAULTS, seed, "TEN") for seed in SEEDS]
    scripts.train(learners)
    members = [*singles, *dilated]
    groups = {"ten references alone": singles, "ten references member": members, "student of ten references": learners}
    return study.evaluate(part, groups, {"ensemble of ten references": members}, VIEWS[mirroring])


def alone_of_ten(mirroring: str, seed: int) -> Network:
    """Return a small U-Net that is trained on ten references alone."""
    recipe = SMALL_UNET3D.with_options(MIRRORINGS[mirroring])
    return network(f"ten_{mirroring.replace(' ', '_')}_{seed}", recipe, seed, "TEN")


def teach_from_ten(study: Study, mirroring: str) -> tuple[list[Network], list[Network]]:
    """Train small U-Nets and dilated networks on ten references, and label all train cases; return both kinds."""
    study.resample_few(study.few_cases(TEN), "TEN")
    singles = [alone_of_ten(mirroring, seed) for seed in SEEDS]
    recipe = DIL2D_SHORT_BF16.with_options(MIRRORINGS[mirroring])
    dilated = [network(f"ten_dil2D_{seed}", recipe, seed, "TEN") for seed in SEEDS]
    study.scripts.train([*singles, *dilated])
    study.scripts.average(TEN_DIVERSE, [*singles, *dilated], "train", "--views", VIEWS[mirroring], data="TEN")
    return singles, dilated


def study_planes(study: Study) -> Part:
    """Train dilated networks of one plane and of three, as students of the ensemble of ten references and alone."""
    mirroring = study.results.chosen("ten")["mirroring"]
    _, dilated = teach_from_ten(study, mirroring)
    recipe = DIL2D_SHORT_BF16.with_options(MIRRORINGS[mirroring])
    axial = recipe.with_options("--planes axial")

    def students(name: str, recipe: Recipe) -> list[Network]:
        return [student(f"{name}_{seed}", recipe, TEN_DIVERSE, SOFT_DEFAULTS, seed, "TEN") for seed in SEEDS]

    groups = {
        "ten references alone, dil2D": dilated,
        "student of ten references, dil2D": students("ten_dil2D_student", recipe),
        "ten references alone, dil2D, axial": [network(f"ten_axial_{seed}", axial, seed, "TEN") for seed in SEEDS],
        "student of ten references, dil2D, axial": students("ten_axial_student", axial),
    }
    study.scripts.train([one for group in groups.values() for one in group])
    return study.evaluate(Part(), groups)


def study_next(study: Study) -> Part:
    """Train networks on ten references and twenty more, in the order of annotate_next.csv and at random."""
    mirroring = study.results.chosen("ten")["mirroring"]
    teach_from_ten(study, mirroring)
    recipe, known = SMALL_UNET3D.with_options(MIRRORINGS[mirroring]), study.few_cases(TEN)
    others = study.scripts.annotation_order(TEN_DIVERSE, "train")
    study.resample_few([*known, *others[:MORE]], "ORDERED")
    for draw in SEEDS:
        study.resample_few([*known, *random.Random(draw).sample(sorted(others), MORE)], f"DRAW_{draw}")
    groups = {
        ORDERED: [network(f"ordered_{seed}", recipe, seed, "ORDERED") for seed in SEEDS],
        AT_RANDOM: [network(f"draw_{draw}", recipe, draw, f"DRAW_{draw}") for draw in SEEDS],
    }
    study.scripts.train([one for group in groups.values() for one in group])
    return study.evaluate(Part(), groups)


def study_narrow(study: Study) -> Part:
    """Train dil2D of half and a quarter of the width on references alone, as the students of these widths."""
    study.resample()
    half, quarter = (DIL2D.with_options(f"--features {WIDTHS[width]}") for width in ("half", "quarter"))
    groups = {
        "half-width dil2D alone": [network(f"half_width_alone_{seed}", half, seed) for seed in SEEDS],
        "quarter-width dil2D alone": [network(f"quarter_width_alone_{seed}", quarter, seed) for seed in SEEDS[:1]],
    }
    study.scripts.train([alone for group in groups.values() for alone in group])
    return study.evaluate(Part(), groups)


def study_defaults(study: Study) -> Part:
    """Train the student of the uniform ensemble with the default loss of training_network.py."""
    _, teacher, _ = teach_uniform(study)
    learners = [student(f"uniform_default_{seed}", DIL2D_SHORT, teacher, SOFT_DEFAULTS, seed) for seed in SEEDS[:1]]
    study.scripts.train(learners)
    return study.evaluate(Part(), {"uniform student, default loss": learners})


PARTS: dict[str, Callable[[Study], Part]] = {
    "choices": choose_options,
    "small": study_small_unet,
    "diverse": study_diverse,
    "few": study_few,
    "dice": study_dice,
    "few-diverse": study_few_diverse,
    "uniform": study_uniform,
    "alone": study_alone,
    "ten": study_ten,
    "planes": study_planes,
    "next": study_next,
    "narrow": study_narrow,
    "defaults": study_defaults,
}
