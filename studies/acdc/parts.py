"""Parts of the study: each trains an ensemble on the references of some patients, and students on its soft labels."""

from dataclasses import dataclass
from pathlib import Path

from base.json_files import read_json, write_json
from base.text_files import decode
from studies.acdc.folds import Fold, folds_of, published_fold
from studies.acdc.settings import KINDS, MEMBERS, PARTS, PREDICTION, SEEDS, SOFT, VOXEL_SIZE
from studies.results import Part
from studies.scripts import Network, Scripts

ALL_COMPONENTS = "_all"  # suffix of runs without post-processing


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

    The kind of the students, and the components that are kept of each class, are chosen on the validation patients,
    before any test patient is predicted.
    """
    scripts, part = study.scripts, Part()
    study.resample(name)
    members = {(kind, loss): member(name, kind, loss, seed) for kind in KINDS for loss, seed in MEMBERS.items()}
    scripts.train(list(members.values()))
    scripts.predict(list(members.values()), "val", *PREDICTION, "--keep-largest", "auto")
    kind = part.choose("kind", {kind: members[kind, "CE+dice"] for kind in KINDS}, scripts, "val")
    ensemble = f"{name}_ensemble"
    scripts.average(ensemble, list(members.values()), "val", *PREDICTION, "--keep-largest", "auto", data=name)
    scripts.average(ensemble, list(members.values()), "train", *PREDICTION, data=name)
    alone = [
        members.get((kind, "CE+dice")) if seed == MEMBERS["CE+dice"] else member(name, kind, "CE+dice", seed)
        for seed in SEEDS
    ]
    learners = [student(name, kind, ensemble, seed) for seed in SEEDS]
    scripts.train([*alone, *learners])
    scripts.predict([*alone, *learners], "val", *PREDICTION, "--keep-largest", "auto")
    groups = {"member": list(members.values()), "alone": alone, "student": learners}
    scripts.average(ensemble, list(members.values()), "test", *PREDICTION, data=name)
    scripts.average(
        ensemble + ALL_COMPONENTS, list(members.values()), "test", *PREDICTION, "--keep-largest", 0, data=name
    )
    label = f"{PARTS[name]} labelled"
    part.add_ensemble(f"ensemble, {label}", scripts, ensemble, "val", "test")
    part.add_ensemble(f"ensemble, {label}, all components", scripts, ensemble + ALL_COMPONENTS, "test")
    for group, networks in groups.items():
        scripts.predict(networks, "test", *PREDICTION)
        scripts.predict(networks, "test", *PREDICTION, "--keep-largest", 0, suffix=ALL_COMPONENTS)
        part.add_networks(f"{group}, {label}", scripts, networks, "val", "test")
        part.add_networks(f"{group}, {label}, all components", scripts, networks, "test", suffix=ALL_COMPONENTS)
    return part


def member(part: str, kind: str, loss: str, seed: int) -> Network:
    """Return a network that is trained on the references of a part."""
    recipe = KINDS[kind]
    return Network(f"{part}_{kind}_{loss}_{seed}", f"{recipe.options} --loss {loss}", recipe.iterations, seed, part)


def student(part: str, kind: str, ensemble: str, seed: int) -> Network:
    """Return a student of the ensemble of a part, of the same options and length as the network alone."""
    recipe = KINDS[kind]
    return Network(f"{part}_student_{kind}_{seed}", f"{recipe.options} {SOFT}", recipe.iterations, seed, part, ensemble)
