"""Padding of images of any size to a multiple that a network requires."""

import torch
from torch.nn import functional

from base.padding import voxels_to_add


def pad_to_multiple(image: torch.Tensor, multiple: int) -> tuple[torch.Tensor, tuple]:
    """Pad an image (n, channels, sides...) so that its sides are multiples of `multiple`.

    Both ends of an axis are padded equally by repeating the outermost voxels, which unlike reflection works for any
    size. Each side becomes at least twice the multiple, so that each axis has two voxels at the coarsest level and
    instance normalization has more than one value.

        image      a b c d e           multiple 4: 3 more, 1 before and 2 after
        padded   a a b c d e e e

    Returns:
        the padded image (the image itself if it needs no padding), and the index of the image in it.
    """
    sides = image.shape[2:]
    amounts = [voxels_to_add(side, multiple) for side in sides]
    position = (..., *(slice(before, before + side) for (before, _), side in zip(amounts, sides)))
    if not any(map(any, amounts)):
        return image, position
    ends = [end for before_and_after in amounts[::-1] for end in before_and_after]  # pad() begins with the last axis
    return functional.pad(image, ends, mode="replicate"), position
