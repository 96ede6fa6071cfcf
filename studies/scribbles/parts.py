"""The study: an ensemble of networks trained on scribbles, its students, and a second round."""

from dataclasses import dataclass
from pathlib import Path

from base.json_files import read_json, write_json
from studies.acdc.distillation import distil, distil_again
from studies.acdc.settings import VOXEL_SIZE
from studies.results import Part
from studies.scripts import Scripts

LABEL = "scribbles"  # of the groups of runs


@dataclass(frozen=True)
class Study:
    """Scripts and folders of the study: `scans` with dense references and a protocol.json, and their `scribbles`."""

    scripts: Scripts
    scans: Path
    scribbles: Path
    work: Path

    def resample(self, data: str, ignore_label: int) -> None:
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
        options = ["--layout", "acdc", "--voxel-size", *VOXEL_SIZE, "--ignore-label", ignore_label]
        self.scripts.resample(data, "-d", source, *options, "--split-file", listing)


def study_scribbles(study: Study, data: str, ignore_label: int) -> Part:
    """Distil an ensemble of networks trained on scribbles, and once more with students as members."""
    part = Part()
    study.resample(data, ignore_label)
    distil_again(study.scripts, part, distil(study.scripts, part, data, LABEL))
    return part
