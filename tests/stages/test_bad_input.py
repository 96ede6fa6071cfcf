"""Every input error gives one line on standard error that begins with "error:", and status 2."""

import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from data.phantom import make_phantom
from tests.material import SMALL, image_of, write_case, write_kidney


def resample(work):
    return ["resample_data.py", "-d", work / "RAW"]


def train(work, *more):
    return [
        "training_network.py",
        *SMALL,
        "-d",
        work / "DATA",
        "-s",
        work / "NEW",
        "--classes",
        "0,1,2",
        "-i",
        1,
        *more,
    ]


def predict(work, *more, weights="one/FINAL_one_30.pth"):
    options = ["-d", work / "DATA", "-s", work / "SAVE", "-e", "val", "--network-weights", work / "SAVE" / weights]
    return ["testing_network.py", *options, *more]


def average(work, *more):
    return ["ensemble.py", "-d", work / "DATA", "-s", work / "SAVE", "-e", "val", "--classes", "0,1,2", *more]


def truncated(work):
    path = write_kidney(work / "RAW" / "case", seed=0) / "imaging.nii.gz"
    path.write_bytes(path.read_bytes()[:5000])
    return resample(work), "case"


def four_dimensions(work):
    (work / "RAW" / "case").mkdir(parents=True)
    image = sitk.JoinSeries([image_of(np.zeros((3, 4, 5), np.int16))] * 2)
    sitk.WriteImage(image, str(work / "RAW" / "case" / "imaging.nii.gz"))
    return resample(work), "4 dimensions"


def shapes_differ(work):
    image, reference = make_phantom(0)
    write_case(work / "RAW" / "case", image, reference[1:])
    return resample(work), "not on the grid of its image (size"


def not_a_number(work):
    array = np.zeros((3, 4, 5), np.float32)
    array[1, 1, 1] = np.nan
    write_case(work / "RAW" / "case", image_of(array), None)
    return resample(work), "not finite"


def empty_folder(work):
    (work / "RAW").mkdir()
    return resample(work), "holds no case"


def no_folder(work):
    return resample(work), "no such folder"


def folder_is_a_file(work):
    (work / "RAW").write_text("")
    return resample(work), "is not a folder"


def output_is_a_file(work):
    write_kidney(work / "RAW" / "case", seed=0)
    (work / "file").write_text("")
    return [*resample(work), "-o", work / "file"], "is a file"


def voxel_size_of_two_numbers(work):
    write_kidney(work / "RAW" / "case", seed=0)
    return [*resample(work), "--voxel-size", 1, 1], "is not a voxel size"


def broken_link(work):
    (work / "RAW" / "case").mkdir(parents=True)
    (work / "RAW" / "case" / "imaging.nii.gz").symlink_to(work / "nowhere.nii.gz")
    return resample(work), "nowhere.nii.gz, which does not exist"


def not_resampled(work):
    for split in ("train", "val"):
        write_kidney(work / "RAW" / split / "case", seed=0)
    return [*train(work), "-d", work / "RAW"], "resample_data.py"


def one_case_with_another_spacing(work):
    record = work / "DATA" / "train" / "case_00001" / "resampling.json"
    record.write_text(record.read_text().replace('"voxel_size_mm": [\n   3.0,', '"voxel_size_mm": [\n   4.0,'))
    return train(work), "has voxels of [4.0, 3.0, 5.0] mm"


def val_with_another_spacing(work):
    record = work / "DATA" / "val" / "case_00003" / "resampling.json"
    record.write_text(record.read_text().replace('"voxel_size_mm": [\n   3.0,', '"voxel_size_mm": [\n   4.0,'))
    return train(work), "has voxels of [4.0, 3.0, 5.0] mm"


def header_changed(work):
    path = work / "DATA" / "train" / "case_00001" / "imaging_rs.nii.gz"
    image = sitk.ReadImage(str(path))
    image.SetSpacing((1, 1, 1))
    sitk.WriteImage(image, str(path))
    return train(work), "not on the grid of resampling.json"


def voxel_changed(work):
    path = work / "DATA" / "train" / "case_00001" / "imaging_rs.nii.gz"
    image = sitk.ReadImage(str(path))
    image[1, 1, 1] += 1
    sitk.WriteImage(image, str(path))
    return train(work), "not as stage 1 wrote it"


def damaged_record(work):
    (work / "DATA" / "val" / "case_00003" / "resampling.json").write_text("{")
    return train(work), "resampling.json: is damaged"


def missing_class(work):
    return train(work, "--classes", "0,1,2,4"), "holds class 4"


def no_train_folder(work):
    shutil.rmtree(work / "DATA" / "train")
    return train(work), "train: there is no such folder"


def empty_val_folder(work):
    shutil.rmtree(work / "DATA" / "val")
    (work / "DATA" / "val").mkdir()
    return train(work), "holds no case"


def save_is_a_file(work):
    (work / "NEW").write_text("")
    return train(work), "is not a folder"


def save_below_a_file(work):
    (work / "file").write_text("")
    return [*train(work), "-s", work / "file" / "SAVE"], "file"


def unknown_network(work):
    return train(work, "-n", "dil4D"), "choose from dil2D"


def unknown_loss(work):
    return train(work, "--loss", "hinge"), "--loss"


def unknown_criterion(work):
    return train(work, "--patch-inclusion-criteria", "corner"), "patch-center-voxel"


def unknown_device(work):
    return train(work, "--device", "cuda:99"), "--device"


def weights_of_another_architecture(work):
    import torch

    path = work / "SAVE" / "one" / "FINAL_one_30.pth"
    content = torch.load(path, weights_only=True)
    content["description"]["architecture"] = "dil3D"
    torch.save(content, path)
    return predict(work), "contradict their description"


def network_that_contradicts_the_weights(work):
    return predict(work, "-n", "UNet2D"), "UNet2D contradicts"


def receptive_field_that_contradicts_the_weights(work):
    return predict(work, "--receptive-field-size", 131), "131 contradicts"


def weights_that_are_text(work):
    (work / "SAVE" / "text.pth").write_text("hello")
    return predict(work, weights="text.pth"), "text.pth"


def missing_weights(work):
    return predict(work, weights="one/FINAL*31.pth"), "no file matches"


def two_weights_match(work):
    return predict(work, weights="*/FINAL*30.pth"), "FINAL_two_30.pth"


def region_of_an_unpredicted_label(work):
    return predict(work, "--report-regions", "1+3"), "no foreground label 3; unite these: 1, 2"


def unknown_split(work):
    return [*predict(work), "-e", "validation"], "--evaluate"


def invalid_boolean(work):
    return average(work, "--clip", "maybe"), "neither true nor false"


def no_matching_member(work):
    return average(work, "--sample-size", 54), "no finished network fits"


def member_list_missing(work):
    return average(work, "--trained-networks", work / "members.txt"), "members.txt"


CASES = [
    truncated,
    four_dimensions,
    shapes_differ,
    not_a_number,
    empty_folder,
    no_folder,
    folder_is_a_file,
    output_is_a_file,
    voxel_size_of_two_numbers,
    broken_link,
    not_resampled,
    val_with_another_spacing,
    one_case_with_another_spacing,
    header_changed,
    voxel_changed,
    damaged_record,
    missing_class,
    no_train_folder,
    empty_val_folder,
    save_is_a_file,
    save_below_a_file,
    unknown_network,
    unknown_loss,
    unknown_criterion,
    unknown_device,
    weights_of_another_architecture,
    network_that_contradicts_the_weights,
    receptive_field_that_contradicts_the_weights,
    weights_that_are_text,
    missing_weights,
    two_weights_match,
    region_of_an_unpredicted_label,
    unknown_split,
    invalid_boolean,
    no_matching_member,
    member_list_missing,
]


@pytest.mark.parametrize("prepare", CASES, ids=lambda prepare: prepare.__name__)
def test_input_errors_give_one_line_and_status_2(run, kidneys, save, tmp_path, prepare):
    shutil.copytree(kidneys, tmp_path / "DATA")
    shutil.copytree(save, tmp_path / "SAVE")
    command, problem = prepare(tmp_path)
    process = run(*command, status=2)
    errors = [line for line in process.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, process.stderr
    assert problem in errors[0]
    assert process.stderr.endswith(errors[0] + "\n")
    assert not list(tmp_path.rglob(".*partial*"))
