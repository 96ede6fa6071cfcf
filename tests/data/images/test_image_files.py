from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from data.images.image_files import (
    Grid,
    from_array,
    lps_grid,
    lps_view,
    read_image,
    to_array,
    to_lps,
    to_orientation_of,
    write_image,
)
from tests.material import image_of


@pytest.fixture
def image(direction):
    """Return an anisotropic image with an origin other than 0 and the given direction."""
    array = np.random.default_rng(0).integers(0, 1000, (4, 5, 6)).astype(np.int16)
    return image_of(array, (0.7, 1.1, 3.0), (-20.0, 13.0, 50.0), direction)


def test_arrays_are_in_lps_orientation_and_voxels_keep_their_physical_position(image):
    grid, array = Grid.of(to_lps(image)), to_array(image)
    assert grid.shape == array.shape
    assert (np.diag(np.reshape(grid.direction, (3, 3))) > 0.9).all()
    lps = from_array(array, grid)
    for index in np.ndindex(image.GetSize()):
        index = [int(i) for i in index]
        lps_index = lps.TransformPhysicalPointToIndex(image.TransformIndexToPhysicalPoint(index))
        assert lps[lps_index] == image[index]


def test_reorientation_agrees_with_simpleitk(image):
    expected = sitk.DICOMOrient(image, "LPS")
    for ours in (to_lps(image), from_array(lps_view(image).copy(), lps_grid(image))):
        assert Grid.of(ours) == Grid.of(expected)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(expected))


def test_an_array_is_returned_to_the_exact_grid_of_the_original(image):
    back = to_orientation_of(to_array(image), image)
    assert Grid.of(back) == Grid.of(image)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(image))


def test_a_written_image_is_read_back_unchanged(image, tmp_path):
    write_image(image, tmp_path / "new" / "image.nii.gz")
    again = read_image(tmp_path / "new" / "image.nii.gz")
    assert not Grid.of(again).differs_from(Grid.of(image))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(again), sitk.GetArrayFromImage(image))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["image.nii.gz"]


GRID = Grid((2, 2, 11), (0.05, 1.0, 2.5), (0.0, -249.51171875, 0.0), tuple(np.eye(3).ravel()))


@pytest.mark.parametrize(
    "near",
    [
        {"origin": (0.0, -249.51171875, 0.0024)},
        {"origin": (0.000045, -249.512, 0.0)},
        {"spacing": (0.05, 1.0, 2.50024)},
        {"direction": (1.0, 0.0009, 0.0, -0.0009, 1.0, 0.0, 0.0, 0.0, 1.0)},
    ],
)
def test_grids_less_than_a_thousandth_of_a_voxel_apart_are_equal(near):
    other = replace(GRID, **near)
    assert not GRID.differs_from(other)
    assert not other.differs_from(GRID)


@pytest.mark.parametrize(
    ("far", "difference"),
    [
        ({"origin": (0.0, -249.51171875, 0.0026)}, "origin by 0.0026 mm, 0.00104 voxels"),
        ({"origin": (0.000055, -249.51171875, 0.0)}, "origin by 5.5e-05 mm, 0.0011 voxels"),
        ({"spacing": (0.05, 1.0, 2.50026)}, "spacing by 0.00026 mm, 0.00104 voxels along the axis z"),
        ({"spacing": (0.05, 1.002, 2.5)}, "spacing by 0.002 mm, 0.002 voxels along the axis y"),
        ({"direction": (1.0, 0.0011, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)}, "direction cosines by 0.0011"),
        ({"size": (2, 2, 12)}, "size (2, 2, 11) against (2, 2, 12)"),
    ],
)
def test_the_difference_of_grids_farther_apart_is_described(far, difference):
    """Check that the message gives the difference itself: two origins may look the same after rounding."""
    assert GRID.differs_from(replace(GRID, **far)) == difference


def test_a_shift_is_measured_in_voxels_along_the_axes_of_the_image(direction):
    """Check that 0.002 mm is within the tolerance along an axis with 2.5 mm spacing, but not along one with 0.7 mm."""
    grid = Grid((4, 4, 4), (0.7, 0.7, 2.5), (0.0, 0.0, 0.0), tuple(direction))
    for axis, is_one in ((0, False), (2, True)):
        origin = 0.002 * np.reshape(direction, (3, 3))[:, axis]
        assert (not grid.differs_from(replace(grid, origin=tuple(origin)))) == is_one


def test_several_channels_are_refused(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((2, 3, 4, 2), np.float32), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "vector.nii.gz"))
    with pytest.raises(InputError, match="2 channels"):
        read_image(tmp_path / "vector.nii.gz")
