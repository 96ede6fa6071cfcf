"""Areas and surface Dice by hand for boxes and corners, by geometry for balls, by element for random shapes."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy import ndimage

import utils.evaluation.surface_dice
from utils.evaluation.surface_dice import element_areas, surface_dice

CORNERS = list(product((0, 1), repeat=3))


def code_of(*corners) -> int:
    return sum(1 << CORNERS.index(corner) for corner in corners)


def mask(*voxels, shape=(4, 4, 4)):
    array = np.zeros(shape, bool)
    for voxel in voxels:
        array[voxel] = True
    return array


A, X, Y, Z, XY, YZ, XYZ = (0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (1, 1, 0), (1, 1, 1)


@pytest.mark.parametrize(
    ("corners", "area"),
    [
        ((), 0),
        ((A,), 3**0.5 / 8),  # a triangle whose sides are half a face diagonal
        ((A, X), 2**0.5 / 2),  # a strip
        ((A, XY), 2 * 3**0.5 / 8),
        ((A, XYZ), 2 * 3**0.5 / 8),
        ((A, X, Y), 1 / 2 + 3 * 3**0.5 / 8),  # half a roof, and a slope
        ((A, X, YZ), 2**0.5 / 2 + 3**0.5 / 8),
        ((A, X, Y, XY), 1),  # a plane
        ((A, X, Y, Z), 3 * 3**0.5 / 4),  # a regular hexagon
        ((X, A, Y, YZ), 2 * 2**0.5 / 4 + 3**0.5 / 2),  # two half roofs, and a slope between them
        ((A, XY, (1, 0, 1), YZ), 4 * 3**0.5 / 8),
    ],
)
def test_areas_of_elements_by_hand(corners, area):
    """Include all rotations, reflections and complements of a configuration: together, all 256 codes."""
    areas = element_areas((1.0, 1.0, 1.0))
    for order, flips in product(permutations(range(3)), CORNERS):
        turned = [tuple(corner[axis] ^ flip for axis, flip in zip(order, flips)) for corner in corners]
        assert areas[code_of(*turned)] == pytest.approx(area)
        assert areas[255 - code_of(*turned)] == pytest.approx(area)


def test_areas_are_in_square_millimetres_along_each_axis():
    areas = element_areas((5.0, 2.0, 0.5))
    assert areas[code_of(A, X, Y, XY)] == pytest.approx(2 * 0.5)
    assert areas[code_of(A, X, Z, (1, 0, 1))] == pytest.approx(5 * 0.5)
    assert areas[code_of(A, Y, Z, YZ)] == pytest.approx(5 * 2)
    assert areas[code_of(A, X)] == pytest.approx(0.5 * np.hypot(5, 2) / 2)
    assert areas[code_of(A)] == pytest.approx(np.linalg.norm([5 * 2, 2 * 0.5, 5 * 0.5]) / 8)
    slope = (0.5**2 + 2**2) ** 0.5  # of the roof's diagonal; the slope is half a strip wide
    flat = 2 * 0.5 / 2
    height = np.hypot(2.5, (2 * 0.5 / slope) / 2)
    assert areas[code_of(A, X, Y)] == pytest.approx(flat + height * 3 / 4 * slope)


def box_parts(counts, spacing):
    """Return areas of a box's surface: of the three kinds of faces, of one strip along each axis, of one corner."""
    z, y, x = spacing
    (nz, ny, nx) = (count - 1 for count in counts)
    faces = {"z": ny * nx * y * x, "y": nz * nx * z * x, "x": nz * ny * z * y}
    strips = {"z": nz * z * np.hypot(y, x) / 2, "y": ny * y * np.hypot(z, x) / 2, "x": nx * x * np.hypot(z, y) / 2}
    return faces, strips, np.linalg.norm([z * y, z * x, y * x]) / 8


@pytest.mark.parametrize("spacing", [(5.0, 1.0, 0.8), (1.0, 1.0, 1.0), (0.9, 2.0, 3.0)])
def test_a_displaced_plane_counts_with_its_area(spacing):
    """A box of 4 × 6 × 7 voxels against one of 5 × 6 × 7: the top planes are one voxel apart, the rest agrees."""
    boxes = [np.zeros((9, 10, 11), bool) for _ in range(2)]
    boxes[0][2:6, 2:8, 2:9] = boxes[1][2:7, 2:8, 2:9] = True
    total = near = 0
    for count, top_rim_is_near in ((4, True), (5, False)):  # the lower rim lies on the sides of the taller box
        faces, strips, corner = box_parts((count, 6, 7), spacing)
        area = 2 * sum(faces.values()) + 4 * sum(strips.values()) + 8 * corner
        rim = 2 * strips["y"] + 2 * strips["x"] + 4 * corner
        total += area
        near += area - faces["z"] - (0 if top_rim_is_near else rim)
    assert surface_dice(*boxes, spacing, 0.5) == pytest.approx(near / total)
    assert surface_dice(*boxes[::-1], spacing, 0.5) == pytest.approx(near / total)
    assert surface_dice(*boxes, spacing, spacing[0]) == 1


def ball(radius_mm, spacing, shape):
    middle = [(count - 1) / 2 for count in shape]
    return sum(((n - m) * mm) ** 2 for n, m, mm in zip(np.indices(shape), middle, spacing)) <= radius_mm**2


def test_half_a_ball_against_the_whole_for_every_longest_voxel_side():
    """Half and ball share 2πr² of their surfaces of 3πr² and 4πr²: the surface Dice is 4 / 7.

    Voxel steps enlarge curved surfaces by up to a fifth, but not planes. By the number of border voxels, the shares
    would range from 0.51 to 0.63.
    """
    shares = []
    for spacing in [(1.0, 1.0, 1.0), (4.0, 1.0, 1.0), (1.0, 4.0, 1.0), (1.0, 1.0, 4.0)]:
        shape = [2 * int(24 / mm + 2) for mm in spacing]
        whole = ball(24, spacing, shape)
        half = whole.copy()
        half[: shape[0] // 2] = False
        shares.append(surface_dice(half, whole, spacing, 0.9))
    assert 4 / 7 < min(shares) < max(shares) < 4 / 7 + 0.05
    assert np.ptp(shares) < 0.025


@pytest.mark.parametrize(("apart_mm", "tolerance_mm", "share"), [(0, 0, 1), (3, 1.2, 0), (3, 4.2, 1)])
def test_concentric_balls(apart_mm, tolerance_mm, share):
    spacing, shape = (2.0, 1.0, 1.0), (26, 50, 50)
    balls = [ball(radius, spacing, shape) for radius in (18, 18 + apart_mm)]
    assert surface_dice(*balls, spacing, tolerance_mm) == pytest.approx(share)


def by_element(one, other, spacing, tolerance_mm):
    """Compute the surface Dice corner by corner, from all pairwise distances."""
    areas = element_areas(spacing)
    found = []
    for array in (np.pad(one, 1), np.pad(other, 1)):
        elements = []
        for place in np.ndindex(*(n - 1 for n in array.shape)):
            code = code_of(*(corner for corner in CORNERS if array[tuple(np.add(place, corner))]))
            if 0 < code < 255:
                elements.append((np.multiply(place, spacing), areas[code]))
        found.append(elements)
    near = total = 0
    for own, others in (found, found[::-1]):
        for place, area in own:
            total += area
            near += area * (min(np.linalg.norm(place - there) for there, _ in others) <= tolerance_mm)
    return near / total


@pytest.mark.parametrize("most_steps", [0, 10**6])
@pytest.mark.parametrize("tolerance_mm", [0, 0.8, 2.3, 4])
def test_against_single_elements(monkeypatch, most_steps, tolerance_mm):
    monkeypatch.setattr(utils.evaluation.surface_dice, "_MOST_STEPS", most_steps)
    rng = np.random.default_rng(0)
    spacing = (3.0, 1.0, 0.7)
    masks = [ndimage.gaussian_filter(rng.normal(size=(6, 9, 10)), 1.5) > 0.05 for _ in range(2)]
    expected = by_element(*masks, spacing, tolerance_mm)
    assert 0 < expected < 1
    assert surface_dice(*masks, spacing, tolerance_mm) == pytest.approx(expected)
    moved = [np.pad(one, ((2, 3), (0, 1), (4, 0))) for one in masks]
    assert surface_dice(*moved, spacing, tolerance_mm) == pytest.approx(expected)
    turned = [one.transpose(2, 0, 1)[::-1] for one in masks]
    assert surface_dice(*turned, (0.7, 3.0, 1.0), tolerance_mm) == pytest.approx(expected)


@pytest.mark.parametrize("most_steps", [0, 10**6])
def test_empty_masks(monkeypatch, most_steps):
    monkeypatch.setattr(utils.evaluation.surface_dice, "_MOST_STEPS", most_steps)
    one, empty, spacing = mask((1, 1, 1)), mask(), (1.0, 1.0, 1.0)
    assert surface_dice(empty, empty, spacing, 1.0) == 1
    assert surface_dice(one, empty, spacing, 100.0) == 0
    assert surface_dice(empty, one, spacing, 100.0) == 0


def test_a_distance_equal_to_the_tolerance_is_within_it():
    """A header stores 0.8 mm in single precision: 0.800000012 mm."""
    spacing = (1.0, 1.0, float(np.float32(0.8)))
    assert surface_dice(mask((0, 0, 0)), mask((0, 0, 1)), spacing, 0.8) == 1
    assert surface_dice(mask((0, 0, 0)), mask((0, 0, 1)), spacing, 0.79) < 1
