"""Tests of leftovers: files of a data set that stage 1 does not use. Names alone decide, so the files are empty."""

import pytest

from data.layouts import find_source_cases, recognise_layout
from data.layouts.left_over import find_left_over, lines_of
from tests.empty_files import DECATHLON, NNUNET, touch, write_patient
from tests.miniatures import describe


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "SET"


def left_over(folder, layout="auto", **options):
    """Return the leftovers by name, and whether each is a mistake."""
    layout = recognise_layout(folder) if layout == "auto" else layout
    return {
        one.name: one.is_mistake
        for one in find_left_over([folder], find_source_cases(folder, layout), layout, **options)
    }


LEFT_OVER = {
    "kits, nothing in a folder": (
        "kits",
        ["c1/imaging.nii.gz", "c2/notes.txt", "notes/a.txt"],
        {"c2": True, "notes": False},
    ),
    "kits, another name": (
        "kits",
        ["c1/imaging.nii.gz", "c1/Segmentation.seg.nrrd", "c2/image.nii.gz"],
        {"c1/Segmentation.seg.nrrd": True, "c2/image.nii.gz": True},
    ),
    "kits, annotators": (
        "kits",
        ["c1/imaging.nii.gz", "c1/segmentation.nii.gz", "c1/instances/kidney_1.nii.gz"],
        {"c1/instances/kidney_1.nii.gz": False},
    ),
    "kits, another split": (
        "kits",
        ["train/c1/imaging.nii.gz", "validation/c2/imaging.nii.gz"],
        {"validation/c2/imaging.nii.gz": True},
    ),
    "kits, of this program": (
        "kits",
        [
            *(f"c1/{name}" for name in ("imaging.nii.gz", "imaging_rs.nii.gz", "segmentation_rs.nii.gz")),
            *("c1/resampling.json", "OUT/c1/imaging.nii.gz"),
            *("SAVE/run/val/predictions.json", "SAVE/run/val/c1_prediction.nii.gz"),
        ],
        {"SAVE": False},
    ),
    "kits, no download": (
        "kits",
        ["c1/imaging.nii.gz", "c2/imaging.nii.gz.part", "c3/1.dcm"],
        {"c2/imaging.nii.gz.part": True, "c3/1.dcm": True},
    ),
    "segthor": ("segthor", ["P_1/P_1.nii.gz", "P_1/gt.nii.gz", "P_2/x.txt"], {"P_1/gt.nii.gz": True, "P_2": True}),
    "brats": (
        "brats",
        ["B_1/B_1_t1.nii.gz", "B_1/B_1_seg.nii.gz", "B_2/B_2_t1.nii.gz", "B_2/W39_1998.09.19_Segm.nii"],
        {"B_2/W39_1998.09.19_Segm.nii": True},
    ),
    "acdc": ("acdc", [], {"patient001/patient001_4d.nii.gz": False}),
    "decathlon": (
        "decathlon",
        ["imagesTr/a.nii.gz", "imagesTr/b.nii.gz", "labelsTr/b.nii.gz", "labelsTr/c.nii.gz", "imagesTs/d.nii.gz"],
        {"imagesTr/b.nii.gz": False, "labelsTr/b.nii.gz": False, "labelsTr/c.nii.gz": True}
        | {"imagesTs/d.nii.gz": False, "dataset.json": True},
    ),
    "nnunet": (
        "nnunet",
        ["imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "imagesVal/b_0000.nii.gz", "labelsTs/c.nii.gz"],
        {"imagesVal/b_0000.nii.gz": False, "labelsTs/c.nii.gz": True},
    ),
    "pairs": (
        "pairs",
        ["a.nii.gz", "a_seg.nii.gz", "a_mask.nii.gz", "b.nii.gz", "b_mask.nii.gz", "c.nii.gz.crdownload", "d/d.mgz"],
        {"a_mask.nii.gz": False, "b_mask.nii.gz": True, "c.nii.gz.crdownload": True, "d/d.mgz": False},
    ),
}


@pytest.mark.parametrize("case", LEFT_OVER.values(), ids=LEFT_OVER)
def test_leftovers_are_found_and_mistakes_recognized(folder, case):
    layout, paths, expected = case
    touch(folder, *paths)
    if layout == "acdc":
        write_patient(folder, "patient001")
    if layout == "decathlon":
        describe(folder, **DECATHLON, folds=[{"image": "e.nii.gz"}], labels=["kidney", "tumour"])
    if layout == "nnunet":
        describe(folder, **NNUNET)
    assert left_over(folder, layout, output=folder / "OUT") == expected


def test_leftovers_of_one_kind_are_listed_in_one_line(folder):
    touch(folder, *(f"c{n}/{name}.nii.gz" for n in range(30) for name in ("imaging", "segmentation", "other")))
    touch(folder, "c30/x", "c31/x")
    lines = lines_of(find_left_over([folder], find_source_cases(folder, "kits"), "kits"))
    others = "c0/other.nii.gz, c1/other.nii.gz, c10/other.nii.gz, c11/other.nii.gz, c12/other.nii.gz and 25 more"
    assert lines == ["c30 holds no scan", "c31 holds no scan", f"{others}: belongs to no case"]
