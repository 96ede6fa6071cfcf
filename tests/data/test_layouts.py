"""Tests of the cases found in each layout. Cases are found by file names alone, so the files are empty."""

import json
import os

import pytest

from base.errors import InputError
from data.layouts import LAYOUTS, find_paired_cases, find_source_cases, recognise_layout
from data.layouts.left_over import find_left_over
from tests.empty_files import DECATHLON, NNUNET, touch, write_patient
from tests.miniatures import describe

NOT_UTF8 = os.fsdecode(b"M\xfcller")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "SET"


def found(folder, layout="auto", **options):
    """Return image and reference of each case as paths relative to `folder`, by case name in the order found."""
    name = recognise_layout(folder) if layout == "auto" else layout
    return {case.name: files(case, folder) for case in find_source_cases(folder, name, **options)}


def files(case, folder):
    return tuple(path and path.relative_to(folder).as_posix() for path in (case.image, case.reference))


def test_kits(folder):
    touch(folder, "case_00001/imaging.nii.gz", "case_00000/imaging.nii.gz", "case_00000/segmentation.nii.gz")
    touch(folder, "val/case_00002/imaging.nii.gz", "kits.json", "case_00003/notes.txt")
    assert recognise_layout(folder) == "kits"
    assert found(folder) == {
        "case_00000": ("case_00000/imaging.nii.gz", "case_00000/segmentation.nii.gz"),
        "case_00001": ("case_00001/imaging.nii.gz", None),
        "case_00002": ("val/case_00002/imaging.nii.gz", None),
    }
    assert [case.split for case in find_source_cases(folder, "kits")] == [None, None, "val"]


def test_kits21_reference_name_is_recognized(folder):
    touch(folder, "case_00000/imaging.nii.gz", "case_00000/aggregated_MAJ_seg.nii.gz")
    assert found(folder) == {"case_00000": ("case_00000/imaging.nii.gz", "case_00000/aggregated_MAJ_seg.nii.gz")}
    assert not find_source_cases(folder, "kits")[0].is_case_folder


def test_segthor(folder):
    touch(folder, "Patient_01/Patient_01.nii.gz", "Patient_01/GT.nii.gz", "Patient_41/Patient_41.nii.gz")
    assert recognise_layout(folder) == "segthor"
    assert found(folder) == {
        "Patient_01": ("Patient_01/Patient_01.nii.gz", "Patient_01/GT.nii.gz"),
        "Patient_41": ("Patient_41/Patient_41.nii.gz", None),
    }


def test_a_segthor_folder_without_its_scan_is_one_refused_case(folder):
    touch(folder, "P_1/GT.nii.gz", "P_1/P_01.nii.gz", "P_2/P_2.nii.gz", "P_2/GT.nii.gz")
    assert recognise_layout(folder) == "segthor"
    first, second = find_source_cases(folder, "segthor")
    assert first.image == folder / "P_1" / "P_1.nii.gz"
    assert first.problem.startswith("there is no such scan beside GT.nii.gz")
    assert not second.problem


@pytest.mark.parametrize(
    ("options", "numbers"),
    [({}, (1, 12)), ({"frames": "both"}, (1, 12)), ({"frames": "ED"}, (1,)), ({"frames": "ES"}, (12,))],
)
def test_acdc_frames_are_cases_of_one_patient(folder, options, numbers):
    write_patient(folder, "patient001")
    assert recognise_layout(folder) == "acdc"
    names = [f"patient001_frame{number:02d}" for number in numbers]
    assert found(folder, **options) == {
        name: (f"patient001/{name}.nii.gz", f"patient001/{name}_gt.nii.gz") for name in names
    }
    assert {case.patient for case in find_source_cases(folder, "acdc", **options)} == {"patient001"}


@pytest.mark.parametrize(
    ("info", "problem"),
    [
        (None, "there is no such file"),
        ("ED: 1\n", "does not say which frames"),
        ("ED: 1\nES: late\n", "does not say which frames"),
        ("ED: 1\nES: -1\n", "does not say which frames"),
    ],
)
def test_acdc_a_damaged_description_refuses_only_its_patient(folder, info, problem):
    write_patient(folder, "patient001", info=info)
    write_patient(folder, "patient002")
    damaged, *others = find_source_cases(folder, "acdc")
    assert damaged.name == "patient001"
    assert problem in damaged.problem
    assert [case.name for case in others] == ["patient002_frame01", "patient002_frame12"]
    assert not any(case.problem for case in others)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_acdc_a_description_in_an_encoding_of_windows_is_read(folder, encoding):
    write_patient(folder, "patient001")
    (folder / "patient001" / "Info.cfg").write_bytes("ED: 1\r\nES: 12\r\n".encode(encoding))
    assert list(found(folder)) == ["patient001_frame01", "patient001_frame12"]


def test_a_name_that_is_not_utf8_refuses_only_its_case(folder):
    touch(folder, "case_00000/imaging.nii.gz", f"{NOT_UTF8}/imaging.nii.gz")
    problems = {case.name: case.problem for case in find_source_cases(folder, "kits")}
    assert problems["case_00000"] == ""
    assert "not UTF-8" in problems[NOT_UTF8]


def test_acdc_folders_training_and_testing_give_the_split(folder):
    write_patient(folder / "training", "patient001")
    write_patient(folder / "testing", "patient101", frames=(1,), info="ED: 1\nES: 9\n")
    touch(folder / "testing", "patient101/patient101_frame09.nii.gz")
    cases = find_source_cases(folder, recognise_layout(folder))
    assert [(case.name, case.split) for case in cases] == [
        ("patient001_frame01", "train"),
        ("patient001_frame12", "train"),
        ("patient101_frame01", "test"),
        ("patient101_frame09", "test"),
    ]
    assert [case.reference is None for case in cases] == [False, False, False, True]


def test_decathlon(folder):
    describe(folder, **{**DECATHLON, "test": ["./imagesTs/b.nii.gz"]})
    assert recognise_layout(folder) == "decathlon"
    assert found(folder) == {"a": ("imagesTr/a.nii.gz", "labelsTr/a.nii.gz"), "b": ("imagesTs/b.nii.gz", None)}


def listed(*names, label="label"):
    return [{"image": f"imagesTr/{name}.nii.gz", label: f"labelsTr/{name}.nii.gz"} for name in names]


def test_lists_of_monai_give_the_split(folder):
    describe(folder, training=listed("a"), validation=listed("b"), testing=[{"image": ["imagesTs/c.nii.gz"]}])
    assert found(folder) == {
        "a": ("imagesTr/a.nii.gz", "labelsTr/a.nii.gz"),
        "b": ("imagesTr/b.nii.gz", "labelsTr/b.nii.gz"),
        "c": ("imagesTs/c.nii.gz", None),
    }
    assert [case.split for case in find_source_cases(folder, "decathlon")] == ["train", "val", "test"]
    (folder / "dataset.json").rename(folder / "dataset_0.json")  # a name used in MONAI's examples
    assert recognise_layout(folder) == "decathlon"
    assert len(found(folder)) == 3
    (folder / "datalist.json").write_text((folder / "dataset_0.json").read_text())
    with pytest.raises(InputError, match=r"several lists of cases: datalist\.json, dataset_0\.json"):
        recognise_layout(folder)


def test_an_entry_without_a_label_is_a_scan_without_a_reference(folder):
    entries = [{"image": "a.nii.gz"}, {"image": "b.nii.gz", "label": None}, {"image": "c.nii.gz", "label": ""}]
    describe(folder, training=[*entries, "d.nii.gz", *listed("e")], test=[{"image": "f.nii.gz", "label": "f_l.nii.gz"}])
    references = {name: reference for name, (_, reference) in found(folder).items()}
    assert references == {**dict.fromkeys("abcd"), "e": "labelsTr/e.nii.gz", "f": "f_l.nii.gz"}


def test_equal_names_in_lists_are_distinguished_by_their_folders(folder):
    entries = [{"image": f"./{name}/image.nii.gz", "label": f"{name}/label.nii.gz"} for name in ("p1", "p2")]
    describe(folder, training=entries)
    assert list(found(folder)) == ["p1_image", "p2_image"]


def test_paths_outside_the_data_set_are_refused_in_lists(folder):
    for entry in ({"image": "../a.nii.gz"}, {"image": "a.nii.gz", "label": "/b.nii.gz"}, "../a.nii.gz"):
        describe(folder, training=[], validation=[entry])
        with pytest.raises(InputError, match=r"validation\[0\]: .* leaves the folder"):
            find_source_cases(folder, "decathlon")


def test_nnunet_version_1_file_names_have_channel_numbers_that_the_list_omits(folder):
    describe(folder, **DECATHLON, modality={"0": "CT"})
    touch(folder, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")
    assert found(folder) == {"a": ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")}
    touch(folder, "imagesTr/a_0001.nii.gz")
    with pytest.raises(InputError, match=r"a.nii.gz: is one of 2 images of its case, .* --channels"):
        found(folder)


def test_references_of_test_images_are_found(folder):
    describe(folder / "one", **{**DECATHLON, "test": ["imagesTs/b.nii.gz"]})
    touch(folder / "one", "labelsTs/b.nii.gz")
    describe(folder / "two", **NNUNET)
    touch(folder / "two", "imagesTs/b_0000.nii.gz", "labelsTs/b.nii.gz")
    for name in ("one", "two"):
        assert found(folder / name)["b"][1] == "labelsTs/b.nii.gz"


def test_nnunet(folder):
    describe(folder, **NNUNET)
    touch(folder, "imagesTr/liver_1_0000.nii.gz", "labelsTr/liver_1.nii.gz", "imagesTs/liver_2_0000.nii.gz")
    assert recognise_layout(folder) == "nnunet"
    assert found(folder) == {
        "liver_1": ("imagesTr/liver_1_0000.nii.gz", "labelsTr/liver_1.nii.gz"),
        "liver_2": ("imagesTs/liver_2_0000.nii.gz", None),
    }


def test_pairs_in_one_folder(folder):
    touch(folder, "a.nii.gz", "a_seg.nii.gz", "b.mha", "readme.txt", "._a.nii.gz")
    assert recognise_layout(folder) == "pairs"
    assert found(folder) == {"a": ("a.nii.gz", "a_seg.nii.gz"), "b": ("b.mha", None)}


def test_segmentations_of_3d_slicer_are_references(folder):
    touch(folder / "one", "a.nrrd", "a.seg.nrrd")
    assert recognise_layout(folder / "one") == "pairs"
    assert found(folder / "one") == {"a": ("a.nrrd", "a.seg.nrrd")}
    touch(folder, "scans/a.nii.gz", "masks/a.seg.nrrd")
    (case,) = find_paired_cases({"": folder / "scans"}, folder / "masks")
    assert files(case, folder) == ("scans/a.nii.gz", "masks/a.seg.nrrd")
    touch(folder / "one", "a_seg.nrrd")
    with pytest.raises(InputError, match=r"conflicts with a.seg.nrrd in the same folder"):
        found(folder / "one")


def test_files_named_like_the_reference_of_a_scan_are_not_scans(folder):
    touch(folder, "a.nii.gz", "a_mask.nii.gz", "b.nii.gz", "b-Label.nrrd", "b2.nii.gz", "mask.nii.gz")
    assert list(found(folder, "pairs")) == ["a", "b", "b2", "mask"]


def test_pairs_in_two_folders(folder):
    touch(folder, "scans/a.nii.gz", "scans/b.mha", "masks/a.nrrd")
    cases = find_paired_cases({"": folder / "scans"}, folder / "masks")
    assert [files(case, folder) for case in cases] == [("scans/a.nii.gz", "masks/a.nrrd"), ("scans/b.mha", None)]
    cases = find_paired_cases({"": folder / "scans"}, None)
    assert [files(case, folder) for case in cases] == [("scans/a.nii.gz", None), ("scans/b.mha", None)]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".mhd", ".nrrd"])
def test_every_extension_is_recognized_in_every_layout(folder, ending):
    touch(folder / "kits", f"c/imaging{ending}", f"c/segmentation{ending}")
    touch(folder / "segthor", f"c/c{ending}", f"c/GT{ending}")
    touch(folder / "acdc", f"c/c_frame01{ending}", f"c/c_frame01_gt{ending}")
    (folder / "acdc/c/Info.cfg").write_text("ED: 1\nES: 2\n")
    describe(folder / "decathlon", training=[{"image": f"c{ending}", "label": f"labelsTr/c{ending}"}])
    describe(folder / "nnunet", **{**NNUNET, "file_ending": ending})
    touch(folder / "nnunet", f"imagesTr/c_0000{ending}", f"labelsTr/c{ending}")
    touch(folder / "pairs", f"c{ending}", f"c_seg{ending}")
    touch(folder / "brats", f"c/c_t1{ending}", f"c/c_seg{ending}")
    for layout in LAYOUTS:
        assert recognise_layout(folder / layout) == layout
        options = {"frames": "ED"} if layout == "acdc" else {}
        (case,) = find_source_cases(folder / layout, layout, **options)
        assert case.name == ("c_frame01" if layout == "acdc" else "c")
        assert case.image.name.endswith(ending)
        assert case.reference.name.endswith(ending)


@pytest.mark.parametrize("change", [str.upper, str.title])
def test_extensions_are_recognized_regardless_of_case(folder, change):
    for name in ("c/imaging.nii.gz", "c/segmentation.mha", "train/d/imaging.nrrd"):
        stem, dot, ending = name.partition(".")
        touch(folder, stem + change(dot + ending))
    assert recognise_layout(folder) == "kits"
    paths = [path.lower() for pair in found(folder).values() for path in pair if path]
    assert paths == ["c/imaging.nii.gz", "c/segmentation.mha", "train/d/imaging.nrrd"]


def test_files_of_operating_systems_are_ignored(folder):
    touch(folder, "c1/imaging.nii.gz", "c1/._imaging.nii.gz", "c1/.DS_Store", "__MACOSX/c1/._imaging.nii.gz")
    touch(folder, "@eaDir/imaging.nii.gz", ".Trash/imaging.nii.gz", "Thumbs.db", "._c1")
    assert found(folder) == {"c1": ("c1/imaging.nii.gz", None)}
    assert not find_left_over([folder], find_source_cases(folder, "kits"), "kits")


def test_only_the_folder_without_a_scan_is_refused(folder):
    touch(folder, "c1/imaging.nii.gz", "c2/segmentation.nii.gz", "val/c3/aggregated_MAJ_seg.nii.gz")
    cases = find_source_cases(folder, recognise_layout(folder))
    assert [(case.name, bool(case.problem)) for case in cases] == [("c1", False), ("c2", True), ("c3", True)]
    assert "there is no such scan beside segmentation.nii.gz" in cases[1].problem
    (folder / "c1/imaging.nii.gz").unlink()
    assert recognise_layout(folder) == "kits"


def test_a_broken_link_is_found(folder):
    touch(folder, "Patient_01/Patient_01.nii.gz")
    (folder / "Patient_01/GT.nii.gz").symlink_to(folder / "nowhere")
    assert found(folder) == {"Patient_01": ("Patient_01/Patient_01.nii.gz", "Patient_01/GT.nii.gz")}


def two_kinds_of_folders(folder):
    touch(folder, "case_00000/imaging.nii.gz", "Patient_01/Patient_01.nii.gz")
    return "kits, segthor"


def a_patient_beside_pairs(folder):
    write_patient(folder, "patient001")
    touch(folder, "a.nrrd", "a_seg.nrrd")
    return "acdc, pairs"


def two_descriptions_in_one(folder):
    describe(folder, **NNUNET, **DECATHLON)
    return "decathlon, nnunet"


@pytest.mark.parametrize("write", [two_kinds_of_folders, a_patient_beside_pairs, two_descriptions_in_one])
def test_an_ambiguous_layout_is_refused_with_its_candidates(folder, write):
    candidates = write(folder)
    with pytest.raises(InputError, match=f"several layouts: {candidates}; name one with --layout"):
        recognise_layout(folder)
    for layout in candidates.split(", "):
        if layout != "nnunet":  # only its description was written
            assert found(folder, layout)


def images_alone(folder):
    touch(folder, "a.nii.gz", "b.nii.gz")


def a_description_of_neither(folder):
    describe(folder, name="something")
    touch(folder, "imagesTr/a.nii.gz")


def nothing(folder):
    folder.mkdir()


@pytest.mark.parametrize("write", [images_alone, a_description_of_neither, nothing])
def test_an_unknown_layout_is_refused(folder, write):
    write(folder)
    with pytest.raises(InputError, match=r"holds no case of a known layout; .*kits, segthor, acdc"):
        recognise_layout(folder)


def test_images_alone_are_found_if_the_layout_is_given(folder):
    images_alone(folder)
    assert found(folder, "pairs") == {"a": ("a.nii.gz", None), "b": ("b.nii.gz", None)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_without_cases_of_the_given_layout_is_refused(folder, layout):
    folder.mkdir()
    with pytest.raises(InputError, match=f"no case of the layout {layout}; expected "):
        find_source_cases(folder, layout)


def described(description, *paths):
    def write(folder):
        describe(folder, **description)
        touch(folder, *paths)

    return write


def touched(*paths):
    return lambda folder: touch(folder, *paths)


def patient(**settings):
    return lambda folder: write_patient(folder, "patient001", **settings)


def json_is(text):
    def write(folder):
        touch(folder, "dataset.json")
        (folder / "dataset.json").write_text(text)

    return write


TWO_CHANNELS = {**NNUNET, "channel_names": {"0": "T1", "1": "FLAIR"}}
WRONG = {
    "kits, case twice": ("kits", touched("c/imaging.nii.gz", "val/c/imaging.nii.gz"), "holds case c twice"),
    "kits, two scans": (
        "kits",
        touched("c/imaging.nii.gz", "c/imaging.mha"),
        "imaging.mha: conflicts with imaging.nii.gz",
    ),
    "decathlon, damaged": ("decathlon", json_is("{"), "dataset.json: is not a JSON object"),
    "decathlon, a list": ("decathlon", json_is("[1]"), "dataset.json: is not a JSON object"),
    "decathlon, no pairs": ("decathlon", json_is('{"training": [3]}'), "is not a Decathlon description"),
    "decathlon, a picture": (
        "decathlon",
        described({"training": [{"image": "a.png", "label": "b.png"}]}),
        "a.png: is not an image file",
    ),
    "nnunet, third channel": (
        "nnunet",
        described(TWO_CHANNELS, "imagesTr/a_0002.nii.gz"),
        "is not named .* 0000 to 0001",
    ),
    "nnunet, pictures": ("nnunet", described({**NNUNET, "file_ending": ".png"}), "files that end in .png"),
    "nnunet, version 1": ("nnunet", described(DECATHLON), "is not a description of nnU-Net v2"),
    "nnunet, no number": ("nnunet", described(NNUNET, "imagesTr/a.nii.gz"), "is not named CASE_NUMBER.nii.gz"),
    "nnunet, channel 1": ("nnunet", described(NNUNET, "imagesTr/a_0001.nii.gz"), "is not named CASE_NUMBER.nii.gz"),
    "nnunet, other ending": ("nnunet", described(NNUNET, "imagesTr/a_0000.mha"), "is not named CASE_NUMBER.nii.gz"),
    "nnunet, no image": (
        "nnunet",
        described(NNUNET, "imagesTr/a_0000.nii.gz", "labelsTr/b.nii.gz"),
        "b.nii.gz: there is no image of case b",
    ),
    "pairs, no image": ("pairs", touched("a.nii.gz", "b_seg.nii.gz"), "b_seg.nii.gz: there is no image of case b"),
    "pairs, two images": ("pairs", touched("a.nii.gz", "a.nrrd"), "a.nrrd: conflicts with a.nii.gz"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_files_that_do_not_match_their_layout_are_refused(folder, wrong):
    layout, write, problem = wrong
    write(folder)
    with pytest.raises(InputError, match=problem):
        find_source_cases(folder, layout)


def test_a_missing_label_of_nnunet_is_not_ignored(folder):
    """Check that a training case without a label gets the path of the missing file, which is refused when read."""
    described(NNUNET, "imagesTr/a_0000.nii.gz")(folder)
    assert found(folder) == {"a": ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")}


def test_folders_of_pairs_without_images_are_refused(folder):
    touch(folder, "scans/a.nii.gz", "masks/b.nii.gz", "empty/note.txt")
    with pytest.raises(InputError, match=r"masks/b\.nii\.gz: there is no image of case b"):
        find_paired_cases({"": folder / "scans"}, folder / "masks")
    with pytest.raises(InputError, match=r"empty: holds no reference: .*; check --references"):
        find_paired_cases({"": folder / "scans"}, folder / "empty")
    with pytest.raises(InputError, match="empty: holds no case"):
        find_paired_cases({"": folder / "empty"}, None)
    with pytest.raises(InputError, match="nowhere: there is no such folder; check --images"):
        find_paired_cases({"": folder / "nowhere"}, None)
    with pytest.raises(InputError, match="nowhere: there is no such folder; check --references"):
        find_paired_cases({"": folder / "scans"}, folder / "nowhere")


def test_nnunet_and_decathlon_are_distinguished_by_the_description(folder):
    """Check layouts that both have imagesTr, labelsTr and dataset.json."""
    for name, description in (("one", NNUNET), ("two", DECATHLON)):
        described(description, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")(folder / name)
    assert (recognise_layout(folder / "one"), recognise_layout(folder / "two")) == ("nnunet", "decathlon")
    assert json.loads((folder / "two" / "dataset.json").read_text()) == DECATHLON
