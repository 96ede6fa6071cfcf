"""The README's main commands run one after the other on phantoms, with other paths and fewer iterations."""

import shlex

import numpy as np
import pytest
import SimpleITK as sitk

from tests.material import write_kidney

TRAIN_WHOLE = """training_network.py -n dil2D -d DATA/ -s SAVE/ -x 123 -i 1 --receptive-field-size 131 --sample-size 54
    --patch-inclusion-criteria entire-sample-area --classes 0,3"""
TRAIN_APART = """training_network.py -n dil2D -d DATA/ -s SAVE/ -x 123 -i 5 --receptive-field-size 35 --sample-size 10
    --patch-inclusion-criteria patch_center_voxel --classes 0,1,2 --balance-ratios 0,5,5"""
COMMANDS = f"""
resample_data.py -d "DATA"
{TRAIN_WHOLE}
{TRAIN_APART}
testing_network.py -d DATA/ -s SAVE/ -r nameofexperiment -n dil2D -e val \
    --network-weights "SAVE/*/FINAL*_1.pth" --receptive-field-size 131 --classes 0,3
testing_network.py -d DATA/ -s SAVE/ -r nameofsecond -n dil2D -e val \
    --network-weights "SAVE/*/FINAL*_5.pth" --receptive-field-size 35 --classes 0,1,2
ensemble.py -d DATA/ -s SAVE/ -e val --receptive-field-size 131 --sample-size 54 --classes 0,3
ensemble.py -d DATA/ -s SAVE/ -e val --receptive-field 35 --sample-size 10 --clip True --classes 0,1,2
ensemble.py -d DATA/ -s SAVE/ -e train --receptive-field-size 131 --sample-size 54 --classes 0,3
ensemble.py -d DATA/ -s SAVE/ -e train --receptive-field 35 --sample-size 10 --clip True --classes 0,1,2
{TRAIN_WHOLE} --soft
{TRAIN_APART} --soft
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory, run, run_afresh):
    """Run all commands; return the folder that holds DATA and SAVE.

    The first command of each script starts a new interpreter. Cases are small because the receptive fields are large.
    """
    folder = tmp_path_factory.mktemp("product")
    for number, split in enumerate(("train", "val")):
        write_kidney(folder / "DATA" / split / f"case_{number:05d}", seed=number, scale=0.6)
    folder_of = {"DATA": str(folder / "DATA"), "SAVE": str(folder / "SAVE")}
    joined = COMMANDS.replace("\n    ", " ").strip()
    started = set()
    for line in joined.splitlines():
        words = shlex.split(line)
        for name, place in folder_of.items():
            words = [word.replace(name, place) for word in words]
        (run if words[0] in started else run_afresh)(*words)
        started.add(words[0])
    return folder


def test_each_stage_writes_its_results(finished):
    save = finished / "SAVE"
    finals = sorted(path.name for path in save.glob("*/FINAL*.pth"))
    whole, apart = "dil2D_rf131_s54_c0-3_CE+dice", "dil2D_rf35_s10_c0-1-2_CE+dice"
    assert finals == sorted(
        f"FINAL_{name}{student}_i{i}_x123_{i}.pth"
        for name, i in ((whole, 1), (apart, 5))
        for student in ("", "_soft-KL+dice-a0.1")
    )
    for run_name in ("nameofexperiment", "nameofsecond", "ensemble_c0-3_rf131_s54", "ensemble_c0-1-2_rf35_s10"):
        assert (save / run_name / "val" / "metrics.csv").exists()
        assert (save / run_name / "val" / "case_00001_overlay.png").exists()
    for classes in ("0_3", "0_1_2"):
        for split, case in (("train", "case_00000"), ("val", "case_00001")):
            assert (save / "soft_labels" / classes / split / case).is_dir()


def test_predictions_hold_the_labels_given_with_classes(finished):
    for name, labels in (("nameofexperiment", {0, 3}), ("nameofsecond", {0, 1, 2})):
        prediction = sitk.ReadImage(str(finished / "SAVE" / name / "val" / "case_00001_prediction.nii.gz"))
        assert set(np.unique(sitk.GetArrayFromImage(prediction))) <= labels
