"""Each training option changes the weights after a few steps."""

import shutil

import pytest
import torch

import training_network
from base.errors import InputError
from data.split import folds_of
from stages.training_options import TrainingOptions
from tests.material import SMALL, rows_of, write_kidney
from utils.cli.options import read_options

BASE = [*SMALL, "--classes", "0,1,2", "-i", 3, "--checkpoint-every", 3]


def final_of(save, name):
    (path,) = (save / name).glob("FINAL*.pth")
    return torch.load(path, weights_only=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, call, kidneys, save):
    """Return a SAVE folder with initial weights, and a network and a student trained with `BASE`; tests add runs."""
    folder = tmp_path_factory.mktemp("options")
    shutil.copytree(save, folder, dirs_exist_ok=True)
    call("ensemble", "-d", kidneys, "-s", folder, "-e", "train", "--classes", "0,1,2")
    call("training_network", *BASE, "-d", kidneys, "-s", folder, "-r", "base")
    call("training_network", *BASE, "-d", kidneys, "-s", folder, "-r", "student", "--soft")
    return folder


@pytest.fixture
def train(call, kidneys, folder, request):
    """Return a function that trains with `BASE` and more options, and returns the content of the final weights."""

    def train_with(*more):
        name = f"{abs(hash((request.node.name, *more)))}"
        call("training_network", *BASE, "-d", kidneys, "-s", folder, "-r", name, *more)
        return final_of(folder, name)

    return train_with


def differs(one: dict, other: dict) -> bool:
    one, other = one["state"], other["state"]
    return one.keys() != other.keys() or any(
        one[name].shape != other[name].shape or not torch.equal(one[name], other[name]) for name in one
    )


def test_the_same_options_give_the_same_weights(train, folder):
    assert not differs(train(), final_of(folder, "base"))


OPTIONS = [
    ["--seed", 1],
    ["--sample-size", 10],
    ["--batch-size", 5],
    ["--receptive-field-size", 35],
    ["--features", 8],
    ["--dropout", 0.5],
    ["--patch-inclusion-criteria", "patch_center_voxel"],
    ["--balance-ratios", "0,1,1"],
    ["--planes", "axial"],
    ["--normalization", "zscore"],
    ["--augmentation", "none"],
    ["--augmentation", "strong"],
    ["--flip"],
    ["--loss", "CE"],
    ["--loss", "dice"],
    ["--class-weights", "1,2,3"],
    ["--optimizer", "AdamW", "--weight-decay", 0.1],
    ["--optimizer", "SGD"],
    ["--learning-rate", 0.01],
    ["--schedule", "constant"],
    ["--schedule", "poly"],
    ["--weight-decay", 0.1],
    ["--precision", "bf16"],
]


@pytest.mark.parametrize("more", OPTIONS, ids=lambda more: " ".join(map(str, more)))
def test_an_option_changes_the_weights_and_is_recorded(train, folder, more):
    content = train(*more)
    assert differs(content, final_of(folder, "base"))
    before = final_of(folder, "base")["description"]["options"]
    changed = {key for key, value in content["description"]["options"].items() if value != before[key]}
    assert {str(word)[2:].replace("-", "_") for word in more if str(word).startswith("--")} <= changed


@pytest.mark.parametrize(
    "more", [["--softloss", "MSE"], ["--softloss", "KL"], ["--alpha", 1], ["--predict-uncertainty"]]
)
def test_an_option_of_distillation_changes_the_student(train, folder, more):
    assert differs(train("--soft", *more), final_of(folder, "student"))


def test_soft_cross_entropy_gives_the_weights_of_kullback_leibler_at_a_larger_loss(train, folder):
    """The losses differ by the entropy of the soft labels, which has no gradient."""
    by_entropy, by_divergence = (train("--soft", "--softloss", loss) for loss in ("CE", "KL"))
    for name, values in by_divergence["state"].items():
        torch.testing.assert_close(by_entropy["state"][name], values, rtol=0, atol=1e-2)
    losses = [
        float(rows_of(folder / content["description"]["experiment"] / "log.csv")[-1]["train_loss"])
        for content in (by_entropy, by_divergence)
    ]
    assert losses[0] > losses[1] + 0.1


def test_another_temperature_changes_the_student(train, call, kidneys, folder):
    command = ["-d", kidneys, "-s", folder, "-e", "train", "--classes", "0,1,2", "--receptive-field-size", 19]
    call("ensemble", *command, "--temperature", 3, "--soft-labels", folder / "warm", "-r", "warm run")
    warm = train("--soft", "--soft-labels", folder / "warm")
    assert warm["description"]["soft_labels"]["temperature"] == 3
    assert differs(warm, final_of(folder, "student"))


def test_initial_weights_are_used_and_recorded(train, folder, save):
    """With a learning rate near zero, the final weights equal the initial ones."""
    begun = train("--init-weights", save / "one" / "FINAL_one_30.pth", "--learning-rate", 1e-12)
    one = final_of(save, "one")
    for name, values in one["state"].items():
        if name.endswith("weight"):
            torch.testing.assert_close(begun["state"][name], values, rtol=0, atol=1e-9)
    assert list(begun["description"]["initial_weights"]) == ["one"]
    assert begun["description"]["initial_cases"] == one["description"]["training_cases"]
    with pytest.raises(InputError, match="has features 32, the new network 8"):
        train("--init-weights", save / "one" / "FINAL_one_30.pth", "--features", 8)


def test_what_may_surprise_about_initial_weights_is_said(train, call, kidneys, folder, save, tmp_path):
    path = shutil.copytree(save / "one", tmp_path / "one") / "FINAL_one_30.pth"
    command = ["training_network", *BASE, "-d", kidneys, "-s", tmp_path / "SAVE", "--init-weights", path, "-r"]
    assert "note: " not in call(*command, "alike")
    weights = torch.load(path, weights_only=True)
    description = weights["description"]
    (seen,) = sorted(one.name for one in (kidneys / "val").iterdir() if one.is_dir())[:1]
    description |= {"training_patients": [seen], "voxel_size_mm": [9.0, 9.0, 9.0], "planes": [0]}
    torch.save(weights, path)
    told = call(*command, "other")
    assert f"patients the initial weights were trained on: 1, such as {seen}" in told
    assert "the training of the initial weights differs in: voxel size, planes" in told


def test_a_training_resumes_without_its_initial_weights(call, kidneys, folder, save, tmp_path):
    """The initial weights may be missing or not named again: they are recorded, and the checkpoint is sufficient."""

    def described(folder):
        description = final_of(folder, "fine")["description"]
        del description["options"]["checkpoint_every"]
        return description

    shutil.copytree(save / "one", tmp_path / "one")
    initial = ["--init-weights", tmp_path / "one" / "FINAL_one_30.pth"]
    command = ["training_network", *BASE, "-d", kidneys, "-s", folder, "-r", "fine"]
    call(*command, *initial)
    whole, before = final_of(folder, "fine"), described(folder)
    (folder / "fine" / "FINAL_fine_3.pth").unlink()
    shutil.rmtree(tmp_path / "one")
    call(*command, *initial, "--resume", "--checkpoint-every", 2)  # it changes no result
    assert not differs(final_of(folder, "fine"), whole)
    assert described(folder) == before
    for more in (initial, []):
        assert "finished before" in call(*command, *more, "--resume")
    with pytest.raises(InputError, match="was begun with other --init-weights, of one; resume with the same"):
        call(*command, "--resume", "--init-weights", save / "two" / "FINAL_two_30.pth")
    for path in (folder / "fine").glob("*.pth"):
        path.unlink()
    with pytest.raises(InputError, match="no such file"):
        call(*command, *initial, "--resume")


def test_a_finished_student_no_longer_needs_its_soft_labels(call, kidneys, folder, tmp_path):
    shutil.copytree(folder / "student", tmp_path / "student")
    command = ["training_network", *BASE, "-d", kidneys, "-s", tmp_path, "-r", "student", "--resume", "--soft"]
    assert "finished before" in call(*command)
    with pytest.raises(InputError, match="was begun with options temperature"):
        call(*command, "--temperature", 2)
    (tmp_path / "student" / "FINAL_student_3.pth").unlink()
    with pytest.raises(InputError, match="there are no soft labels"):
        call(*command)


def test_a_fold_is_left_out_and_recorded(train, folder):
    names = final_of(folder, "base")["description"]["training_cases"]
    folds = folds_of(names, 2)
    for fold in (1, 2):
        description = train("--fold", f"{fold}/2")["description"]
        assert description["training_cases"] == [name for name in names if folds[name] != fold]
        assert description["training_patients"] == description["training_cases"]
        assert description["fold"] == (fold, 2)


def test_deep_supervision_trains_coarser_heads(call, kidneys, folder):
    unet = ["-n", "unet2d", "--receptive-field-size", 100, "--features", 2, "--sample-size", 16]
    states = {}
    for name, more in (("shallow", []), ("deep", ["--deep-supervision"])):
        call("training_network", *BASE, *unet, "-d", kidneys, "-s", folder, "-r", name, *more)
        states[name] = final_of(folder, name)["state"]
    assert len(states["deep"]) == len(states["shallow"]) + 4  # weight and bias of two heads
    with pytest.raises(InputError, match="--deep-supervision"):
        call("training_network", *BASE, "-d", kidneys, "-s", folder, "-r", "x", "--deep-supervision")


@pytest.mark.parametrize(("network", "side"), [("dil2D", 16), ("dil3D", 16), ("UNet2D", 48), ("ResNet3D", 32)])
def test_the_default_sample_size_depends_on_the_network(tmp_path, network, side):
    def settled(*more):
        words = ["-n", network, "-d", tmp_path, "-s", tmp_path / "SAVE", "--classes", "0,1", *more]
        args = training_network.build_parser().parse_args([str(word) for word in words])
        return read_options(TrainingOptions, args).settled(1).sample_size

    assert settled() == side
    assert settled("--sample-size", 20) == 20


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--class-weights", "1,1"], "2 numbers for 3 classes"),
        (["--class-weights", "1,0,0"], "every foreground class weighs 0"),
        (["--flip", "--augmentation", "none"], "contradicts --augmentation none"),
        (["--predict-uncertainty"], "means nothing without --soft"),
        (["--dropout", 1], "is not a dropout probability"),
        (["-n", "dil3D", "--planes", "axial"], "has no planes"),
        (["-n", "UNet3D"], "it can have 100"),
        (["--balance-ratios", "0,1,1", "--background-share", 0.5], "never draws background; leave one of them out"),
        (["--sample-size", 2049], "2049 voxels are more than dil2D can be trained on; give 2048 or less"),
        (["--channels", ",".join(letter * 40 for letter in "ABCDEF")], "-r: the experiment would be called dil2D_rf19"),
    ],
)
def test_options_that_contradict_each_other_are_refused(call, kidneys, tmp_path, more, problem):
    with pytest.raises(InputError, match=problem):
        call("training_network", *BASE, "-d", kidneys, "-s", tmp_path, *more)
    assert not list(tmp_path.iterdir())


def test_a_training_does_not_resume_on_voxels_of_another_size(call, tmp_path):
    """The arrays are the same: rotations and zooms of patches are not, which keep shapes in mm."""
    data, save = tmp_path / "DATA", tmp_path / "SAVE"
    command = ["training_network", *BASE, "-d", data, "-s", save, "-r", "one", "--planes", "axial"]
    for scale in (1, 2):
        for seed, split in enumerate(("train", "val")):
            write_kidney(data / split / f"case_{seed}", seed, scale=scale)
        call("resample_data", "-d", data, "--voxel-size", "none")
        if scale == 1:
            call(*command)
            assert "finished before" in call(*command, "--resume")
    with pytest.raises(InputError, match="was begun with grids_fingerprint"):
        call(*command, "--resume")


def test_a_fold_that_leaves_no_reference_is_told(call, kidneys, tmp_path):
    data = tmp_path / "DATA"
    shutil.copytree(kidneys, data)
    names = sorted(path.name for path in (data / "train").iterdir())
    folds = folds_of(names, 3)
    for name in names[1:]:
        (data / "train" / name / "segmentation.nii.gz").unlink()
    call("resample_data", "-d", data, "--voxel-size", 3, 3, 5)
    command = ["training_network", *BASE, "-d", data, "-s", tmp_path / "SAVE", "--fold", f"{folds[names[0]]}/3"]
    with pytest.raises(InputError, match="--fold: no case outside this fold has a reference"):
        call(*command)


def test_the_last_validation_is_stored_with_the_weights(folder):
    row = rows_of(folder / "base" / "log.csv")[-1]
    stored = final_of(folder, "base")["description"]["validation_dice"]
    assert stored == pytest.approx([float(row["dice_1"]), float(row["dice_2"])])
