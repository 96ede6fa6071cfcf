import numpy as np
import pytest

from base.errors import InputError
from base.label_classes import (
    IGNORED,
    LabelClasses,
    check_classes,
    notice,
    parse_classes,
    parse_titles,
    resolve,
    with_titles,
)


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


def test_very_many_classes_give_a_folder_name_that_every_file_system_takes():
    many, other = (parse_classes(",".join(map(str, range(count)))).folder_name for count in (200, 201))
    assert max(len(many), len(other)) < 50
    assert many != other


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


def test_titles_name_classes_in_what_is_shown_and_distinguish_none():
    plain = parse_classes("0,1+2,5")
    titled = with_titles(plain, parse_titles("1+2=kidney, 5=left cyst"), "--class-names")
    assert (plain.shown, titled.shown) == (("0", "1+2", "5"), ("background", "kidney", "left cyst"))
    assert titled == plain
    assert resolve(titled, {0, 1, 5}, "DATA").shown == titled.shown
    check_classes(titled.to_json())
    assert LabelClasses.from_json(titled.to_json()).shown == titled.shown
    assert plain.to_json().keys() == {"names", "labels"}  # as earlier versions read it
    assert with_titles(plain, parse_titles("5=cyst"), "").shown == ("background", "1+2", "cyst")


@pytest.mark.parametrize("text", ["1", "1=", "=kidney", "1=a/b", "1=..", "1=a+b", "1=a=b", "1=mean", ""])
def test_invalid_titles_are_refused(text):
    with pytest.raises(InputError, match="class names"):
        parse_titles(text)


@pytest.mark.parametrize("text", ["3=cyst", "1=a,2=a", "1=a,1=b", "1=2", "1=background"])
def test_titles_that_do_not_suit_the_classes_are_refused(text):
    with pytest.raises(InputError, match="--class-names"):
        with_titles(parse_classes("0,1,2"), parse_titles(text), "--class-names")


@pytest.mark.parametrize("titles", [["a"], ["a", "a"], ["a", "../b"], ["a", 1]])
def test_stored_titles_are_checked(titles):
    with pytest.raises(ValueError, match=r"titles|expected|plain"):
        check_classes({**parse_classes("0,1").to_json(), "titles": titles})
