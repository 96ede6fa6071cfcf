import pytest

from base.errors import InputError
from base.own_folders import refuse_foreign


def test_a_folder_with_foreign_files_and_without_a_record_is_refused(tmp_path):
    folder = tmp_path / "out"
    refuse_foreign(folder, "record.json", "-o")
    folder.mkdir()
    refuse_foreign(folder, "record.json", "-o")
    for name in (".lock", ".0123abcd.partial.image.nii.gz"):  # left by a killed process
        (folder / name).touch()
    refuse_foreign(folder, "record.json", "-o")
    (folder / "thesis.docx").touch()
    with pytest.raises(InputError, match=r"holds thesis\.docx and no record\.json: .* new folder with -o"):
        refuse_foreign(folder, "record.json", "-o")
    refuse_foreign(folder, "record.json", "-o", allowed=lambda path: path.suffix == ".docx")
    (folder / "record.json").touch()
    refuse_foreign(folder, "record.json", "-o")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="is not a folder"):
        refuse_foreign(tmp_path / "out", "record.json", "-o")


@pytest.mark.parametrize("name", [".DS_Store", "._run", "Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir"])
def test_files_of_operating_systems_are_ignored(tmp_path, name):
    (tmp_path / name).touch()
    refuse_foreign(tmp_path, "record.json", "-o")
