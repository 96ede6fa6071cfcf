"""Members of an ensemble: selection of trained networks, out-of-fold members of a case, weights in the mean."""

from collections.abc import Sequence
from pathlib import Path

from base.errors import InputError
from base.label_classes import LabelClasses
from base.text_files import read_text
from networks.weights import TrainedNetwork, load_weights


def listed_members(path: Path) -> list[TrainedNetwork]:
    """Load the networks whose weights are listed in the file `path`, one path a line.

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
    voxel_size_mm: list[float | None] | None,
    architecture: str | None = None,
    receptive_field: int | None = None,
    sample_size: int | None = None,
) -> list[TrainedNetwork]:
    """Load the finished networks in `save_folder` of these classes, voxel size and (where given) sizes; no students.

    Raises:
        InputError: there is none, or a file is damaged.
    """
    wanted = (architecture, receptive_field, sample_size)
    members = []
    for member in map(load_weights, sorted(save_folder.glob("*/FINAL_*.pth"))):
        one = member.description
        sizes = zip(wanted, (one.architecture, one.receptive_field, one.sample_size))
        if (
            not one.is_student
            and one.classes.names == classes.names
            and one.voxel_size_mm == voxel_size_mm
            and all(value in (None, own) for value, own in sizes)
        ):
            members.append(member)
    if not members:
        problem = "no finished network fits the options and the data's voxel size"
        raise InputError(save_folder, problem, "train some, or check --classes and sizes")
    return members


def check_together(members: Sequence[TrainedNetwork]) -> None:
    """Raise InputError unless `members` form an ensemble: classes of the first, each experiment once."""
    experiments = [member.experiment for member in members]
    for member in members:
        if member.description.classes != members[0].description.classes:
            raise InputError(
                member.path, "has other classes than the first member", "list networks of the same classes"
            )
        if experiments.count(member.experiment) > 1:
            paths = [other.path for other in members if other.experiment == member.experiment]
            problem = f"the experiment is there twice, in {paths[-1]} too"
            raise InputError(paths[0], problem, "list each member once, and keep one of the files")


def not_trained_on(case_name: str, patient: str, members: Sequence[TrainedNetwork]) -> list[TrainedNetwork]:
    """Return the out-of-fold members of a case: not trained, by their records, on any case of its `patient`.

    Raises:
        InputError: there is none.
    """
    unseen = [member for member in members if not member.description.was_trained_on(case_name, patient)]
    if not unseen:
        raise InputError(
            "--cross-fit",
            f"every member was trained on {case_name}, or on another case of its patient",
            "train members that leave out a fold each (training_network.py --fold)",
        )
    return unseen


def member_weights(members: Sequence[TrainedNetwork], weighting: str) -> dict[str, float]:
    """Return the weight of each member, by experiment: 1, or the mean Dice of its last validation.

    The mean is over the classes that its validation patches held.

    Raises:
        InputError: no member has a validation Dice above 0, or the patches of one held no foreground.
    """
    if weighting == "equal":
        return {member.experiment: 1.0 for member in members}
    weights = {}
    for member in members:
        known = [dice for dice in member.description.validation_dice if dice is not None]
        if not known:
            problem = f"the validation patches of {member.experiment} held no foreground"
            raise InputError("--member-weights", problem, "use equal")
        weights[member.experiment] = sum(known) / len(known)
    if not any(weights.values()):
        raise InputError("--member-weights", "every member's validation Dice is 0", "use equal, or train on")
    return weights
