#!/usr/bin/env python3
"""Dice per label of references after resampling by stage 1 and back, for every reference below a folder.

    python -m benchmarks.round_trip KITS19/ --voxel-size 1.5 1.5 2.5

Each reference is resampled to the new voxels, and back like a prediction with probabilities 0 and 1. It is compared
with nearest-neighbour interpolation in both directions.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from data.case_folder import REFERENCE
from data.images.image_files import Grid, from_array, read_image, to_lps
from data.labels import whole_labels
from data.resampling import resample_reference, resampled_grid, restore_decision
from utils.evaluation.metrics import dice


def there_and_back(reference: sitk.Image, grid: Grid) -> np.ndarray:
    """Return the labels (z, y, x) of a reference in LPS order, resampled by stage 1 and back like a prediction."""
    labels = resample_reference(reference, grid)
    known = np.unique(labels)
    certain = np.stack([labels == label for label in known]).astype(np.float32)
    return known[restore_decision(certain, grid, Grid.of(reference))]


def by_nearest_neighbours(reference: sitk.Image, grid: Grid) -> np.ndarray:
    """Return the labels after nearest-neighbour interpolation in both directions."""
    empty = from_array(np.zeros(grid.shape, np.uint8), grid)
    new = sitk.Resample(reference, empty, sitk.Transform(), sitk.sitkNearestNeighbor)
    resample = sitk.ResampleImageFilter()
    resample.SetReferenceImage(reference)
    resample.SetInterpolator(sitk.sitkNearestNeighbor)
    resample.SetUseNearestNeighborExtrapolator(True)
    return sitk.GetArrayFromImage(resample.Execute(new))


def main() -> None:
    parser = argparse.ArgumentParser(description="Dice of references that were resampled to new voxels and back.")
    parser.add_argument("folder", type=Path, help=f"folder of case folders with {REFERENCE}")
    parser.add_argument(
        "--voxel-size", nargs=3, type=float, default=[1.5, 1.5, 2.5], help="x y z, mm (default: 1.5 1.5 2.5)"
    )
    args = parser.parse_args()
    print(f"{'case':14} {'spacing mm':>18} {'label':>5} {'voxels':>9} {'stage 1':>8} {'nearest':>8} {'s':>6}")
    for path in sorted(args.folder.rglob(REFERENCE)):
        image = to_lps(read_image(path))
        reference = from_array(whole_labels(sitk.GetArrayViewFromImage(image), path), Grid.of(image))
        grid = resampled_grid(Grid.of(reference), tuple(args.voxel_size))
        began = time.perf_counter()
        back = there_and_back(reference, grid)
        seconds = time.perf_counter() - began
        nearest = by_nearest_neighbours(reference, grid)
        labels = sitk.GetArrayFromImage(reference)
        spacing = " ".join(f"{mm:.3g}" for mm in reference.GetSpacing())
        for label in np.unique(labels)[1:]:
            true = labels == label
            scores = f"{dice(back == label, true):8.4f} {dice(nearest == label, true):8.4f}"
            print(f"{path.parent.name:14} {spacing:>18} {label:5} {true.sum():9} {scores} {seconds:6.1f}", flush=True)


if __name__ == "__main__":
    main()
