"""Surface Dice at a tolerance, with surfaces weighted by area (Nikolov et al., J. Med. Internet Res. 23(7), 2021).

The surface of a mask passes between voxel centres. Wherever the eight voxels around a voxel corner are neither all
inside nor all outside, the surface has a piece there, an *element*: the surface that marching cubes (Lorensen and
Cline, 1987) places between these eight voxels. An element is located at the corner and weighted by its area in mm².
Counting border voxels instead would depend on the number of voxels and on their longest side.

    o - o - o      o outside, x inside; elements lie at +, where four (eight) voxels meet
    | + | + |
    o - x - o
    | + | + |
    o - o - o
"""

from functools import cache
from itertools import product

import numpy as np
from scipy.spatial import KDTree

from base.boxes import bounding_box
from utils.evaluation.metrics import ROUNDING_MM

DEFINITION = "area"  # in the records of runs; earlier versions, which counted border voxels, recorded nothing

_CORNERS = tuple(product((0, 1), repeat=3))  # of a cube, (z, y, x); bit n of a code stands for corner n
_ALL = 255
_MOST_STEPS = 500  # offsets within the tolerance that are tested one by one; for more, a tree is faster

Corner = tuple[int, int, int]
Point = tuple[float, float, float]


def surface_dice(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...], tolerance_mm: float
) -> float:
    """Return the fraction of the area of both surfaces that lies within `tolerance_mm` of the other surface.

    1 if both masks (z, y, x) are empty, 0 if one is. Voxels beyond the border of the image are outside the mask.
    """
    box = bounding_box(prediction | reference)
    codes = [_codes(mask[box]) for mask in (prediction, reference)]
    areas_mm2 = element_areas(spacing_mm)
    elements = [np.flatnonzero(code - np.uint8(1) < _ALL - 1) for code in codes]  # 0 - 1 is 255
    near = total = 0.0
    for own, other in ((0, 1), (1, 0)):
        areas = areas_mm2[codes[own].ravel()[elements[own]]]
        is_near = _are_near(codes[0].shape, elements[own], elements[other], spacing_mm, tolerance_mm + ROUNDING_MM)
        near, total = near + float(areas[is_near].sum()), total + float(areas.sum())
    return near / total if total else 1.0


def _codes(mask: np.ndarray) -> np.ndarray:
    """Encode which of the eight voxels around each voxel corner, image border included, are inside: uint8 (z, y, x)."""
    codes = np.pad(mask, 1).view(np.uint8)
    for axis, bits in ((2, 1), (1, 2), (0, 4)):
        codes = codes.swapaxes(0, axis)
        codes = (codes[:-1] | codes[1:] << np.uint8(bits)).swapaxes(0, axis)
    return np.ascontiguousarray(codes)


def _are_near(
    shape: tuple[int, ...], elements: np.ndarray, others: np.ndarray, spacing_mm: tuple[float, ...], limit_mm: float
) -> np.ndarray:
    """Return for each of `elements`, flat indices into `shape`, True if one of `others` is within `limit_mm`."""
    places, other_places = (np.stack(np.unravel_index(some, shape), axis=1) for some in (elements, others))
    reach = [int(limit_mm / mm) for mm in spacing_mm]
    if np.prod([2 * n + 1 for n in reach]) > _MOST_STEPS:
        # Surface points are dense and evenly spaced, so that this tree takes half the time of the default one.
        tree = KDTree(other_places * np.array(spacing_mm), leafsize=32, balanced_tree=False, compact_nodes=False)
        upper = np.nextafter(limit_mm, np.inf)
        return np.isfinite(tree.query(places * np.array(spacing_mm), distance_upper_bound=upper, workers=-1)[0])
    is_other = np.zeros(np.add(shape, np.multiply(2, reach)), bool)
    is_other[tuple((other_places + reach).T)] = True
    is_other, strides = is_other.ravel(), np.array(is_other.strides)
    positions = (places + reach) @ strides
    are_near = np.zeros(len(elements), bool)
    left = np.arange(len(elements))
    steps = np.indices([2 * n + 1 for n in reach]).reshape(3, -1).T - reach
    distances = np.linalg.norm(steps * np.array(spacing_mm), axis=1)
    for number in np.argsort(distances, kind="stable")[: np.count_nonzero(distances <= limit_mm)]:
        found = is_other[positions[left] + steps[number] @ strides]
        are_near[left[found]] = True
        left = left[~found]
    return are_near


def element_areas(spacing_mm: tuple[float, ...]) -> np.ndarray:
    """Return the area in mm² of the element of each of the 256 codes, for voxels of `spacing_mm` (z, y, x)."""
    codes, triangles = _triangles()
    first, second, third = np.moveaxis(triangles * np.array(spacing_mm), 1, 0)
    areas = np.linalg.norm(np.cross(second - first, third - first), axis=1) / 2
    return np.bincount(codes, areas, 1 + _ALL)


@cache
def _triangles() -> tuple[np.ndarray, np.ndarray]:
    """Return the codes (n,) and the corners in voxel units (n, 3, 3) of the triangles of all elements."""
    found = [(code, triangle) for code in range(1 + _ALL) for polygon in _polygons(code) for triangle in _cut(polygon)]
    return np.array([code for code, _ in found]), np.array([triangle for _, triangle in found])


def _polygons(code: int) -> list[list[Point]]:
    """Return the polygons that separate inside from outside corners, through the midpoints of the edges between them.

    A mask and its complement have the same surface: if more than four corners are inside, the roles are exchanged. If
    a face has two inside corners at the ends of a diagonal, they are separated from each other.
    """
    inside = {corner for bit, corner in enumerate(_CORNERS) if code >> bit & 1}
    if len(inside) > 4:
        inside = set(_CORNERS) - inside
    next_to: dict[Point, list[Point]] = {}
    for axis, side in product(range(3), (0, 1)):
        ring = [_corner(axis, side, *step) for step in ((0, 0), (0, 1), (1, 1), (1, 0))]
        midpoints = [_midpoint(corner, ring[place - 1]) for place, corner in enumerate(ring)]
        crossed = [(corner in inside) != (ring[place - 1] in inside) for place, corner in enumerate(ring)]
        ends = [place for place in range(4) if crossed[place]]
        if len(ends) == 4:  # connect the two edges at each inside corner
            pairs = [(place, (place + 1) % 4) for place, corner in enumerate(ring) if corner in inside]
        else:
            pairs = [tuple(ends)] if ends else []
        for one, other in pairs:
            next_to.setdefault(midpoints[one], []).append(midpoints[other])
            next_to.setdefault(midpoints[other], []).append(midpoints[one])
    polygons = []
    while next_to:
        polygon = [next(iter(next_to))]
        while following := [point for point in next_to.pop(polygon[-1]) if point in next_to]:
            polygon.append(following[0])
        polygons.append(polygon)
    return polygons


def _corner(axis: int, side: int, *others: int) -> Corner:
    corner = list(others)
    corner.insert(axis, side)
    return tuple(corner)


def _midpoint(one: Corner, other: Corner) -> Point:
    return tuple((a + b) / 2 for a, b in zip(one, other))


def _cut(polygon: list[Point]) -> list[tuple[Point, Point, Point]]:
    """Triangulate a polygon; if it is not planar, choose the triangulation of the largest area.

    This triangulation preserves the planar parts of the polygon, such as the roof and the slope over three corners of a
    face. The surface is therefore the same for all voxel sizes, whichever diagonals of these parts are chosen.
    """
    if len(polygon) < 3:
        return []
    first, last = polygon[0], polygon[-1]
    triangulations = [
        [(first, polygon[n], last), *_cut(polygon[: n + 1]), *_cut(polygon[n:])] for n in range(1, len(polygon) - 1)
    ]
    return max(triangulations, key=_area)


def _area(triangles: list[tuple[Point, Point, Point]]) -> float:
    corners = np.array(triangles)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return float(np.linalg.norm(cross, axis=1).sum())
