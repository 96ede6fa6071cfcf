"""Resampling of all channels of a scan onto one grid: for stage 1, and for prediction of single scans."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import SimpleITK as sitk

from base.errors import InputError
from data.images.image_files import Grid, from_array, to_lps
from data.resampling import covered_share, resample_image, resample_onto


def resample_scan(
    scan: Mapping[str, sitk.Image], own: Grid, grid: Grid, path_of: Callable[[str], Path | str]
) -> Iterator[tuple[str, sitk.Image, str]]:
    """Yield each channel of a scan on `grid`: its name, the image along LPS, and a note on its own grid or "".

    Args:
        scan: channels by name, in their own axis orders.
        own: grid of the scan's first channel, in its own axis order; `grid` is the same along LPS, with other voxels.
        path_of: returns the path of a channel, for errors.

    Raises:
        InputError: a channel does not overlap with the first.
    """
    for channel, image in scan.items():
        difference = Grid.of(image).differs_from(own)
        if difference:
            moved, note = _moved_onto(grid, to_lps(image), path_of(channel), difference)
            yield channel, moved, f"channel {channel} {note}"
        else:  # within the tolerance, the grid of the first is used for all
            image = image if Grid.of(image) == own else from_array(sitk.GetArrayViewFromImage(image), own)
            yield channel, resample_image(to_lps(image), grid), ""


def _moved_onto(grid: Grid, image: sitk.Image, path: Path | str, difference: str) -> tuple[sitk.Image, str]:
    """Resample a channel that lies on another grid; return it, and a note without the channel's name.

    Raises:
        InputError: it does not overlap with the `grid`.
    """
    share = covered_share(Grid.of(image), grid)
    if not share:
        raise InputError(path, "does not overlap with the first channel", "check its position: it may be another scan")
    beyond = "" if share == 1 else f", of which it covers {100 * share:.0f}%"
    return resample_onto(image, grid), f"is on another grid ({difference}): resampled onto that of the first{beyond}"
