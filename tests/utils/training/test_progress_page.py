"""Progress page: well-formed, self-contained and correct."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from utils.pages.svg_curves import Curve, plot_svg
from utils.training.progress_page import Progress, progress_page
from utils.training.validation_picture import validation_picture

NAMES = ["dice_1", "dice_1+2"]


def rows_of(count):
    return [
        {
            "iteration": 10 * number,
            "train_loss": 2 / number,
            "val_loss": 3 / number,
            "learning_rate": 0.001,
            "iterations_per_second": 12.5,
            "dice_1": 0.5,
            "dice_1+2": None,
        }
        for number in range(1, count + 1)
    ]


def page_of(rows=(), picture=None, is_running=True, seconds_left=3723.0, experiment="one"):
    state = "running" if is_running else "finished"
    return progress_page(
        Progress(experiment, state, is_running, 10 * len(rows), 400, seconds_left), rows, NAMES, picture
    )


class Elements(HTMLParser):
    """Parses a page and checks that elements are closed; `addresses` are those that a browser fetches."""

    EMPTY = ("meta", "img", "path", "polyline", "circle", "!doctype")

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.addresses = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "data", "action")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


def test_a_page_is_self_contained():
    image = np.linspace(0, 1, 64).reshape(8, 8)
    picture = validation_picture(image, np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8), (1, 1), "case <1>")
    page = page_of(rows_of(3), picture)
    elements = Elements(page)
    assert not elements.open
    assert elements.tags.count("svg") == 2 and elements.tags.count("img") == 3
    assert not {"script", "link", "iframe", "object"} & set(elements.tags)
    assert all(address.startswith("data:image/png;base64,") for address in elements.addresses)
    assert "http:" not in page and "https:" not in page and "@import" not in page and "url(" not in page
    assert "case &lt;1&gt;" in page


def test_a_page_shows_the_progress():
    page = page_of(rows_of(20))
    for words in ("running", "iteration 200 of 400", "12.5 iterations per second", "1:02:03 left"):
        assert words in page
    assert len(re.findall(r"<tr><td>", page)) == 10
    assert page.index("<td>200</td>") < page.index("<td>110</td>")
    assert "<td>100</td>" not in page


def test_a_page_reloads_itself_while_the_training_runs():
    assert 'http-equiv="refresh"' in page_of(rows_of(2))
    finished = page_of(rows_of(2), is_running=False)
    assert "refresh" not in finished and " left" not in finished


def test_a_page_without_rows():
    page = page_of(seconds_left=None)
    assert not Elements(page).open
    assert "iteration 0 of 400" in page and "first validation" in page


def test_a_name_is_escaped():
    page = page_of(rows_of(1), experiment="<b>&amp;")
    assert "<b>" not in page and "&lt;b&gt;&amp;amp;" in page


def texts_of(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter("text")]


def test_curves_have_labels_and_their_range():
    svg = plot_svg([10, 20, 30], [Curve("dice_1", "red", [0.2, 0.4, 0.6])], "iteration", "Dice", (0, 1))
    assert {"0", "0.2", "0.4", "0.6", "0.8", "1", "10", "30", "iteration", "Dice"} <= set(texts_of(svg))
    (line,) = ElementTree.fromstring(svg).iter("polyline")
    heights = [float(point.split(",")[1]) for point in line.get("points").split()]
    zero, one = 270 - 44, 10
    assert heights == pytest.approx([zero + (one - zero) * value for value in (0.2, 0.4, 0.6)], abs=0.06)


@pytest.mark.parametrize(
    "values, lines",
    [
        ([1.0, None, 2.0, 3.0], 2),
        ([float("nan"), 1.0, float("inf"), float("-inf")], 1),
        ([None] * 4, 0),
        ([5.0] * 4, 1),
        ([0.0] * 4, 1),
        ([1e-12, 1e30, 1.0, -1e30], 1),
    ],
)
def test_gaps_and_extreme_values_can_be_plotted(values, lines):
    svg = plot_svg([1, 2, 3, 4], [Curve("loss", "red", values)], "iteration", "loss")
    assert len(list(ElementTree.fromstring(svg).iter("polyline"))) == lines
    assert "nan" not in svg and "inf" not in svg
    assert len(texts_of(svg)) >= 6


def test_a_single_point_is_visible():
    svg = plot_svg([500], [Curve("loss", "red", [0.7])], "iteration", "loss")
    assert len(list(ElementTree.fromstring(svg).iter("circle"))) == 1


def test_a_long_curve_stays_small_and_keeps_its_end():
    x = list(range(100_000))
    svg = plot_svg(x, [Curve("loss", "red", x)], "iteration", "loss")
    assert len(svg) < 50_000
    (line,) = ElementTree.fromstring(svg).iter("polyline")
    assert line.get("points").split()[-1].startswith("468.0,")
