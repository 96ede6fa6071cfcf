"""Tests of case folders of several channels: what is written, and channels on other grids than the first."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from data.cases import Case
from data.images.image_files import Grid
from data.layouts import SourceCase
from data.layouts.channels import components_of
from data.layouts.source_case import ImageFile
from data.preparation import prepare_case
from data.resampling import covered_share, resample_onto
from tests.material import DIRECTIONS, image_of

VOXEL_SIZE_MM = (1.0, 1.0, 2.0)


def smooth_image(size, spacing, origin, direction) -> sitk.Image:
    """Return an image whose value is a smooth function of the physical point, so that every grid shows the same."""
    image = sitk.Image(size, sitk.sitkFloat32)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction)
    x, y, z = (sitk.GetArrayFromImage(sitk.VectorIndexSelectionCast(points_of(image), axis)) for axis in range(3))
    values = 100 * np.sin(x / 9) + 80 * np.cos(y / 11) + 2 * z
    return from_values(values.astype(np.float32), image)


def points_of(image) -> sitk.Image:
    return sitk.PhysicalPointSource(
        sitk.sitkVectorFloat64, image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection()
    )


def from_values(values, like) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(like)
    return image


def written(folder, images) -> SourceCase:
    """Write the channels of a case as files of a data set."""
    files = {}
    for name, image in images.items():
        path = folder / "SET" / f"a-{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(path))
        files[name] = ImageFile(path)
    return SourceCase("a", next(iter(files.values())).path, None, channels=files)


@pytest.mark.parametrize("count", [1, 2])
def test_few_slices_are_interpolated_between_their_own_values(count):
    values = np.repeat(np.float32([0, 100][:count]), 48).reshape(count, 6, 8)
    image = image_of(values, (1.0, 1.0, 4.0))
    grid = Grid((8, 6, 4 * count), (1.0, 1.0, 1.0), (0.0, 0.0, -1.5), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    columns = sitk.GetArrayFromImage(resample_onto(image, grid)).reshape(4 * count, -1)
    assert np.ptp(columns, axis=1).max() < 1e-3
    expected = np.interp((np.arange(4 * count) - 1.5) / 4, range(count), values[:, 0, 0])
    np.testing.assert_allclose(columns[:, 0], expected, atol=0.01)


@pytest.mark.parametrize("turned", DIRECTIONS)
def test_a_channel_on_another_grid_is_resampled_by_physical_position(tmp_path, direction, turned):
    """Compare with the function of the physical point, away from the border of the second channel."""
    first = smooth_image([24, 30, 14], [1.1, 0.9, 2.1], [-5.0, 3.0, 40.0], direction)
    other = DIRECTIONS[turned].ravel().tolist()
    centre = np.array(first.TransformContinuousIndexToPhysicalPoint([11.5, 14.5, 6.5]))
    size, spacing = [44, 40, 30], [1.0, 1.2, 1.6]
    half = np.reshape(other, (3, 3)) @ ((np.array(size) - 1) / 2 * spacing)
    second = smooth_image(size, spacing, (centre - half).tolist(), other)
    outcome = prepare_case(written(tmp_path, {"T1": first, "T2": second}), tmp_path / "a", VOXEL_SIZE_MM)
    assert not outcome.problem
    assert outcome.note.startswith("channel T2 is on another grid (")
    case = Case(tmp_path / "a")
    assert case.channels == ("T1", "T2")
    resampled = [sitk.ReadImage(str(tmp_path / "a" / f"imaging_{name}_rs.nii.gz")) for name in case.channels]
    assert not Grid.of(resampled[0]).differs_from(Grid.of(resampled[1]))
    images = case.resampled_images(["T2", "T1"])
    assert list(images) == ["T2", "T1"]
    inside = (slice(3, -3),) * 3
    np.testing.assert_allclose(images["T2"][inside], images["T1"][inside], atol=1.5)
    expected = smooth_image(*(getattr(case.grid, name) for name in ("size", "spacing", "origin", "direction")))
    np.testing.assert_allclose(images["T2"][inside], sitk.GetArrayFromImage(expected)[inside], atol=1.5)


def test_channels_on_grids_that_agree_are_resampled_as_the_first_is(tmp_path):
    """A thousandth of a voxel is no other grid: the second channel is taken as it is."""
    first = smooth_image([24, 30, 14], [1.1, 0.9, 2.1], [-5.0, 3.0, 40.0], np.eye(3).ravel().tolist())
    second = from_values(-sitk.GetArrayFromImage(first), first)
    second.SetOrigin([-5.0005, 3.0, 40.0])
    outcome = prepare_case(written(tmp_path, {"T1": first, "T2": second}), tmp_path / "a", VOXEL_SIZE_MM)
    assert (outcome.problem, outcome.note) == ("", "")
    images = Case(tmp_path / "a").resampled_images(["T1", "T2"])
    np.testing.assert_allclose(images["T2"], -images["T1"], atol=1e-4)


def test_a_channel_elsewhere_is_refused(tmp_path):
    images = [smooth_image([9, 9, 9], [1.0] * 3, [far] * 3, np.eye(3).ravel().tolist()) for far in (0.0, 500.0)]
    outcome = prepare_case(written(tmp_path, dict(zip(("T1", "T2"), images))), tmp_path / "a", None)
    assert "imaging_T2.nii.gz: does not overlap with the first channel" in outcome.problem
    assert not (tmp_path / "a" / "resampling.json").exists()


def test_voxels_beyond_a_channel_have_its_lowest_value_and_its_share_is_told(tmp_path):
    first = smooth_image([10, 10, 10], [1.0] * 3, [0.0] * 3, np.eye(3).ravel().tolist())
    second = from_values(np.full((10, 10, 10), 7, np.float32), first)
    second = sitk.Add(second, 0)
    second[0, 0, 0] = -3
    second.SetOrigin([0.0, 0.0, 5.0])  # covers the upper half
    assert covered_share(Grid.of(second), Grid.of(first)) == 0.5
    moved = sitk.GetArrayFromImage(resample_onto(second, Grid.of(first)))
    assert (moved[:5] == -3).all()
    assert (moved[6:, 2:, 2:] > 6.5).all()
    outcome = prepare_case(written(tmp_path, {"T1": first, "T2": second}), tmp_path / "a", None)
    assert outcome.note.endswith("of which it covers 50%")


def test_integers_stay_integers_on_another_grid():
    values = np.random.default_rng(0).integers(-500, 900, (8, 9, 10)).astype(np.int16)
    image = image_of(values, (1.0, 1.0, 1.0))
    moved = resample_onto(image, Grid((12, 9, 8), (0.8, 1.0, 1.0), (0.1, 0.0, 0.0), image.GetDirection()))
    array = sitk.GetArrayFromImage(moved)
    assert array.dtype == np.int16
    assert values.min() <= array.min() <= array.max() <= values.max()


def test_a_4d_file_is_split_into_its_channels(tmp_path, direction):
    volumes = [
        image_of(np.full((4, 5, 6), number, np.int16), (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), direction) for number in (3, 8)
    ]
    sitk.WriteImage(sitk.JoinSeries(volumes), str(tmp_path / "a.nii.gz"))
    source = SourceCase("a", tmp_path / "a.nii.gz", None, channels=components_of(tmp_path / "a.nii.gz", ["T2", "ADC"]))
    assert not prepare_case(source, tmp_path / "a", None).problem
    case = Case(tmp_path / "a")
    for name, volume in zip(("T2", "ADC"), volumes):
        image = sitk.ReadImage(str(tmp_path / "a" / f"imaging_{name}.nii.gz"))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(volume))
        assert not Grid.of(image).differs_from(Grid.of(volume))
        assert (case.resampled_images([name])[name] == sitk.GetArrayFromImage(volume).max()).all()
    assert prepare_case(source, tmp_path / "a", None).skipped


def test_channels_in_each_voxel_are_split_too(tmp_path):
    volumes = [image_of(np.full((4, 5, 6), number, np.float32)) for number in (3, 8)]
    sitk.WriteImage(sitk.Compose(volumes), str(tmp_path / "a.nrrd"))
    source = SourceCase("a", tmp_path / "a.nrrd", None, channels=components_of(tmp_path / "a.nrrd", ["one", "two"]))
    assert not prepare_case(source, tmp_path / "a", None).problem
    assert (Case(tmp_path / "a").stored_image("two") == 8).all()


@pytest.mark.parametrize(
    ("names", "problem"),
    [((), "has 4 dimensions, not 3; if it holds channels, name them"), ("abc", "holds 2 channels, but 3 are named")],
)
def test_a_4d_file_needs_a_name_for_each_channel(tmp_path, names, problem):
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(sitk.JoinSeries([image_of(np.zeros((4, 5, 6), np.int16))] * 2), str(path))
    outcome = prepare_case(SourceCase("a", path, None, channels=components_of(path, names)), tmp_path / "a", None)
    assert problem in outcome.problem
    assert "--channels" in outcome.problem


def test_only_a_case_that_changed_is_resampled_again(tmp_path):
    images = {name: smooth_image([8, 9, 10], [1.0] * 3, [0.0] * 3, np.eye(3).ravel().tolist()) for name in ("T1", "T2")}
    source = written(tmp_path, images)
    assert not prepare_case(source, tmp_path / "a", None).skipped
    assert prepare_case(source, tmp_path / "a", None).skipped
    before = json.loads((tmp_path / "a" / "resampling.json").read_text())["sha256"]
    assert set(before) == {"image", "image_T1", "image_T2"}
    source = written(tmp_path, images | {"T2": images["T2"] * 2})
    assert not prepare_case(source, tmp_path / "a", None).skipped
    after = json.loads((tmp_path / "a" / "resampling.json").read_text())["sha256"]
    assert [name for name in before if before[name] != after[name]] == ["image", "image_T2"]
    (tmp_path / "a" / "imaging_T2_rs.nii.gz").unlink()
    assert not prepare_case(source, tmp_path / "a", None).skipped
