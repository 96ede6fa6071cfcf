"""Parts of the study: an ensemble of networks trained on scribbles, with its students; and a second round."""

from dataclasses import dataclass
from pathlib import Path

from base.json_files import read_json, write_json
from studies.acdc.distillation import distil, distil_again
from studies.acdc.settings import VOXEL_SIZE
from studies.results import Part
from studies.scribbles.settings import AGAIN, DATA, IGNORE_LABEL, LABEL, MARKED_IN
from studies.scripts import Scripts


@dataclass(frozen=True)
class Study:
    """Scripts and folders of the study: `scans` with dense references and a protocol.json, and their `scribbles`."""

    scripts: Scripts
    scans: Path
    scribbles: Path
    work: Path

    def resample(self) -> None:
        """Run stage 1: train and val patients with scribbles, test patients with dense references."""
        protocol = read_json(self.scans / "protocol.json", {"train": [str], "val": [str], "test": [str]}, "restore it")
        source = self.work / "source"
        split: dict[str, list[str]] = {}
        for name in ("train", "val", "test"):
            for patient in protocol[name]:
                (source / patient).mkdir(parents=True, exist_ok=True)
                for path in sorted((self.scans / patient).iterdir()):
                    is_reference = "_gt." in path.name
                    if "_frame" in path.name and not is_reference:
                        split.setdefault(name, []).append(path.name.split(".")[0])
                    if is_reference and name != "test":
                        path = self.scribbles / patient / path.name.replace("_gt.", "_scribble.")
                    link = source / patient / path.name.replace("_scribble.", "_gt.")
                    if not link.is_symlink():
                        link.symlink_to(path)
        listing = self.work / "split.json"
        write_json(listing, split)
        options = ["--layout", "acdc", "--voxel-size", *VOXEL_SIZE]
        options += ["--ignore-label", IGNORE_LABEL, "--scribbles", MARKED_IN]
        self.scripts.resample(DATA, "-d", source, *options, "--split-file", listing)


def study_part(study: Study, name: str) -> Part:
    """Distil an ensemble of networks trained on scribbles; in the part `AGAIN`, an ensemble of its students."""
    part, again = Part(), Part()
    study.resample()
    distilled = distil(study.scripts, part, DATA, LABEL)
    if name == AGAIN:
        distil_again(study.scripts, again, distilled)
    return again if name == AGAIN else part
