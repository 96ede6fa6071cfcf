"""Resampling (stage 1) writes the same cases from every layout of the same scans."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from data.case_record import read_case_record
from data.images.image_files import Grid
from tests.material import DIRECTIONS, image_of
from tests.miniatures import WRITERS, write, write_kits, write_one_folder, write_segthor, write_two_folders


def make_scan(seed, direction):
    """Return a scan with one of `DIRECTIONS`, and a reference with the labels 0, 1 and 2."""
    rng = np.random.default_rng(seed)
    geometry = ((0.7, 0.9, 2.5), (-81.3, 40.7, -1203.1), DIRECTIONS[direction].ravel().tolist())
    image = image_of(rng.integers(-1000, 1000, (4, 6, 5)).astype(np.int16), *geometry)
    return image, image_of(rng.integers(0, 3, (4, 6, 5)).astype(np.uint8), *geometry)


@pytest.fixture
def scans():
    """Return three scans, the last without a reference."""
    made = {f"p{number}": make_scan(number, name) for number, name in enumerate(("permuted", "flipped", "oblique"))}
    made["p2"] = (made["p2"][0], None)
    return made


def in_lps(image):
    return sitk.DICOMOrient(image, "LPS")


def check(folder, image, reference):
    """Check that a case folder holds image and reference, both as they were and in LPS orientation."""
    for name, expected in (("imaging", image), ("segmentation", reference)):
        if expected is None:
            assert not list(folder.glob(f"{name}*"))
            continue
        for suffix, wanted in (("", expected), ("_rs", in_lps(expected))):
            read = sitk.ReadImage(str(folder / f"{name}{suffix}.nii.gz"))
            np.testing.assert_array_equal(sitk.GetArrayFromImage(read), sitk.GetArrayFromImage(wanted))
            assert not Grid.of(read).differs_from(Grid.of(wanted))


@pytest.mark.parametrize("layout", WRITERS)
def test_every_layout_gives_the_same_cases(run, tmp_path, scans, layout):
    options = WRITERS[layout](tmp_path / "SET", scans)
    command = ["resample_data.py", *options, "-o", tmp_path / "OUT", "--voxel-size", "none"]
    output = run(*command).stdout
    name = layout.partition(" ")[0]
    assert f"layout {name}" in output
    cases = {f"{name}_frame01" if layout == "acdc" else name: scan for name, scan in scans.items()}
    if layout == "acdc":
        cases |= {f"{name}_frame12": (image + 1, reference) for name, (image, reference) in scans.items()}
    assert sorted(path.name for path in (tmp_path / "OUT").iterdir()) == sorted(cases)
    for case, scan in cases.items():
        check(tmp_path / "OUT" / case, *scan)
    assert f"0 resampled, {len(cases)} done before" in run(*command, "--layout", name).stdout


def test_each_file_extension_is_read_in_pairs(run, tmp_path):
    scans = {
        ending.strip("."): make_scan(7, "oblique, permuted") for ending in (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")
    }
    endings = {name: f".{name}" for name in scans}
    for name, scan in scans.items():
        options = write_two_folders(tmp_path / "SET", {name: scan}, endings[name])
    run("resample_data.py", *options, "-o", tmp_path / "OUT", "--voxel-size", "none")
    for name, scan in scans.items():
        check(tmp_path / "OUT" / name, *scan)
        assert (tmp_path / "OUT" / name / "imaging.nii.gz").is_symlink() == (name == "nii.gz")


def test_case_folders_of_another_format_need_an_output_folder(run, tmp_path, scans):
    options = write_kits(tmp_path / "SET", scans, ".mha")
    errors = run("resample_data.py", *options, status=2).stderr
    assert errors.startswith("error: --output: ")
    assert "-o OUT" in errors
    run("resample_data.py", *options, "-o", tmp_path / "OUT", "--voxel-size", "none", "-j", 2)
    for name, scan in scans.items():
        check(tmp_path / "OUT" / name, *scan)
    assert not list((tmp_path / "SET").rglob("*.nii.gz"))


@pytest.mark.parametrize(("frames", "numbers"), [("ED", ["01"]), ("ES", ["12"]), ("both", ["01", "12"])])
def test_frames_of_acdc_are_selected(run, tmp_path, scans, frames, numbers):
    options = WRITERS["acdc"](tmp_path / "SET", scans)
    run("resample_data.py", *options, "-o", tmp_path / "OUT", "--frames", frames, "--voxel-size", "none")
    names = {path.name for path in (tmp_path / "OUT").iterdir()}
    assert names == {f"{patient}_frame{number}" for patient in scans for number in numbers}


def test_frames_of_a_patient_stay_in_one_split(run, tmp_path):
    scans = {f"patient{number:03d}": make_scan(number, "LPS") for number in range(6)}
    options = WRITERS["acdc"](tmp_path / "SET", scans)
    shares = ["--split", 34, 33, 33, "--voxel-size", "none"]
    run("resample_data.py", *options, "-o", tmp_path / "OUT", *shares)
    for split in ("train", "val", "test"):
        names = sorted(path.name for path in (tmp_path / "OUT" / split).iterdir())
        assert len(names) == 4
        assert [name.partition("_")[0] for name in names[::2]] == [name.partition("_")[0] for name in names[1::2]]


def test_acdc_keeps_its_own_split(run, tmp_path):
    for split, name in (("training", "patient001"), ("testing", "patient101")):
        WRITERS["acdc"](tmp_path / "SET" / split, {name: make_scan(0, "LPS")})
    run("resample_data.py", "-d", tmp_path / "SET", "-o", tmp_path / "OUT", "--frames", "ED", "--voxel-size", "none")
    for split, name in (("train", "patient001"), ("test", "patient101")):
        assert (tmp_path / "OUT" / split / f"{name}_frame01" / "imaging_rs.nii.gz").exists()


def test_layout_resolves_an_ambiguous_folder(run, tmp_path):
    first, second = make_scan(0, "LPS"), make_scan(1, "LPS")
    write_kits(tmp_path / "SET", {"case_00000": first})
    write_segthor(tmp_path / "SET", {"Patient_01": second})
    command = ["resample_data.py", "-d", tmp_path / "SET", "-o", tmp_path / "OUT", "--voxel-size", "none"]
    errors = run(*command, status=2).stderr
    assert errors == f"error: {tmp_path}/SET: looks like several layouts: kits, segthor; name one with --layout\n"
    run(*command, "--layout", "segthor")
    assert [path.name for path in (tmp_path / "OUT").iterdir()] == ["Patient_01"]
    check(tmp_path / "OUT" / "Patient_01", *second)


def test_missing_frames_and_labels_are_refused_and_the_others_resampled(run, tmp_path, scans):
    acdc = WRITERS["acdc"](tmp_path / "ACDC", scans)
    (tmp_path / "ACDC" / "p0" / "p0_frame12.nii.gz").unlink()
    process = run("resample_data.py", *acdc, "-o", tmp_path / "OUT", "--voxel-size", "none", status=2)
    assert "5 resampled, 0 done before, 1 refused" in process.stdout
    assert "p0_frame12.nii.gz: there is no such file" in process.stderr
    nnunet = WRITERS["nnunet"](tmp_path / "NNUNET", scans)
    (tmp_path / "NNUNET" / "labelsTr" / "p1.nii.gz").unlink()
    process = run("resample_data.py", *nnunet, "-o", tmp_path / "OUT2", "--voxel-size", "none", status=2)
    assert "2 resampled, 0 done before, 1 refused" in process.stdout
    assert "labelsTr/p1.nii.gz: there is no such file" in process.stderr


def case_folders(work):
    write_kits(work, {"case_00000": make_scan(0, "LPS")})
    return ["-d", work]


def two_folders(work):
    return write_two_folders(work, {"a": make_scan(0, "LPS")})


def no_folder(work):
    return []


# Writer of the data set, further options, and the error, which begins with the file or option.
WRONG = [
    (case_folders, ["--frames", "ED"], "--frames: means nothing for the layout kits"),
    (case_folders, ["--layout", "kits", "--frames", "both"], "--frames: means nothing for the layout kits"),
    (two_folders, ["--frames", "ED", "-o", "OUT"], "--frames: means nothing for the layout pairs"),
    (case_folders, ["--references", "masks"], "--references: means nothing without --images"),
    (case_folders, ["--images", "scans"], "--images: contradicts -d"),
    (two_folders, ["--layout", "acdc"], "--images: means nothing for the layout acdc"),
    (two_folders, [], "--output: "),
    (no_folder, [], "-d/--data: is missing"),
    (case_folders, ["--layout", "segthor"], "holds no case of the layout segthor; expected PATIENT/PATIENT.nii.gz"),
    (case_folders, ["--layout", "kits23"], "--layout: invalid choice"),
    (case_folders, ["--frames", "3"], "--frames: invalid choice"),
    (case_folders, ["--channels", "T1,T1"], "--channels: 'T1,T1' names a channel twice"),
    (case_folders, ["--channels", "../T1,T2"], "--channels: '../T1' is no name of a channel"),
    (two_folders, ["--images", "T1=one", "two"], "--images: two does not say which channel its images are"),
]


@pytest.mark.parametrize(("write_set", "more", "problem"), WRONG)
def test_wrong_options_give_one_line_and_write_nothing(run, tmp_path, write_set, more, problem):
    options = write_set(tmp_path / "SET")
    before = sorted(tmp_path.rglob("*"))
    more = [tmp_path / word if word == "OUT" else word for word in more]
    errors = run("resample_data.py", *options, *more, status=2).stderr
    assert len(errors.splitlines()) == 1
    assert errors.startswith("error: ")
    assert problem in errors
    assert sorted(tmp_path.rglob("*")) == before


def test_the_data_set_is_refused_as_output(run, tmp_path):
    options = write_one_folder(tmp_path / "SET", {"a": make_scan(0, "LPS")})
    errors = run("resample_data.py", *options, "-o", tmp_path / "SET" / ".." / "SET", status=2).stderr
    assert errors.startswith("error: --output: ")
    assert len(list((tmp_path / "SET").iterdir())) == 2


def patients_of(folder):
    records = {path.parent.name: json.loads(path.read_text()) for path in folder.rglob("resampling.json")}
    return {name: record["patient"] for name, record in records.items()}


def test_patients_are_recorded_and_kept(call, tmp_path):
    """Later runs read the case folders, a layout without patients, and keep them all the same."""
    options = WRITERS["acdc"](tmp_path / "SET", {f"p{number}": make_scan(number, "LPS") for number in range(3)})
    keep = ["--voxel-size", "none"]
    call("resample_data.py", *options, "-o", tmp_path / "OUT", *keep)
    expected = {f"p{number}_frame{frame}": f"p{number}" for number in range(3) for frame in ("01", "12")}
    assert patients_of(tmp_path / "OUT") == expected
    call("resample_data.py", "-d", tmp_path / "OUT", *keep, "--split", 1, 1, 1)
    assert patients_of(tmp_path / "OUT") == expected
    for split in ("train", "val", "test"):
        assert len(set(patients_of(tmp_path / "OUT" / split).values())) == 1
    call("resample_data.py", "-d", tmp_path / "OUT", "-o", tmp_path / "COPY", *keep)
    assert patients_of(tmp_path / "COPY") == expected


def test_a_file_of_patients_applies_to_finished_cases(call, tmp_path):
    options = write_kits(tmp_path / "SET", {f"c{number}": make_scan(number, "LPS") for number in range(4)})
    command = ["resample_data.py", *options, "--voxel-size", "none"]
    call(*command)
    record = tmp_path / "SET" / "c0" / "resampling.json"
    earlier = json.loads(record.read_text())
    assert earlier.pop("patient") == "c0"
    record.write_text(json.dumps(earlier))  # as earlier versions wrote it
    (tmp_path / "patients.csv").write_text("case,patient\nc0,x\nc1,x\nc2,y\nc3,y\n")
    output = call(*command, "--patients", tmp_path / "patients.csv", "--split", 50, 0, 50)
    assert "0 resampled, 4 done before" in output
    parts = [patients_of(tmp_path / "SET" / split) for split in ("train", "test")]
    assert sorted(parts, key=str) == [{"c0": "x", "c1": "x"}, {"c2": "y", "c3": "y"}]


def write_fractional(path):
    """Write labels that are no whole numbers, which stage 1 refuses, on the grid of a reference at `path`."""
    labels = sitk.ReadImage(str(path), sitk.sitkFloat32)
    path.unlink()
    sitk.WriteImage(labels + 0.3, str(path))


def test_a_correction_that_was_refused_is_taken_once_it_is_repaired(run, call, tmp_path):
    options = write_one_folder(tmp_path / "SET", {"a": make_scan(0, "LPS"), "b": make_scan(1, "LPS")})
    command = ["resample_data.py", *options, "-o", tmp_path / "OUT", "--voxel-size", "none"]
    call(*command)
    corrected = tmp_path / "OUT" / "a" / "segmentation.nii.gz"
    good = sitk.Cast(sitk.ReadImage(str(corrected)) > 0, sitk.sitkUInt8)
    write_fractional(corrected)
    assert "refused" in run(*command, status=2).stderr
    assert not (tmp_path / "OUT" / "b" / "segmentation.nii.gz").samefile(corrected)
    sitk.WriteImage(good, str(corrected))
    output = call(*command)
    assert "1 resampled, 1 done before" in output
    assert f"{corrected} is used instead of" in output


def test_what_was_said_of_a_reference_outlasts_a_refusal(run, call, tmp_path):
    options = write_kits(tmp_path / "SET", {"a": make_scan(0, "LPS"), "b": make_scan(1, "LPS")})
    command = ["resample_data.py", *options, "--voxel-size", "none"]
    call(*command, "--ignore-label", 2)
    reference = tmp_path / "SET" / "a" / "segmentation.nii.gz"
    good = sitk.ReadImage(str(reference))
    write_fractional(reference)
    run(*command, status=2)
    sitk.WriteImage(good, str(reference))
    call(*command)
    record = read_case_record(tmp_path / "SET" / "a", "")
    assert record["options"]["ignore_label"] == 2 and "2" not in record["labels"]


def test_an_ignore_label_that_no_reference_has_is_told(call, tmp_path):
    options = write_kits(tmp_path / "SET", {"a": make_scan(0, "LPS")})
    command = ["resample_data.py", *options, "--voxel-size", "none", "--ignore-label"]
    told = "no reference has the label of voxels that are not annotated, 200 (--ignore-label)"
    assert told in call(*command, 200)
    assert told in call(*command, 200)  # done before
    assert "no reference has the label" not in call(*command, 2)


def test_unused_files_are_listed_last_and_probable_mistakes_fail_the_run(run, tmp_path):
    scans = {f"c{number}": make_scan(number, "LPS") for number in range(3)}
    options = write_kits(tmp_path / "SET", scans)
    write(scans["c0"][1], tmp_path / "SET" / "c0" / "old.nii.gz")
    command = ["resample_data.py", *options, "--voxel-size", "none"]
    assert run(*command).stdout.endswith("not taken: c0/old.nii.gz: belongs to no case\n")
    (tmp_path / "SET" / "c1" / "imaging.nii.gz").unlink()
    (tmp_path / "SET" / "c3").mkdir()
    process = run(*command, status=2)
    assert "0 resampled, 2 done before, 1 refused" in process.stdout
    assert "refused: c1: " in process.stdout
    assert "not taken: c3 holds no scan" in process.stdout
    problems = "1 of 3 cases were refused; not taken, by mistake as it seems: c3"
    assert process.stderr.splitlines()[-1] == f"error: {tmp_path}/SET: {problems}; see the list above"
    with pytest.raises(FileNotFoundError):
        read_case_record(tmp_path / "SET" / "c1", "")


def label_map(step=1):
    """Return a label map of four areas with three labels, `step` apart."""
    return image_of((np.indices((6, 12, 12)) // 6).sum(axis=0).astype(np.uint8) * step)


def test_label_maps_are_not_taken_for_scans(call, tmp_path):
    """With the layout pairs, a label map without a reference is refused; a scan of few intensities is accepted."""
    bits = image_of(np.random.default_rng(0).integers(0, 60, (6, 12, 12)).astype(np.uint8))
    for name, image in (
        ("a", label_map()),
        ("b", label_map(50)),
        ("c", bits),
        ("d", label_map()),
        ("d_seg", label_map()),
    ):
        write(image, tmp_path / "SET" / f"{name}.nii.gz")
    command = [
        "resample_data",
        "--layout",
        "pairs",
        "-d",
        tmp_path / "SET",
        "-o",
        tmp_path / "OUT",
        "--voxel-size",
        "none",
    ]
    with pytest.raises(InputError, match="2 of 4 cases were refused"):
        call(*command)
    assert sorted(path.parent.name for path in (tmp_path / "OUT").rglob("resampling.json")) == ["c", "d"]
    with pytest.raises(InputError, match=r"refused: .*a.nii.gz: looks like a map of labels, not like a scan"):
        write(label_map(), tmp_path / "MASKS" / "a.nii.gz")
        call("resample_data", "--images", tmp_path / "MASKS", "-o", tmp_path / "OUT2", "--voxel-size", "none")


def test_a_cropped_segmentation_of_3d_slicer_is_refused_with_a_remedy(call, tmp_path):
    image, reference = make_scan(0, "oblique")
    for name, labels in (("a", reference), ("b", reference[1:4, 1:4, 1:3])):
        write(image, tmp_path / "SET" / f"{name}.nrrd")
        write(labels, tmp_path / "SET" / f"{name}.seg.nrrd")
    with pytest.raises(InputError, match=r"b.seg.nrrd: is not on the grid .*it is from 3D Slicer: export it there"):
        call("resample_data", "-d", tmp_path / "SET", "-o", tmp_path / "OUT", "--voxel-size", "none")
    check(tmp_path / "OUT" / "a", image, reference)


@pytest.mark.parametrize("ending", [".NII.GZ", ".NII", ".MHA", ".MHD", ".NRRD", ".Nii.Gz"])
def test_file_extensions_in_capitals_are_read(call, tmp_path, ending):
    scan = make_scan(3, "flipped")
    options = write_two_folders(tmp_path / "SET", {"a": scan}, ending.lower())
    for folder in ("scans", "masks"):
        (tmp_path / "SET" / folder / f"a{ending.lower()}").rename(tmp_path / "SET" / folder / f"a{ending}")
    call("resample_data", *options, "-o", tmp_path / "OUT", "--voxel-size", "none")
    check(tmp_path / "OUT" / "a", *scan)
