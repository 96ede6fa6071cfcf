"""One distillation on cine MR: members of three kinds, ensemble, students of the best kind; its variants and rounds."""

from dataclasses import dataclass

from studies.acdc.settings import KINDS, KINDS_TOGETHER, LONG, MEMBERS, PREDICTION, SEEDS, SOFT, VIEWS
from studies.results import Part
from studies.scripts import Network, Scripts

ALL_COMPONENTS, ONE_VIEW, FOUR_VIEWS = "_all", "_one_view", "_views"  # suffixes of runs
CHOOSE_COMPONENTS, KEEP_ALL = ("--keep-largest", "auto"), ("--keep-largest", 0)
IN_VIEWS = (*PREDICTION, "--views", VIEWS)


@dataclass(frozen=True)
class Distilled:
    """A distillation on prepared data `data`.

    Attributes:
        label: of its groups of runs, such as ``7 labelled``.
        kind: of network alone and students.
        members: all that were trained.
        ensemble: name of the ensemble, whose members are `teachers`.
        alone: networks as the students, trained on references.
        students: of the ensemble.
    """

    data: str
    label: str
    kind: str
    members: list[Network]
    ensemble: str
    teachers: list[Network]
    alone: list[Network]
    students: list[Network]

    @property
    def groups(self) -> dict[str, list[Network]]:
        """The networks by their role."""
        return {"member": self.members, "alone": self.alone, "student": self.students}


def distil(scripts: Scripts, part: Part, data: str, label: str) -> Distilled:
    """Train members of three kinds with two losses, label all train scans, and train students of the best kind.

    The kinds that make up the ensemble, the kind of the students, and the components that are kept of each class, are
    chosen on the validation patients, before any test patient is predicted. Results are added as chosen.
    """
    members = {(kind, loss): member(data, kind, loss, seed) for kind in KINDS for loss, seed in MEMBERS.items()}
    scripts.train(list(members.values()))
    scripts.predict(list(members.values()), "val", *PREDICTION, *CHOOSE_COMPONENTS)
    kind = part.choose("kind", {kind: members[kind, "CE+dice"].name for kind in KINDS}, scripts, "val")
    tried = {}
    for together, kinds in KINDS_TOGETHER.items():
        tried[together] = f"{data}_ensemble_of_{len(kinds)}_kinds"
        some = [one for (kind_of_one, _), one in members.items() if kind_of_one in kinds]
        scripts.average(tried[together], some, "val", *IN_VIEWS, *CHOOSE_COMPONENTS, data=data)
    together = part.choose("kinds together", tried, scripts, "val")
    ensemble = tried[together]
    teachers = [one for (kind_of_one, _), one in members.items() if kind_of_one in KINDS_TOGETHER[together]]
    scripts.average(ensemble, teachers, "train", *IN_VIEWS, data=data)
    alone = [network_alone(data, kind, seed) for seed in SEEDS]
    students = [student(data, kind, ensemble, seed) for seed in SEEDS]
    scripts.train([*alone, *students])
    scripts.predict([*alone, *students], "val", *PREDICTION, *CHOOSE_COMPONENTS)
    distilled = Distilled(data, label, kind, list(members.values()), ensemble, teachers, alone, students)
    scripts.average(ensemble, teachers, "test", *IN_VIEWS, data=data)
    part.add_ensemble(f"ensemble, {label}", scripts, ensemble, "test")
    for group, networks in distilled.groups.items():
        scripts.predict(networks, "test", *PREDICTION)
        part.add_networks(f"{group}, {label}", scripts, networks, "val", "test")
    return distilled


def add_variants(scripts: Scripts, part: Part, distilled: Distilled) -> None:
    """Predict the test patients with all components, and with other views, and add the results."""
    data, label, ensemble, teachers = distilled.data, distilled.label, distilled.ensemble, distilled.teachers
    scripts.average(ensemble + ALL_COMPONENTS, teachers, "test", *IN_VIEWS, *KEEP_ALL, data=data)
    part.add_ensemble(f"ensemble, {label}, all components", scripts, ensemble + ALL_COMPONENTS, "test")
    scripts.average(ensemble + ONE_VIEW, teachers, "val", *PREDICTION, *CHOOSE_COMPONENTS, data=data)
    scripts.average(ensemble + ONE_VIEW, teachers, "test", *PREDICTION, data=data)
    part.add_ensemble(f"ensemble, {label}, one view", scripts, ensemble + ONE_VIEW, "test")
    for group, networks in distilled.groups.items():
        scripts.predict(networks, "test", *PREDICTION, *KEEP_ALL, suffix=ALL_COMPONENTS)
        part.add_networks(f"{group}, {label}, all components", scripts, networks, "test", suffix=ALL_COMPONENTS)
    for group, networks in (("alone", distilled.alone), ("student", distilled.students)):
        scripts.predict(networks, "test", *IN_VIEWS, suffix=FOUR_VIEWS)
        part.add_networks(f"{group}, {label}, {VIEWS} views", scripts, networks, "test", suffix=FOUR_VIEWS)


def distil_again(scripts: Scripts, part: Part, first: Distilled) -> None:
    """Train students of two kinds, label the train scans with their ensemble, and train students of that one."""
    data, ensemble = first.data, f"{first.data}_second_ensemble"
    members = [student(data, kind, first.ensemble, seed) for kind in ("UNet2D", "ResNet2D") for seed in SEEDS]
    scripts.train(members)
    for split, more in (("val", CHOOSE_COMPONENTS), ("train", ())):
        scripts.average(ensemble, members, split, *IN_VIEWS, *more, data=data)
    students = [student(data, first.kind, ensemble, seed, "second_student") for seed in SEEDS]
    scripts.train(students)
    scripts.predict(students, "val", *PREDICTION, *CHOOSE_COMPONENTS)
    part.choose("round", {"first": first.students[0].name, "second": students[0].name}, scripts, "val")
    scripts.average(ensemble, members, "test", *IN_VIEWS, data=data)
    part.add_ensemble(f"second ensemble, {first.label}", scripts, ensemble, "val", "test")
    scripts.predict(students, "test", *PREDICTION)
    part.add_networks(f"second student, {first.label}", scripts, students, "val", "test")


def member(data: str, kind: str, loss: str, seed: int) -> Network:
    """Return a network that is trained on the references of prepared data."""
    recipe = KINDS[kind]
    return Network(f"{data}_{kind}_{loss}_{seed}", f"{recipe.options} --loss {loss}", recipe.iterations, seed, data)


def network_alone(data: str, kind: str, seed: int) -> Network:
    """Return a network that is trained on references alone, with the default loss, and as long as the students."""
    return Network(f"{data}_alone_{kind}_{seed}", KINDS[kind].options, LONG, seed, data)


def student(data: str, kind: str, ensemble: str, seed: int, name: str = "student") -> Network:
    """Return a student of an ensemble, of the same options and length as the network alone."""
    return Network(f"{data}_{name}_{kind}_{seed}", f"{KINDS[kind].options} {SOFT}", LONG, seed, data, ensemble)
