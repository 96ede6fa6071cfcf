import pytest

from base.errors import InputError
from base.json_files import read_json
from base.text_files import decode, read_text

TEXT = '{"name": "Müller 数据"}\r\n'
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_of_common_editors_are_read(tmp_path, encoding):
    path = tmp_path / "list.txt"
    path.write_bytes(TEXT.encode(encoding))
    assert read_text(path) == TEXT
    assert read_json(path, {"name": str}, "") == {"name": "Müller 数据"}


def test_other_encodings_are_refused(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("Müller".encode("latin-1"))
    with pytest.raises(InputError, match=r"list\.txt: is not text in UTF-8 or UTF-16; save it as UTF-8"):
        read_text(path)
    with pytest.raises(UnicodeDecodeError):
        decode(b"\xff\xfe\x00")
