"""Images of any size for networks that need a multiple."""

import torch
from torch.nn import functional


def pad_to_multiple(image: torch.Tensor, multiple: int) -> tuple[torch.Tensor, tuple]:
    """Continue an image (n, channels, sides...) beyond its borders to sides that are multiples of `multiple`.

    The outermost voxels are repeated, on both sides alike: that, unlike reflection, has no least size. No side gets
    shorter than two multiples, so that at the coarsest level each axis holds two voxels and a normalization over space
    has more than one value.

        image      a b c d e           multiple 4: 3 more, 1 before and 2 behind
        padded   a a b c d e e e

    Returns:
        The padded image (the image itself where nothing is missing), and the index of the image's place in it.
    """
    sides = image.shape[2:]
    missing = [max(2 * multiple, -(-side // multiple) * multiple) - side for side in sides]
    before = [count // 2 for count in missing]
    place = (..., *(slice(low, low + side) for low, side in zip(before, sides)))
    if not any(missing):
        return image, place
    amounts = [amount for low, count in zip(before, missing) for amount in (count - low, low)]
    return functional.pad(image, amounts[::-1], mode="replicate"), place  # PyTorch counts from the last axis
