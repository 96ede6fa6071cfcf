"""Sizes that networks with strides require of images."""


def voxels_to_add(side: int, multiple: int) -> tuple[int, int]:
    """Return how many voxels to add before and after an axis, so that its `side` becomes a multiple.

    The side becomes at least twice the multiple, so that there are two voxels at the coarsest level.
    """
    missing = max(2 * multiple, -(-side // multiple) * multiple) - side
    return missing // 2, missing - missing // 2
