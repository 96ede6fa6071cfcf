"""Miniature data sets: the same scans written in every layout.

Each writer takes a folder and scans (by name: image, and reference or None), and returns the options with which
resample_data.py reads them.
"""

import json
from pathlib import Path

import SimpleITK as sitk

Scans = dict[str, tuple[sitk.Image, sitk.Image | None]]


def write(image: sitk.Image | None, path: Path) -> None:
    if image is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(path))


def write_kits(folder: Path, scans: Scans, ending: str = ".nii.gz") -> list:
    for name, (image, reference) in scans.items():
        write(image, folder / name / f"imaging{ending}")
        write(reference, folder / name / f"segmentation{ending}")
    return ["-d", folder]


def write_segthor(folder: Path, scans: Scans, ending: str = ".nii.gz") -> list:
    for name, (image, reference) in scans.items():
        write(image, folder / name / f"{name}{ending}")
        write(reference, folder / name / f"GT{ending}")
    return ["-d", folder]


def write_acdc(folder: Path, scans: Scans, ending: str = ".nii.gz") -> list:
    """Write the scan as frame 1 (ED), and with intensities increased by 1 as frame 12 (ES), with the same reference."""
    for name, (image, reference) in scans.items():
        for number, frame in ((1, image), (12, image + 1)):
            write(frame, folder / name / f"{name}_frame{number:02d}{ending}")
            write(reference, folder / name / f"{name}_frame{number:02d}_gt{ending}")
        write(sitk.JoinSeries([image, image + 1]), folder / name / f"{name}_4d.nii.gz")
        (folder / name / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: NOR\nHeight: 170.0\n")
    return ["-d", folder]


def write_decathlon(folder: Path, scans: Scans, ending: str = ".nii.gz") -> list:
    """Write scans without a reference as test images."""
    pairs, test = [], []
    for name, (image, reference) in scans.items():
        path = f"images{'Ts' if reference is None else 'Tr'}/{name}{ending}"
        write(image, folder / path)
        write(reference, folder / "labelsTr" / f"{name}{ending}")
        if reference is None:
            test.append(f"./{path}")
        else:
            pairs.append({"image": f"./{path}", "label": f"./labelsTr/{name}{ending}"})
    describe(folder, modality={"0": "CT"}, training=pairs, test=test)
    return ["-d", folder]


def write_nnunet(folder: Path, scans: Scans, ending: str = ".nii.gz") -> list:
    """Write scans without a reference as test images."""
    for name, (image, reference) in scans.items():
        write(image, folder / f"images{'Ts' if reference is None else 'Tr'}" / f"{name}_0000{ending}")
        write(reference, folder / "labelsTr" / f"{name}{ending}")
    describe(folder, channel_names={"0": "CT"}, file_ending=ending, labels={"background": 0}, numTraining=len(scans))
    return ["-d", folder]


def write_two_folders(folder: Path, scans: Scans, ending: str = ".nii.gz") -> list:
    for name, (image, reference) in scans.items():
        write(image, folder / "scans" / f"{name}{ending}")
        write(reference, folder / "masks" / f"{name}{ending}")
    return ["--images", folder / "scans", "--references", folder / "masks"]


def write_one_folder(folder: Path, scans: Scans, ending: str = ".nii.gz") -> list:
    for name, (image, reference) in scans.items():
        write(image, folder / f"{name}{ending}")
        write(reference, folder / f"{name}_seg{ending}")
    return ["-d", folder]


def describe(folder: Path, **content) -> None:
    """Write dataset.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(content))


WRITERS = {
    "kits": write_kits,
    "segthor": write_segthor,
    "acdc": write_acdc,
    "decathlon": write_decathlon,
    "nnunet": write_nnunet,
    "pairs": write_two_folders,
    "pairs in one folder": write_one_folder,
}
