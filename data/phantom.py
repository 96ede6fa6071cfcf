"""Small CT-like phantoms: kidneys with tumours in an abdomen, as KiTS19 case folders.

    python -m data.phantom DATA --cases 12 --seed 0
    python -m data.phantom DATA --cases 12 --channels 2

With two channels, the first (early) shows kidneys and hides the tumours in them, the second (late) shows tumours and
hides kidneys; in every other case, the second lies on another grid, a little rotated and shifted.

Anatomy, noise, spacing and position of each case depend on its seed. As in KiTS19, the first axis of the files is the
slice axis, from head to foot.
"""

import argparse
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from base.channels import UNNAMED
from base.errors import InputError
from data.case_folder import REFERENCE, image_name
from data.images.image_files import Grid, checksum, from_array, read_image, write_image

KIDNEY, TUMOUR = 1, 2
_KITS_AXES = "IPL"
_AIR, _FAT, _MUSCLE, _BONE, _LIVER, _CORTEX, _MEDULLA, _TUMOUR_HU = -1000, -100, 55, 400, 110, 190, 140, 85
_NOISE_HU = 20
_LATE_HU = 60  # more of tumours in the late channel
CHANNELS = {1: (UNNAMED,), 2: ("early", "late")}


def make_phantom(seed: int, shape=(26, 64, 80), spacing_mm=(5.0, 2.8, 2.8)) -> tuple[sitk.Image, sitk.Image]:
    """Make a scan of one channel and its reference; see `make_channels`."""
    images, reference = make_channels(seed, shape, spacing_mm)
    return images[UNNAMED], reference


def make_channels(
    seed: int, shape=(26, 64, 80), spacing_mm=(5.0, 2.8, 2.8), channels: int = 1
) -> tuple[dict[str, sitk.Image], sitk.Image]:
    """Make a scan (int16, Hounsfield units) and its reference (uint8: 0 background, 1 kidney, 2 tumour).

    Args:
        channels: 1, or 2 of different contrast.
        shape: approximate number of voxels (z, y, x); the number of slices varies with the seed.
        spacing_mm: approximate voxel size (z, y, x); the in-plane spacing varies with the seed.

    Returns:
        the image of each channel by name, and the reference, on the grid of the first.
    """
    rng = np.random.default_rng(seed)
    shape = (shape[0] + int(rng.integers(-2, 3)), *shape[1:])
    spacing = np.array(spacing_mm) * [1.0, *[rng.uniform(0.9, 1.1)] * 2]
    size = np.array(shape) * spacing
    along = ((np.arange(n) + 0.5) * s for n, s in zip(shape, spacing))
    grid = np.meshgrid(*along, indexing="ij", sparse=True)
    middle = size / 2 + rng.normal(0, 4, 3)

    def ellipsoid(centre, radii, tilt=0.0):
        """Return the mask of an ellipsoid, rotated by `tilt` (radians) about the y axis."""
        z, y, x = (grid[axis] - centre[axis] for axis in range(3))
        z, x = np.cos(tilt) * z - np.sin(tilt) * x, np.sin(tilt) * z + np.cos(tilt) * x
        return (z / radii[0]) ** 2 + (y / radii[1]) ** 2 + (x / radii[2]) ** 2 <= 1

    contrasts = np.full((channels, *shape), _AIR, np.float32)

    def paint(mask, value, late=None):
        """Set the intensity in `mask`, of the second channel to `late` if given."""
        contrasts[:, mask] = value
        if late is not None:
            contrasts[1:, mask] = late

    for inset, value in ((0, _FAT), (12, _MUSCLE), (20, _FAT)):  # skin and fat, muscle, fat around the organs
        paint(ellipsoid(middle, (1e6, 0.44 * size[1] - inset, 0.46 * size[2] - inset)), value)
    spine = np.add(middle, [0, 0.26 * size[1], 0])
    paint(ellipsoid(spine, (1e6, 15, 17)), _BONE * rng.uniform(0.8, 1.2))
    liver = np.add(middle, [0.2 * size[0], -0.12 * size[1], -0.22 * size[2]])
    paint(ellipsoid(liver, (45, 36, 40)), _LIVER + rng.normal(0, 8))
    for _ in range(6):  # bowel, some of it with gas
        centre = middle + rng.normal(0, 1, 3) * [0.2 * size[0], 6, 22] + [0, -0.15 * size[1], 10]
        value = rng.choice([30, 45, -800])
        paint(ellipsoid(centre, rng.uniform(7, 14, 3)), value)

    reference = np.zeros(shape, np.uint8)
    enhancement = rng.normal(0, 12)
    for side in (-1, 1):
        centre = np.add(spine, [rng.normal(0, 8), rng.normal(-8, 3), side * rng.uniform(44, 50)])
        radii = np.array([rng.uniform(42, 52), rng.uniform(19, 24), rng.uniform(17, 21)])
        tilt = side * rng.uniform(0.1, 0.3)
        kidney = ellipsoid(centre, radii, tilt)
        paint(kidney, _CORTEX + enhancement, _FAT)
        paint(ellipsoid(centre, radii - 8, tilt), _MEDULLA + enhancement, _FAT)
        reference[kidney] = KIDNEY
        if side == 1 or rng.random() < 0.4:  # always a tumour in one kidney, sometimes in the other
            direction = rng.normal(size=3) * [0.6, 1, 1]
            direction *= [1, 1, side] if direction[2] > 0 else [1, 1, -side]  # away from the spine
            position = centre + 0.9 * radii * direction / np.linalg.norm(direction)
            tumour = ellipsoid(position, rng.uniform(10, 19) * rng.uniform(0.85, 1.15, 3))
            value = _TUMOUR_HU + rng.normal(0, 8)
            hidden = channels > 1
            paint(tumour, _CORTEX + enhancement if hidden else value, value + _LATE_HU)
            reference[tumour] = TUMOUR

    contrasts = [ndimage.gaussian_filter(one, 1.0 / spacing) + rng.normal(0, _NOISE_HU, shape) for one in contrasts]
    contrasts = [np.clip(np.rint(one), -1024, 3071).astype(np.int16) for one in contrasts]
    origin = tuple((-size[::-1] / 2 + rng.normal(0, 30, 3)).tolist())
    lps = Grid(shape[::-1], tuple(spacing[::-1].tolist()), origin, (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    images = [from_array(one, lps) for one in contrasts]
    if channels > 1 and seed % 2:
        images[1] = _moved(images[1], rng)
    images = [sitk.DICOMOrient(one, _KITS_AXES) for one in images]
    return dict(zip(CHANNELS[channels], images)), sitk.DICOMOrient(from_array(reference, lps), _KITS_AXES)


def _moved(image: sitk.Image, rng: np.random.Generator) -> sitk.Image:
    """Return the image on another grid over about the same box, rotated and shifted a little."""
    turn = sitk.Euler3DTransform(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))
    turn.SetRotation(*np.deg2rad(rng.uniform(-3, 3, 3)).tolist())
    spacing = [mm * factor for mm, factor in zip(image.GetSpacing(), rng.uniform(0.9, 1.2, 3))]
    size = [round(n * old / new) for n, old, new in zip(image.GetSize(), image.GetSpacing(), spacing)]
    origin = turn.TransformPoint(np.add(image.GetOrigin(), rng.uniform(-2, 2, 3)).tolist())
    return sitk.Resample(image, size, sitk.Transform(), sitk.sitkLinear, origin, spacing, turn.GetMatrix(), _AIR)


def write_phantoms(folder: Path, count: int, seed: int = 0, **settings) -> None:
    """Write `count` case folders case_00000, ... into `folder`; keep those that are complete.

    Raises:
        InputError: a folder without a reference contains another scan.
    """
    for number in range(count):
        case = folder / f"case_{number:05d}"
        if (case / REFERENCE).exists():
            continue
        images, reference = make_channels(1000 * seed + number, **settings)
        for channel, image in images.items():
            path = case / image_name(channel)
            if path.exists():  # interrupted before the reference was written
                found = read_image(path)
                if checksum(sitk.GetArrayViewFromImage(found)) != checksum(sitk.GetArrayViewFromImage(image)):
                    raise InputError(path, "is another scan", "name another folder")
            else:
                write_image(image, path)
        write_image(reference, case / REFERENCE)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write CT-like phantoms as KiTS19 case folders.")
    parser.add_argument("folder", type=Path, help="folder for the case folders")
    parser.add_argument("--cases", type=int, default=12, help="number of cases (default: 12)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the anatomy (default: 0)")
    parser.add_argument("--channels", type=int, choices=CHANNELS, default=1, help="number of channels (default: 1)")
    args = parser.parse_args()
    try:
        write_phantoms(args.folder, args.cases, args.seed, channels=args.channels)
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
