"""Test data: small images with various geometries, case folders, phantoms, tables, and options of a small network."""

import csv
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial import KDTree

from data.phantom import make_phantom

_TILT = np.deg2rad(20)
# Columns are the directions of the file's axes, in LPS.
DIRECTIONS = {
    "LPS": np.eye(3),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "permuted": np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]),  # as KiTS19: slices first
    "oblique": np.array([[np.cos(_TILT), -np.sin(_TILT), 0], [np.sin(_TILT), np.cos(_TILT), 0], [0, 0, 1.0]]),
    "oblique, permuted": np.array([[0, np.cos(_TILT), -np.sin(_TILT)], [0, np.sin(_TILT), np.cos(_TILT)], [1.0, 0, 0]]),
}

# Options of the smallest network, for runs whose accuracy does not matter.
SMALL = ["-n", "dil2D", "--receptive-field-size", "19", "--sample-size", "8", "-b", "4", "--visdom-port", "0"]


def image_of(array, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), direction=None) -> sitk.Image:
    """Return an image of an array in the file's own axes (z, y, x); spacing and origin are (x, y, z)."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    if direction is not None:
        image.SetDirection(direction)
    return image


def write_case(folder: Path, image: sitk.Image, reference: sitk.Image | None) -> Path:
    """Write a KiTS19 case folder."""
    folder.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(folder / "imaging.nii.gz"))
    if reference is not None:
        sitk.WriteImage(reference, str(folder / "segmentation.nii.gz"))
    return folder


def make_kidney(seed: int) -> tuple[sitk.Image, sitk.Image]:
    """Return scan and reference of a phantom, cropped to its left kidney and tumour, about 14 × 25 × 25 voxels."""
    image, reference = make_phantom(seed)
    box = sitk.LabelShapeStatisticsImageFilter()
    box.Execute(sitk.ConnectedComponent(reference > 0))
    label = max(box.GetLabels(), key=lambda label: box.GetCentroid(label)[0])  # the patient's left
    first, size = box.GetBoundingBox(label)[:3], box.GetBoundingBox(label)[3:]
    low = [max(0, start - 2) for start in first]
    high = [min(n, start + extent + 2) for n, start, extent in zip(image.GetSize(), first, size)]
    part = tuple(slice(a, b) for a, b in zip(low, high))
    return image[part], reference[part]


def make_scan() -> sitk.Image:
    """Return a scan of a kidney, int16, with spacings and an origin that DICOM's decimal strings hold exactly."""
    image, _ = make_kidney(4)
    image.SetSpacing((1.5, 1.25, 3.0))
    image.SetOrigin((-10.5, 20.25, 7.5))
    return sitk.Cast(image, sitk.sitkInt16)


def write_kidney(folder: Path, seed: int, with_reference: bool = True, scale: float = 1.0) -> Path:
    """Write the case folder of a kidney, with voxels `scale` times as large."""
    image, reference = make_kidney(seed)
    for one in (image, reference):
        one.SetSpacing([scale * mm for mm in one.GetSpacing()])
    return write_case(folder, image, reference if with_reference else None)


def array_of(path: Path) -> np.ndarray:
    """Return the voxels (z, y, x) of an image in its own axis order."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table that a stage wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def largest_components(labels: np.ndarray) -> np.ndarray:
    """Return the largest component (26 neighbours) of each foreground label; the rest is background."""
    kept = np.zeros_like(labels)
    for label in set(np.unique(labels)) - {0}:
        components, _ = ndimage.label(labels == label, np.ones((3, 3, 3)))
        kept[components == np.bincount(components.ravel())[1:].argmax() + 1] = label
    return kept


def calibration_around(
    reference: np.ndarray, probabilities: np.ndarray, spacing_mm: tuple[float, ...], labels: tuple[int, ...]
) -> tuple[float, float]:
    """Compute ECE and Brier score of the union of `labels` within 5 mm of the foreground, without the tested code."""
    centres = np.indices(reference.shape).reshape(3, -1).T * spacing_mm
    distances, _ = KDTree(centres[(reference > 0).ravel()]).query(centres)
    near = distances <= 5 + 1e-5
    probability = probabilities[list(labels)].sum(axis=0).ravel()[near]
    outcome = np.isin(reference.ravel()[near], labels)
    error = 0.0
    for low in range(15):
        inside = (probability > low / 15) & (probability <= (low + 1) / 15)
        error += abs(probability[inside].sum() - outcome[inside].sum()) / near.sum()
    return error, float(((probability - outcome) ** 2).mean())


def resident_bytes(path: Path) -> int:
    """Return how many bytes of a mapped file, which may have been removed, are in this process's memory."""
    total, counts = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:  # a mapping begins
            counts = str(path) in line
        elif counts and line.startswith("Rss:"):
            total += 1024 * int(line.split()[1])
    return total
