import pytest

from base.names import check_name, check_path_inside, check_run_name


@pytest.mark.parametrize("name", ["case_00000", "Patient 7 (left)", "Ärzte", "a.b", "0_1_2"])
def test_plain_names_are_accepted(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/etc", "a/b", "a\\b", ".hidden", "a\nb", "a\0b", "n" * 300, None, 5, []]
)
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="name"):
        check_name(name)


def test_a_name_that_is_not_utf8_is_refused():
    with pytest.raises(ValueError, match="not UTF-8"):
        check_name("M\udcfcller")


@pytest.mark.parametrize("name", ["cache", "soft_labels", "../x"])
def test_reserved_names_and_paths_are_refused_for_runs(name):
    assert check_name("cache") == "cache"
    with pytest.raises(ValueError, match="name"):
        check_run_name(name)


def test_paths_outside_the_folder_are_refused():
    assert check_path_inside("./imagesTr/a.nii.gz") == "./imagesTr/a.nii.gz"
    for path in ("", "/etc/passwd", "../a", "a/../../b", "a\0", None, 1):
        with pytest.raises(ValueError, match=r"folder|path"):
            check_path_inside(path)
