"""Padding of images of any size to a multiple that a network requires."""

import torch
from torch.nn import functional


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
    missing = [max(2 * multiple, -(-side // multiple) * multiple) - side for side in sides]
    before = [count // 2 for count in missing]
    position = (..., *(slice(low, low + side) for low, side in zip(before, sides)))
    if not any(missing):
        return image, position
    amounts = [amount for low, count in zip(before, missing) for amount in (count - low, low)]
    return functional.pad(image, amounts[::-1], mode="replicate"), position  # pad() begins with the last axis
