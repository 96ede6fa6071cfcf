"""Tests of the channels found in each layout. They are found by file names alone, so the files are empty."""

import json

import pytest

from base.errors import InputError
from data.layouts import find_paired_cases, find_source_cases, recognise_layout
from data.layouts.left_over import find_left_over
from data.layouts.source_case import ImageFile
from tests.empty_files import touch
from tests.miniatures import describe

TWO = {"channel_names": {"0": "T1 Gd", "1": "FLAIR"}, "file_ending": ".nii.gz"}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "SET"


def channels_of(cases, folder):
    """Return the channels of each case: a path relative to `folder`, and the number of the component, if it has one."""
    return {
        case.name: {
            name: (image.path.relative_to(folder).as_posix(), image.component) for name, image in case.images.items()
        }
        for case in cases
    }


def found(folder, *channels):
    return channels_of(find_source_cases(folder, recognise_layout(folder), channels), folder)


def test_case_folders_with_a_file_for_each_channel(folder):
    touch(folder, "c0/imaging_T2.nii.gz", "c0/imaging_T1.nii.gz", "c0/segmentation.nii.gz", "c0/imaging_T1_rs.nii.gz")
    touch(folder, "val/c1/imaging_T1.mha", "val/c1/imaging_T2.nii.gz")
    assert found(folder) == {
        "c0": {"T1": ("c0/imaging_T1.nii.gz", None), "T2": ("c0/imaging_T2.nii.gz", None)},
        "c1": {"T1": ("val/c1/imaging_T1.mha", None), "T2": ("val/c1/imaging_T2.nii.gz", None)},
    }
    first, second = find_source_cases(folder, "kits")
    assert (first.image.name, first.is_case_folder, second.is_case_folder) == ("imaging_T1.nii.gz", True, False)
    assert [one.name for one in find_left_over([folder], [first, second], "kits")] == ["c0/imaging_T1_rs.nii.gz"]


def test_one_image_without_a_name_is_no_channel(folder):
    touch(folder, "c0/imaging.nii.gz", "c0/imaging_T1.nii.gz")
    (case,) = find_source_cases(folder, "kits")
    assert case.images == {"": ImageFile(folder / "c0/imaging.nii.gz")}
    assert not case.channels


def test_a_case_that_lacks_a_channel_of_most_cases_is_refused_and_a_rare_channel_is_not_taken(folder):
    for name in "abc":
        touch(folder, f"{name}/imaging_T1.nii.gz", f"{name}/imaging_T2.nii.gz")
    touch(folder, "a/imaging_PD.nii.gz", "d/imaging_T2.nii.gz", "e/imaging.nii.gz")
    *whole, lacking, unnamed = find_source_cases(folder, "kits")
    assert all(list(case.channels) == ["T1", "T2"] and not case.problem for case in whole)
    assert lacking.problem.startswith("has no channel T1; it has T2")
    assert unnamed.problem.startswith("has no channel T1; its scan has no name")
    assert [one.name for one in find_left_over([folder], [*whole, lacking, unnamed], "kits")] == ["a/imaging_PD.nii.gz"]
    assert list(find_source_cases(folder, "kits", ["T2"])[3].channels) == ["T2"]  # which the case has


def test_a_case_with_a_channel_of_its_own_does_not_cost_the_others(folder):
    touch(folder, *(f"{name}/imaging.nii.gz" for name in "abcd"), "e/imaging_old.nii.gz")
    *whole, odd = find_source_cases(folder, "kits")
    assert [case.problem for case in whole] == [""] * 4
    assert odd.problem.startswith("shares no channel with most cases")


def test_the_recorded_order_of_channels_decides_which_grid_is_that_of_the_case(folder):
    for name in "abc":
        touch(folder, f"{name}/imaging_ADC.nii.gz", f"{name}/imaging_T2.nii.gz", f"{name}/imaging_new.nii.gz")
        if name != "a":
            (folder / name / "resampling.json").write_text(json.dumps({"channels": ["T2", "ADC"]}))
    assert [list(case.channels) for case in find_source_cases(folder, "kits")] == [["T2", "ADC", "new"]] * 3


def test_channels_that_no_case_has_are_refused(folder):
    touch(folder, "a/imaging_T1.nii.gz", "a/imaging_T2.nii.gz")
    with pytest.raises(InputError, match=r"--channels: T3 is no channel of .*; it has T1, T2"):
        find_source_cases(folder, "kits", ["T1", "T3"])
    assert list(find_source_cases(folder, "kits", ["T2", "T1"])[0].channels) == ["T2", "T1"]


def test_nnunet_numbers_its_files_and_names_the_channels_in_its_description(folder):
    describe(folder, **TWO)
    touch(folder, "imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz", "imagesTs/b_0001.nii.gz")
    assert found(folder)["a"] == {"T1-Gd": ("imagesTr/a_0000.nii.gz", None), "FLAIR": ("imagesTr/a_0001.nii.gz", None)}
    assert find_source_cases(folder, "nnunet")[1].problem.startswith("has no channel T1-Gd; it has FLAIR")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ({"0": "T1", "2": "T2"}, "numbers its channels 0, 2; number them 0, 1, 2"),
        ({"0": "T1", "1": "T1"}, "names a channel twice: T1, T1"),
        ({"0": "T1", "1": "///"}, "is no name of a channel"),
        ({}, "names no channel"),
    ],
)
def test_names_of_channels_that_cannot_be_used_are_refused(folder, names, problem):
    describe(folder, **{**TWO, "channel_names": names})
    touch(folder, "imagesTr/a_0000.nii.gz")
    with pytest.raises(InputError, match=problem):
        find_source_cases(folder, "nnunet")


def test_the_decathlon_has_one_file_with_all_channels(folder):
    describe(
        folder, modality={"0": "T2", "1": "ADC"}, training=[{"image": "./imagesTr/a.nii.gz", "label": "l/a.nii.gz"}]
    )
    touch(folder, "imagesTr/a.nii.gz", "l/a.nii.gz")
    assert found(folder) == {"a": {"T2": ("imagesTr/a.nii.gz", 0), "ADC": ("imagesTr/a.nii.gz", 1)}}
    assert found(folder, "ADC") == {"a": {"ADC": ("imagesTr/a.nii.gz", 1)}}


def test_nnunet_version_1_has_a_file_for_each_channel(folder):
    describe(
        folder, modality={"0": "T2", "1": "ADC"}, training=[{"image": "./imagesTr/a.nii.gz", "label": "l/a.nii.gz"}]
    )
    touch(folder, "imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz")
    assert found(folder) == {"a": {"T2": ("imagesTr/a_0000.nii.gz", None), "ADC": ("imagesTr/a_0001.nii.gz", None)}}


@pytest.mark.parametrize("modality", [{"0": "CT"}, {"0": "T2", "1": "ADC"}])
def test_numbers_beyond_the_channels_are_refused(folder, modality):
    describe(folder, modality=modality, training=[{"image": "./imagesTr/a.nii.gz", "label": "l/a.nii.gz"}])
    touch(folder, f"imagesTr/a_{len(modality):04d}.nii.gz")
    with pytest.raises(InputError, match=rf"has images numbered 000{len(modality)}, and the last is"):
        found(folder)


def test_references_of_test_images_have_the_names_of_their_files(folder):
    """Also where a train image has the same name, and the cases are called after their folders."""
    describe(
        folder, training=[{"image": "./imagesTr/001.nii.gz", "label": "l/001.nii.gz"}], test=["imagesTs/001.nii.gz"]
    )
    touch(folder, "imagesTr/001.nii.gz", "imagesTs/001.nii.gz", "labelsTs/001.nii.gz")
    cases = {case.name: case.reference for case in find_source_cases(folder, "decathlon")}
    assert cases["imagesTs_001"] == folder / "labelsTs" / "001.nii.gz"


def test_two_references_of_a_scan_are_refused(folder):
    touch(folder, "scans/a.nii.gz", "masks/a.nrrd", "masks/a.seg.nrrd")
    with pytest.raises(InputError, match="conflicts with a"):
        find_paired_cases({"": folder / "scans"}, folder / "masks")


def test_lists_of_monai_name_no_channels(folder):
    describe(folder, training=[{"image": ["a1.nii.gz", "a2.nii.gz"], "label": "l/a.nii.gz"}])
    with pytest.raises(
        InputError, match=r"a1.nii.gz: is one of 2 images of its case, .*; name the channels .*--channels"
    ):
        found(folder)
    assert found(folder, "T1", "T2") == {"a1": {"T1": ("a1.nii.gz", None), "T2": ("a2.nii.gz", None)}}


@pytest.mark.parametrize(
    ("case", "mark", "names", "patient"),
    [
        ("BraTS-GLI-00012-001", "-", ("t1n", "t1c", "t2w", "t2f"), "BraTS-GLI-00012"),
        ("BraTS20_Training_001", "_", ("t1", "t1ce", "t2", "flair"), "BraTS20_Training_001"),
    ],
)
def test_brats(folder, case, mark, names, patient):
    touch(folder, *(f"{case}/{case}{mark}{name}.nii.gz" for name in (*names, "seg")))
    assert found(folder) == {case: {name: (f"{case}/{case}{mark}{name}.nii.gz", None) for name in names}}
    (one,) = find_source_cases(folder, "brats")
    assert (one.reference.name, one.owner) == (f"{case}{mark}seg.nii.gz", patient)
    assert list(found(folder, names[2], names[0])[case]) == [names[2], names[0]]


def test_folders_of_pairs_hold_a_channel_each(folder):
    touch(folder, "one/a.nii.gz", "one/b.nii.gz", "two/a.mha", "masks/a.nii.gz")
    first, second = find_paired_cases({"T1": folder / "one", "T2": folder / "two"}, folder / "masks")
    assert channels_of([first], folder) == {"a": {"T1": ("one/a.nii.gz", None), "T2": ("two/a.mha", None)}}
    assert first.reference == folder / "masks/a.nii.gz"
    assert second.problem.startswith("has no channel T2; it has T1")


def test_a_file_that_holds_all_channels_is_split_up_by_the_names_given(folder):
    touch(folder, "c0/imaging.nii.gz")
    assert found(folder, "T1", "T2") == {"c0": {"T1": ("c0/imaging.nii.gz", 0), "T2": ("c0/imaging.nii.gz", 1)}}
