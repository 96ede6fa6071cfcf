import pytest

from base.errors import InputError
from base.own_folders import refuse_foreign


def test_only_a_folder_with_the_record_or_with_nothing_is_the_programs_own(tmp_path):
    folder = tmp_path / "out"
    refuse_foreign(folder, "record.json", "-o")
    folder.mkdir()
    refuse_foreign(folder, "record.json", "-o")
    for name in (".lock", ".0123abcd.partial.image.nii.gz"):  # of a process that was killed
        (folder / name).touch()
    refuse_foreign(folder, "record.json", "-o")
    (folder / "thesis.docx").touch()
    with pytest.raises(InputError, match=r"holds thesis\.docx and no record\.json: .* new folder with -o"):
        refuse_foreign(folder, "record.json", "-o")
    refuse_foreign(folder, "record.json", "-o", allowed=lambda path: path.suffix == ".docx")
    (folder / "record.json").touch()
    refuse_foreign(folder, "record.json", "-o")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="is not a folder"):
        refuse_foreign(tmp_path / "out", "record.json", "-o")


@pytest.mark.parametrize("name", [".DS_Store", "._run", "Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir"])
def test_what_operating_systems_leave_is_nobodys(tmp_path, name):
    (tmp_path / name).touch()
    refuse_foreign(tmp_path, "record.json", "-o")
