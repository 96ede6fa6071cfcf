"""Parts of the study: each trains an ensemble on the references of some patients, and students on its soft labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from base.json_files import read_json, write_json
from base.text_files import decode
from studies.acdc.folds import Fold, folds_of, published_fold
from studies.acdc.settings import KINDS, KINDS_TOGETHER, MEMBERS, PARTS, PREDICTION, SEEDS, SOFT, VIEWS, VOXEL_SIZE
from studies.results import Part
from studies.scripts import Network, Scripts

ALL_COMPONENTS, ONE_VIEW, FOUR_VIEWS = "_all", "_one_view", "_views"  # suffixes of runs
CHOOSE_COMPONENTS, KEEP_ALL = ("--keep-largest", "auto"), ("--keep-largest", 0)
IN_VIEWS = (*PREDICTION, "--views", VIEWS)


@dataclass(frozen=True)
class Study:
    """Scripts and folders of the study; `scans` is the data set with its protocol.json."""

    scripts: Scripts
    scans: Path
    work: Path

    def fold_of(self, part: str) -> Fold:
        """Return the patients of a part."""
        split = {"train": [str], "val": [str], "test": [str]}
        protocol = read_json(self.scans / "protocol.json", split, "restore it")
        if part in ("three", "all"):
            return published_fold(protocol, PARTS[part])
        patients = [name for names in (protocol[key] for key in split) for name in names]
        groups = {patient: group_of(self.scans / patient / "Info.cfg") for patient in patients}
        return folds_of(protocol, groups, PARTS[part])[int(part.removeprefix("fold")) - 1]

    def resample(self, part: str) -> None:
        """Run stage 1 on the scans, with only the references of the annotated, val and test patients of a part."""
        fold = self.fold_of(part)
        source = self.work / "sources" / part
        split: dict[str, list[str]] = {}
        for name in ("train", "val", "test"):
            for patient in getattr(fold, name):
                folder = source / patient
                folder.mkdir(parents=True, exist_ok=True)
                for path in sorted((self.scans / patient).iterdir()):
                    is_reference = "_gt." in path.name
                    if is_reference and name == "train" and patient not in fold.annotated:
                        continue
                    if not (folder / path.name).is_symlink():
                        (folder / path.name).symlink_to(path)
                    if "_frame" in path.name and not is_reference:
                        split.setdefault(name, []).append(path.name.split(".")[0])
        listing = self.work / "sources" / f"{part}.json"
        write_json(listing, split)
        self.scripts.resample(
            part, "-d", source, "--layout", "acdc", "--voxel-size", *VOXEL_SIZE, "--split-file", listing
        )


def group_of(info: Path) -> str:
    """Return the group of a patient from its Info.cfg: healthy, or a disease."""
    lines = (line.partition(":") for line in decode(info.read_bytes()).splitlines())
    return next(value.strip() for key, _, value in lines if key.strip() == "Group")


def study_part(study: Study, name: str) -> Part:
    """Train members of three kinds with two losses, label all train scans, and train students of the best kind.

    The kinds that make up the ensemble, the kind of the students, and the components that are kept of each class, are
    chosen on the validation patients, before any test patient is predicted.
    """
    scripts, part = study.scripts, Part()
    study.resample(name)
    members = {(kind, loss): member(name, kind, loss, seed) for kind in KINDS for loss, seed in MEMBERS.items()}
    scripts.train(list(members.values()))
    scripts.predict(list(members.values()), "val", *PREDICTION, *CHOOSE_COMPONENTS)
    kind = part.choose("kind", {kind: members[kind, "CE+dice"].name for kind in KINDS}, scripts, "val")
    tried = {}
    for together, kinds in KINDS_TOGETHER.items():
        tried[together] = f"{name}_ensemble_of_{len(kinds)}_kinds"
        some = [one for (kind_of_one, _), one in members.items() if kind_of_one in kinds]
        scripts.average(tried[together], some, "val", *IN_VIEWS, *CHOOSE_COMPONENTS, data=name)
    together = part.choose("kinds together", tried, scripts, "val")
    ensemble = tried[together]
    teachers = [one for (kind_of_one, _), one in members.items() if kind_of_one in KINDS_TOGETHER[together]]
    scripts.average(ensemble, teachers, "train", *IN_VIEWS, data=name)
    alone = [member(name, kind, "CE+dice", seed) for seed in SEEDS]  # the first is a member of the ensemble
    learners = [student(name, kind, ensemble, seed) for seed in SEEDS]
    scripts.train([*alone, *learners])
    scripts.predict([*alone, *learners], "val", *PREDICTION, *CHOOSE_COMPONENTS)
    evaluate(
        part, scripts, name, ensemble, teachers, {"member": list(members.values()), "alone": alone, "student": learners}
    )
    return part


def evaluate(
    part: Part,
    scripts: Scripts,
    name: str,
    ensemble: str,
    teachers: list[Network],
    groups: Mapping[str, list[Network]],
) -> None:
    """Predict the test patients, and add the results: as chosen, with all components, and with other views."""
    label = f"{PARTS[name]} labelled"
    runs = {"": (ensemble, IN_VIEWS), ", all components": (ensemble + ALL_COMPONENTS, (*IN_VIEWS, *KEEP_ALL))}
    for variant, (run, options) in runs.items():
        scripts.average(run, teachers, "test", *options, data=name)
        part.add_ensemble(f"ensemble, {label}{variant}", scripts, run, "test")
    scripts.average(ensemble + ONE_VIEW, teachers, "val", *PREDICTION, *CHOOSE_COMPONENTS, data=name)
    scripts.average(ensemble + ONE_VIEW, teachers, "test", *PREDICTION, data=name)
    part.add_ensemble(f"ensemble, {label}, one view", scripts, ensemble + ONE_VIEW, "test")
    for group, networks in groups.items():
        scripts.predict(networks, "test", *PREDICTION)
        scripts.predict(networks, "test", *PREDICTION, *KEEP_ALL, suffix=ALL_COMPONENTS)
        part.add_networks(f"{group}, {label}", scripts, networks, "val", "test")
        part.add_networks(f"{group}, {label}, all components", scripts, networks, "test", suffix=ALL_COMPONENTS)
    for group in ("alone", "student"):
        scripts.predict(groups[group], "test", *IN_VIEWS, suffix=FOUR_VIEWS)
        part.add_networks(f"{group}, {label}, {VIEWS} views", scripts, groups[group], "test", suffix=FOUR_VIEWS)


def member(part: str, kind: str, loss: str, seed: int) -> Network:
    """Return a network that is trained on the references of a part."""
    recipe = KINDS[kind]
    return Network(f"{part}_{kind}_{loss}_{seed}", f"{recipe.options} --loss {loss}", recipe.iterations, seed, part)


def student(part: str, kind: str, ensemble: str, seed: int) -> Network:
    """Return a student of the ensemble of a part, of the same options and length as the network alone."""
    recipe = KINDS[kind]
    return Network(f"{part}_student_{kind}_{seed}", f"{recipe.options} {SOFT}", recipe.iterations, seed, part, ensemble)
