"""The README is short and holds the main commands."""

import re

import pytest

from tests.documents import ROOT, commands_in, commands_of, links_of, text_of

README = text_of("README.md")
LARGEST = 12_000  # bytes

DESIGN = """
python resample_data.py -d "path-to-data-directory"
python -m visdom.server -p 8008
python training_network.py -n dil2D -d DATA/ -s SAVE/ -x 123 -i 100000 --receptive-field-size 131 --sample-size 54
 --patch-inclusion-criteria entire-sample-area --classes 0,3
python training_network.py -n dil2D -d DATA/ -s SAVE/ -x 123 -i 50000 --receptive-field-size 35 --sample-size 10
 --patch-inclusion-criteria patch_center_voxel --classes 0,1,2 --balance-ratios 0,5,5
python testing_network.py -d DATA/ -s SAVE/ -r nameofexperiment -n dil2D -e val
 --network-weights /path/to/network/weights/FINAL*100000.pth --receptive-field-size 131 --classes 0,3
python ensemble.py -d DATA/ -s SAVE/ -e val --receptive-field-size 131 --sample-size 54 --classes 0,3
python ensemble.py -d DATA/ -s SAVE/ -e val --receptive-field 35 --sample-size 10 --clip True --classes 0,1,2
pip install -r requirements.txt
"""


def test_the_readme_is_short():
    assert len(README.encode()) <= LARGEST


@pytest.mark.parametrize("command", commands_of(DESIGN))
def test_the_main_commands_are_in_the_readme(command):
    assert command in commands_in(README)


@pytest.mark.parametrize("target", ["demo", "test"])
def test_both_make_targets_are_named_and_exist(target):
    assert f"make {target}" in commands_in(README)
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_each_document_is_linked():
    linked = {path for path, _ in links_of(README)}
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    assert pages | {"CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "LICENSE"} <= linked
