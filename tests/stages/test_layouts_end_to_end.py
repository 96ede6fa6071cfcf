"""Every layout goes through every stage, with the smallest network and two training steps."""

import numpy as np
import pytest
import SimpleITK as sitk

from tests.material import SMALL, make_kidney, rows_of
from tests.miniatures import WRITERS

LAYOUTS = ["kits", "segthor", "acdc", "decathlon", "nnunet", "pairs"]


@pytest.fixture(scope="module")
def scans():
    """Return three small kidneys whose tumours have label 3, which --classes 0,3 then selects."""
    kidneys = [make_kidney(seed) for seed in range(3)]
    return {f"p{n}": (image, sitk.ChangeLabel(labels, {2: 3})) for n, (image, labels) in enumerate(kidneys)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_goes_through_every_stage(call, tmp_path, scans, layout):
    """Files are .mha except for kits, so that the later stages read converted copies."""
    data, save = tmp_path / "DATA", tmp_path / "SAVE"
    options = WRITERS[layout](tmp_path / "SET", scans, ".nii.gz" if layout == "kits" else ".mha")
    folders = ["-d", data, "-s", save]
    call("resample_data.py", *options, "-o", data, "--voxel-size", 3, 3, 5, "--split", 34, 33, 33)

    train = ["training_network.py", *SMALL, *folders, "--classes", "0,3", "-i", 2]
    output = call(*train, "-r", "teacher")
    assert output.count("note: label 3 is a label of these data; 0,3 means background against 3") == 1
    weights = save / "teacher" / "FINAL*.pth"
    call("testing_network.py", *folders, "-e", "test", "--network-weights", weights)
    call("ensemble.py", *folders, "-e", "train", "--classes", "0,3")
    call(*train, "-r", "student", "--soft")

    frames = ("_frame01", "_frame12") if layout == "acdc" else ("",)
    rows = rows_of(save / "teacher" / "test" / "metrics.csv")
    assert len(rows) == len(frames)
    for row, frame in zip(rows, frames):
        image, reference = scans[row["case"].removesuffix(frame)]
        prediction = sitk.ReadImage(str(save / "teacher" / "test" / f"{row['case']}_prediction.nii.gz"))
        assert prediction.GetSize() == image.GetSize()
        for read, original in (
            (prediction.GetOrigin(), image.GetOrigin()),
            (prediction.GetDirection(), image.GetDirection()),
        ):
            assert read == pytest.approx(original, abs=1e-4)
        millilitres = sitk.GetArrayFromImage(reference == 3).sum() * float(np.prod(image.GetSpacing())) / 1000
        assert float(row["reference_volume_ml"]) == pytest.approx(millilitres, rel=1e-4)
    assert list((save / "student").glob("FINAL_student_2.pth"))
