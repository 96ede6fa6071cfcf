"""Tiles for networks of valid (unpadded) convolutions: the same answers however an image is cut."""

import itertools
from collections.abc import Sequence

import numpy as np

from base.boxes import Box
from utils.inference.array_networks import ValidNetwork
from utils.inference.crop import crop

# Networks are prepared for each new shape, which takes time and memory: boxes begin and end at multiples of this.
_GRAIN = 8


class ValidTiles:
    """Runs a network of valid convolutions on images that are padded with one value a channel.

    Only voxels whose receptive field touches the image's content are computed; all others have the logits of constant
    input.

    Args:
        network: made for the padding values.
        padding_values: (channels,), of voxels beyond the images.
        memory_limit_bytes: limit of the features of one pass.
    """

    def __init__(self, network: ValidNetwork, padding_values: np.ndarray, memory_limit_bytes: float):
        self._network = network
        self._padding_values = padding_values
        self._memory_limit_bytes = memory_limit_bytes

    def fill(self, images: np.ndarray, content: Box | None, wanted: Box | None, target: np.ndarray) -> None:
        """Write probabilities of the box `wanted` to `target` (classes, n, sides...).

        Args:
            images: (n, channels, sides...).
            content: box beyond which all images equal the padding values.
        """
        if wanted is None:
            return
        for block in self._blocks(wanted):
            here = target[(slice(None), slice(None), *block)]
            here[:] = self._network.constant.reshape(-1, *[1] * (here.ndim - 1))
            plans = [plan(*pair, self._network.margin) for pair in zip(content, block)] if content else [None]
            if None not in plans:
                read, answered = zip(*plans)
                parts = crop(images, read, self._padding_values)
                relative = [slice(a.start - r.start, a.stop - r.start) for a, r in zip(answered, read)]
                answers = np.moveaxis(self._network(parts, relative), 0, 1)
                place = [_overlap(a, b) for a, b in zip(answered, block)]
                here[(..., *_within(place, block))] = answers[(..., *_within(place, answered))]

    def _blocks(self, box: Box) -> list[Box]:
        """Return blocks that cover a box, as large as memory allows."""
        sides = [part.stop - part.start for part in box]
        while max(sides) > 1 and self._network.activation_bytes(sides) > self._memory_limit_bytes:
            longest = sides.index(max(sides))
            sides[longest] = -(-sides[longest] // 2)
        rows = (
            [slice(start, min(start + side, part.stop)) for start in range(part.start, part.stop, side)]
            for part, side in zip(box, sides)
        )
        return list(itertools.product(*rows))


def plan(content: slice, wanted: slice, margin: int) -> tuple[slice, slice] | None:
    """Return the part to read along an axis, and the part that is then classified; None if nothing must be computed.

        image     . . c c c c . . . . . . .      c: content; margin 1; grain 1
        wanted    w w w w w w w w w w
        read      . . r r r r
        answered  . a a a a a a                  beyond it the receptive field holds padding only

    Both may reach beyond the image, and `answered` beyond `wanted`, to multiples of the grain. At each end, what is
    read ends with the content, or as far beyond what is answered as the network sees.
    """
    first = _floor(max(wanted.start, content.start - margin))
    stop = -_floor(-min(wanted.stop, content.stop + margin))
    if first >= stop:
        return None
    read_first, read_stop = max(first - margin, _floor(content.start)), min(stop + margin, -_floor(-content.stop))
    return slice(read_first, read_stop), slice(max(first, read_first - margin), min(stop, read_stop + margin))


def _floor(position: int) -> int:
    return position // _GRAIN * _GRAIN


def _overlap(one: slice, other: slice) -> slice:
    """Return the intersection of two parts of an axis."""
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _within(parts: Sequence[slice], box: Sequence[slice]) -> list[slice]:
    """Return `parts` relative to the beginning of the `box`."""
    return [slice(part.start - b.start, part.stop - b.start) for part, b in zip(parts, box)]
