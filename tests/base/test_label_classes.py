import numpy as np
import pytest

from base.errors import InputError
from base.label_classes import IGNORED, notice, parse_classes, resolve


def indices(classes, labels):
    return np.frombuffer(classes.table(), np.uint8)[labels].tolist()


def test_labels_without_a_class_are_background():
    classes = parse_classes("0,1,2")
    assert indices(classes, [0, 1, 2, 3, 254]) == [0, 1, 2, 0, 0]
    assert classes.written_labels == (0, 1, 2)


def test_a_union_is_one_class_and_is_written_as_its_first_label():
    classes = parse_classes("0,1+2,5")
    assert indices(classes, [0, 1, 2, 5, 7]) == [0, 1, 1, 2, 0]
    assert classes.written_labels == (0, 1, 5)
    assert classes.folder_name == "0_1+2_5"


def test_0_3_unites_every_label_above_0_if_3_is_not_a_label():
    classes = resolve(parse_classes("0,3"), {0, 1, 2}, "DATA")
    assert indices(classes, [0, 1, 2, 3]) == [0, 1, 1, 1]
    assert classes.written_labels == (0, 3)


def test_0_3_is_label_3_if_3_is_a_label():
    classes = resolve(parse_classes("0,3"), {0, 1, 2, 3}, "DATA")
    assert indices(classes, [0, 1, 2, 3]) == [0, 0, 0, 1]


def test_a_note_is_given_if_3_is_a_label_and_classes_are_0_3():
    assert "0,3 means background against 3" in notice(parse_classes("0,3"), {0, 1, 2, 3})
    assert notice(parse_classes("0,3"), {0, 1, 2}) == ""
    assert notice(parse_classes("0,1,2,3"), {0, 1, 2, 3}) == ""


def test_a_class_without_voxels_in_any_case_is_refused():
    with pytest.raises(InputError, match="holds class 4"):
        resolve(parse_classes("0,1,4"), {0, 1, 2}, "DATA")


@pytest.mark.parametrize("text", ["0", "1,2", "0,1,1", "0,a", "0,300", "0,-1", "", "0,1+0"])
def test_invalid_classes_are_refused(text):
    with pytest.raises(InputError, match="--classes"):
        parse_classes(text)


def test_voxels_that_are_not_annotated_belong_to_no_class():
    for text in ("0,1,2", "0,3"):
        classes = resolve(parse_classes(text), {0, 1, 2}, "DATA")
        assert indices(classes, [IGNORED]) == [IGNORED]
