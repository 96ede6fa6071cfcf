"""Sample of the damage campaign: a few trials of each kind, in forked processes; python -m tests.campaign runs all."""

import pytest

from tests.campaign import images
from tests.campaign.kinds import KINDS
from tests.campaign.trials import generator
from tests.campaign.world import make_world

_SEED = 1
_SCENARIOS = ("testing", "test_val", "resume", "student_short", "train_short", "train_cached", "clip")
# Kind and number; the number determines the scenario (see the kinds), which must be one of those above.
_TRIALS = [
    ("kill", 4),
    ("disk", 4),
    ("disk", 18),
    ("weights", 0),
    ("weights", 3),
    ("weights", 6),
    ("checkpoints", 0),
    ("checkpoints", 1),
    ("soft", 0),
    ("originals", 0),
    ("originals", 1),
    ("resampled", 0),
    ("resampled", 1),
    ("clip", 0),
    ("cache", 0),
    ("cache", 1),
    ("json", 0),
    ("json", 1),
    ("json", 3),
    ("json", 6),
    ("json", 12),
    ("json", 13),
    ("pairs", 2),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory, kidneys, save):
    made = make_world(tmp_path_factory.mktemp("campaign"), _SCENARIOS, kidneys, save, forked=True)
    made.moments("testing").write_text("1.0 0.2 0.8", encoding="utf-8")  # not measured
    return made


@pytest.mark.parametrize(("kind", "number"), _TRIALS)
def test_trial(world, tmp_path, kind, number):
    outcome = KINDS[kind].perform(world, number, generator(_SEED, kind, number), tmp_path)
    assert not outcome.problems, outcome.damage


@pytest.mark.parametrize("number", [1, 2])
def test_damaged_images(world, tmp_path, number):
    outcome = images.perform(world, number, generator(_SEED, "images", number), tmp_path, at_once=6)
    assert not outcome.problems, outcome.damage
