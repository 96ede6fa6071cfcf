"""Resampling of stage 1, and of probabilities back to the original grid, against scipy.ndimage."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from benchmarks.material import raw_cases
from benchmarks.measure import Row, run_alone, side_by_side
from data.case_folder import IMAGE, REFERENCE
from data.images.image_files import Grid, from_array, read_image, to_lps
from data.labels import whole_labels
from data.resampling import SIGMA_PER_FWHM, resample_image, resample_reference, resampled_grid, restore_decision

VOXEL_SIZE_MM = (1.5, 1.5, 2.5)
REPEATS = 3


def run(data_folder: Path | None, work_folder: Path) -> list[Row]:
    """Measure on the case with the most slices."""
    cases = [
        [to_lps(read_image(folder / name)) for name in (IMAGE, REFERENCE)]
        for folder in raw_cases(data_folder, work_folder)
    ]
    image, reference = max(cases, key=lambda case: case[0].GetSize()[2])
    old = Grid.of(image)
    reference = from_array(whole_labels(sitk.GetArrayViewFromImage(reference), Path(REFERENCE)), old)
    new = resampled_grid(old, VOXEL_SIZE_MM)
    values = sitk.GetArrayFromImage(image).astype(np.float32)
    labels = resample_reference(reference, new)
    probabilities = _like_a_networks(labels)
    size = " × ".join(str(side) for side in old.size)
    return [
        Row(
            f"resample image and reference of {size} voxels",
            "Gaussian filter and cubic zoom of the image",
            *side_by_side(
                lambda: (resample_image(image, new), resample_reference(reference, new)),
                lambda: _blur_and_zoom(values, old, new),
                REPEATS,
            ),
            0.3,
            "s",
        ),
        Row(
            f"probabilities of {len(probabilities)} classes back to {size}, and argmax",
            "linear zoom of every class, and argmax",
            *side_by_side(
                lambda: restore_decision(probabilities, new, old),
                lambda: np.stack([_zoom(channel, old.shape, order=1) for channel in probabilities]).argmax(axis=0),
                REPEATS,
            ),
            0.25,
            "s",
        ),
    ]


def _blur_and_zoom(values: np.ndarray, old: Grid, new: Grid) -> np.ndarray:
    """Resample an image like stage 1: blur along the axes whose voxels grow, then interpolate by a cubic B-spline."""
    growth = [max(0.0, (after / before) ** 2 - 1) for before, after in zip(old.spacing_mm, new.spacing_mm)]
    return _zoom(ndimage.gaussian_filter(values, SIGMA_PER_FWHM * np.sqrt(growth)), new.shape, order=3)


def _zoom(values: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    factors = np.divide(shape, values.shape)
    return ndimage.zoom(values, factors, order=order, mode="nearest", grid_mode=True)


def _like_a_networks(labels: np.ndarray) -> np.ndarray:
    """Return probabilities, float32 (classes, z, y, x), certain inside `labels` and uncertain at noisy boundaries."""
    rng = np.random.default_rng(0)
    logits = [
        16 * ndimage.gaussian_filter((labels == label).astype(np.float32), 1)
        + 6 * ndimage.gaussian_filter(rng.standard_normal(labels.shape, np.float32), 2)
        for label in np.unique(labels)
    ]
    powers = np.exp(logits)
    return powers / powers.sum(axis=0)


def main() -> None:
    run_alone("resampling", run)


if __name__ == "__main__":
    main()
