import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from data.image_files import (
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
    """An anisotropic image with an origin, in some direction."""
    array = np.random.default_rng(0).integers(0, 1000, (4, 5, 6)).astype(np.int16)
    return image_of(array, (0.7, 1.1, 3.0), (-20.0, 13.0, 50.0), direction)


def test_arrays_run_along_lps_and_voxels_keep_their_place(image):
    grid, array = Grid.of(to_lps(image)), to_array(image)
    assert grid.shape == array.shape
    assert (np.diag(np.reshape(grid.direction, (3, 3))) > 0.9).all()
    lps = from_array(array, grid)
    for index in np.ndindex(image.GetSize()):
        index = [int(i) for i in index]
        there = lps.TransformPhysicalPointToIndex(image.TransformIndexToPhysicalPoint(index))
        assert lps[there] == image[index]


def test_axes_are_turned_as_simpleitk_turns_them(image):
    expected = sitk.DICOMOrient(image, "LPS")
    for ours in (to_lps(image), from_array(lps_view(image).copy(), lps_grid(image))):
        assert Grid.of(ours) == Grid.of(expected)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(expected))


def test_an_array_goes_back_to_the_exact_header(image):
    back = to_orientation_of(to_array(image), image)
    assert Grid.of(back) == Grid.of(image)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(image))


def test_written_and_read_again(image, tmp_path):
    write_image(image, tmp_path / "new" / "image.nii.gz")
    again = read_image(tmp_path / "new" / "image.nii.gz")
    assert not Grid.of(again).differs_from(Grid.of(image))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(again), sitk.GetArrayFromImage(image))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["image.nii.gz"]


def test_grids_differ_beyond_a_thousandth():
    grid = Grid((2, 2, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))
    assert not grid.differs_from(Grid(grid.size, grid.spacing, (0.0009, 0.0, 0.0), grid.direction))
    assert "origin" in grid.differs_from(Grid(grid.size, grid.spacing, (0.0011, 0.0, 0.0), grid.direction))
    assert "spacing" in grid.differs_from(Grid(grid.size, (1.0, 1.002, 1.0), grid.origin, grid.direction))
    assert "size" in grid.differs_from(Grid((2, 2, 3), grid.spacing, grid.origin, grid.direction))


def test_several_channels_are_refused(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((2, 3, 4, 2), np.float32), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "vector.nii.gz"))
    with pytest.raises(InputError, match="2 channels"):
        read_image(tmp_path / "vector.nii.gz")
