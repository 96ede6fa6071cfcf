"""The layouts in which data sets come; only stage 1 knows them."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from base.errors import InputError
from data.cases import IMAGE, REFERENCE, SPLITS, is_listed


@dataclass(frozen=True)
class SourceCase:
    """A case as it was found: its files, and the split in whose folder it lies, if any."""

    name: str
    image: Path
    reference: Path | None
    split: str | None = None


def find_source_cases(data_folder: Path) -> tuple[list[SourceCase], bool]:
    """Find the cases of `data_folder`, sorted by name, and say whether they lie in case folders.

    Raises:
        InputError: the folder is missing, holds no case of a known layout, or one name twice.
    """
    if not data_folder.is_dir():
        problem = "is not a folder" if data_folder.exists() else "there is no such folder"
        raise InputError(data_folder, problem, "check -d")
    description = data_folder / "dataset.json"
    in_folders = not (description.is_file() and (data_folder / "imagesTr").is_dir())
    cases = _case_folders(data_folder) if in_folders else _decathlon(data_folder, description)
    if not cases:
        raise InputError(
            data_folder, "holds no case", f"expected CASE/{IMAGE}, or imagesTr/, labelsTr/ and dataset.json (Decathlon)"
        )
    name, times = Counter(case.name for case in cases).most_common(1)[0]
    if times > 1:
        raise InputError(data_folder, f"holds case {name} twice", "keep one of them")
    return sorted(cases, key=lambda case: case.name), in_folders


def _case_folders(data_folder: Path) -> list[SourceCase]:
    """KiTS19: CASE/imaging.nii.gz and segmentation.nii.gz, in `data_folder` or in its train, val and test."""
    cases = []
    for split in (None, *SPLITS):
        place = data_folder / (split or "")
        for folder in place.iterdir() if place.is_dir() else ():
            if is_listed(folder / IMAGE):
                reference = folder / REFERENCE
                cases.append(
                    SourceCase(folder.name, folder / IMAGE, reference if is_listed(reference) else None, split)
                )
    return cases


def _decathlon(data_folder: Path, description: Path) -> list[SourceCase]:
    """Medical Segmentation Decathlon: dataset.json lists training pairs, and test images without references."""
    try:
        content = json.loads(description.read_text(encoding="utf-8"))
        pairs = [(pair["image"], pair["label"]) for pair in content["training"]]
        pairs += [(path, None) for path in content.get("test", [])]
    except (ValueError, KeyError, TypeError):
        raise InputError(
            description, "is no Decathlon description", 'expected "training": [{"image", "label"}]'
        ) from None
    return [
        SourceCase(
            Path(image).name.removesuffix(".gz").removesuffix(".nii"),
            data_folder / image,
            data_folder / reference if reference else None,
        )
        for image, reference in pairs
    ]
