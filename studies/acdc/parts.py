"""Parts of the study: each trains an ensemble on the references of some patients, and students on its soft labels."""

from dataclasses import dataclass
from pathlib import Path

from base.json_files import read_json, write_json
from base.text_files import decode
from studies.acdc.distillation import add_variants, distil, distil_again
from studies.acdc.folds import Fold, folds_of, published_fold
from studies.acdc.settings import AGAIN, PARTS, VARIED, VOXEL_SIZE
from studies.results import Part
from studies.scripts import Scripts


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
    """Distil an ensemble of the references of a part; in the part `AGAIN`, students of the first fold.

    Only in the part `VARIED` are the test patients also predicted with all components, and with other views.
    """
    part, again = Part(), Part()
    data = "fold1" if name == AGAIN else name
    study.resample(data)
    distilled = distil(study.scripts, part, data, f"{PARTS[name]} labelled")
    if name == AGAIN:
        distil_again(study.scripts, again, distilled)
    elif name == VARIED:
        add_variants(study.scripts, part, distilled)
    return again if name == AGAIN else part
