"""Scans that are found for prediction, and what they are called."""

from data.scan_files import find_scans


def test_a_case_folder_is_called_as_it_is_named_not_as_what_a_link_leads_to(tmp_path):
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "imaging.nii.gz").touch()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "patient").symlink_to(tmp_path / "case")
    for path in (tmp_path / "links" / "patient", tmp_path / "links"):
        assert [scan.name for scan in find_scans([str(path)]).scans] == ["patient"]
