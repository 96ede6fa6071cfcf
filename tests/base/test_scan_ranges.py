from base.scan_ranges import ScanRange

# Voxels (z, y, x) in mm, and shapes: fields of view of 100 × 200 × 200 and 60 × 240 × 240 mm.
KNOWN = ScanRange.of([((5.0, 1.0, 1.0), (20, 200, 200)), ((3.0, 0.8, 0.8), (20, 300, 300))])


def test_the_range_is_that_of_all_scans():
    assert KNOWN.spacing_mm == ((3.0, 5.0), (0.8, 1.0), (0.8, 1.0))
    assert KNOWN.extent_mm == ((60.0, 100.0), (200.0, 240.0), (200.0, 240.0))
    assert ScanRange.from_json(KNOWN.to_json()) == KNOWN


def test_up_to_twice_as_large_or_half_as_large_is_usual():
    assert KNOWN.warnings((10.0, 2.0, 0.4), (10, 100, 500)) == []


def test_larger_voxels_and_a_small_field_of_view_are_told():
    coarse, small = KNOWN.warnings((10.5, 1.0, 1.0), (10, 200, 90))
    assert coarse.startswith("voxels are 10.5 mm along z, in training scans 3 to 5 mm")
    assert small.startswith("the field of view is 90 mm along x, in training scans 200 to 240 mm")
