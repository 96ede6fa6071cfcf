import pytest

from base.errors import InputError
from base.label_classes import parse_classes
from base.regions import Region, parse_regions, regions_of

KIDNEY, TUMOUR, BOTH = Region("1", (1,), (1,)), Region("2", (2,), (2,)), Region("1+2", (1, 2), (1, 2))


def test_classes_come_first_and_duplicates_are_dropped():
    assert regions_of(parse_classes("0,1,2")) == (KIDNEY, TUMOUR)
    assert regions_of(parse_classes("0,1,2"), parse_regions("2+1,2,1+2")) == (KIDNEY, TUMOUR, BOTH)


def test_regions_unite_the_labels_of_predictions():
    """Check that class 3+4 has label 3 in predictions and is the second channel."""
    regions = regions_of(parse_classes("0,7,3+4"), parse_regions("7+3,3"))
    assert regions == (Region("7", (7,), (1,)), Region("3+4", (3,), (2,)), Region("3+7", (3, 7), (2, 1)))


@pytest.mark.parametrize(("regions", "unknown"), [("1+4", "label 4;"), ("0+1", "label 0;"), ("1+2,5+6", "label 5, 6;")])
def test_labels_missing_from_predictions_are_refused_and_the_available_ones_listed(regions, unknown):
    with pytest.raises(InputError, match=f"--report-regions: .*{unknown} unite these: 1, 2"):
        regions_of(parse_classes("0,1,2"), parse_regions(regions))


@pytest.mark.parametrize("text", ["", "1+", "kidney", "1,,2"])
def test_invalid_regions_are_refused(text):
    with pytest.raises(InputError, match="--report-regions"):
        parse_regions(text)
