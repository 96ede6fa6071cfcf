"""The members of an ensemble: which trained networks belong to it, who labels which case, and what each counts."""

from collections.abc import Sequence
from pathlib import Path

from base.errors import InputError
from base.label_classes import LabelClasses
from base.text_files import read_text
from networks.weights import TrainedNetwork, load_weights

WEIGHTINGS = ("equal", "validation")


def listed_members(path: Path) -> list[TrainedNetwork]:
    """The networks whose weights `path` lists, a path a line.

    Raises:
        InputError: the list or a file that it names is missing or damaged, or the list is empty.
    """
    if not path.is_file():
        raise InputError(path, "there is no such file", "check --trained-networks")
    lines = read_text(path).splitlines()
    members = [load_weights(Path(line.strip())) for line in lines if line.strip()]
    if not members:
        raise InputError(path, "lists no weights", "write a path of a FINAL_*.pth file a line")
    return members


def fitting_members(
    save_folder: Path,
    classes: LabelClasses,
    voxel_size_mm: list[float] | None,
    architecture: str | None = None,
    receptive_field: int | None = None,
    sample_size: int | None = None,
) -> list[TrainedNetwork]:
    """The finished networks in `save_folder` of these classes and voxels, and of the sizes that are given; no students.

    Raises:
        InputError: there is none, or a file is damaged.
    """
    wanted = {"architecture": architecture, "receptive_field": receptive_field, "sample_size": sample_size}
    wanted = {key: value for key, value in wanted.items() if value is not None}
    members = [
        member
        for member in map(load_weights, sorted(save_folder.glob("*/FINAL_*.pth")))
        if not member.is_student
        and member.classes.names == classes.names
        and member.description["voxel_size_mm"] == voxel_size_mm
        and all(member.description[key] == value for key, value in wanted.items())
    ]
    if not members:
        problem = "no finished network fits the options and the data's voxel size"
        raise InputError(save_folder, problem, "train some, or check --classes and sizes")
    return members


def check_together(members: Sequence[TrainedNetwork]) -> None:
    """Raise InputError where `members` make no ensemble: other classes than the first, or one of them twice."""
    experiments = [member.experiment for member in members]
    for member in members:
        if member.classes != members[0].classes:
            raise InputError(
                member.path, "has other classes than the first member", "list networks of the same classes"
            )
        if experiments.count(member.experiment) > 1:
            paths = [other.path for other in members if other.experiment == member.experiment]
            problem = f"the experiment is there twice, in {paths[-1]} too"
            raise InputError(paths[0], problem, "list each member once, and keep one of the files")


def strangers_to(case_name: str, patient: str, members: Sequence[TrainedNetwork]) -> list[TrainedNetwork]:
    """The members that did not train on a case of a `patient`, nor begin with weights that did, by their records.

    Weights of earlier versions record no patients: of those, the name of the case decides.

    Raises:
        InputError: all did.
    """
    strangers = [member for member in members if not knows(member.description, case_name, patient)]
    if not strangers:
        raise InputError(
            "--cross-fit",
            f"every member was trained on {case_name}, or on another case of its patient",
            "train members that leave out a fold each (training_network.py --fold)",
        )
    return strangers


def knows(description: dict, case_name: str, patient: str) -> bool:
    """Tell whether a network, or what it began with, was trained on a case, or on another of its `patient`."""
    cases = {*description["training_cases"], *description.get("initial_cases", ())}
    patients = {*description.get("training_patients", ()), *description.get("initial_patients", ())}
    return case_name in cases or patient in patients


def member_weights(members: Sequence[TrainedNetwork], weighting: str) -> dict[str, float]:
    """What each member counts, by its experiment's name: the same, or the mean Dice of its last validation.

    Raises:
        InputError: no member has a validation Dice above 0.
    """
    if weighting == "equal":
        return {member.experiment: 1.0 for member in members}
    dices = {member.experiment: member.description["validation_dice"] for member in members}
    weights = {name: sum(values) / len(values) for name, values in dices.items()}
    if not any(weights.values()):
        raise InputError("--member-weights", "every member's validation Dice is 0", "use equal, or train on")
    return weights
