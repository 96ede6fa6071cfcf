"""Results in words."""

import pytest

from utils.reporting.words import comparison_sentence

ROW = {"class": "mean", "patients": "30", "mean": "0.8", "against": "other", "against_mean": "0.79", "margin": ""}
ROW |= {"difference": "0.01", "p_wilcoxon": "0.0001", "p_holm": "0.0002"}


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "words"),
    [
        ("0.004", "0.02", "0.0002", "significant: student is better."),
        ("0.004", "", "0.0002", "significant: student is better."),
        ("-0.02", "-0.004", "0.0002", "significant: other is better."),
        ("-0.01", "", "0.0002", "neither is shown to be better."),
        ("-0.01", "0.03", "0.0002", "neither is shown to be better."),
        ("", "", "0.0002", "neither is shown to be better."),
        ("0.004", "0.02", "0.06", "A difference is not shown, which does not mean that there is none."),
    ],
)
def test_a_run_is_better_if_test_and_interval_agree(low, high, p_holm, words):
    row = {**ROW, "low": low, "high": high, "p_holm": p_holm}
    assert comparison_sentence("student", row).endswith(words)
