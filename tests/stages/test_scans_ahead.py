"""Scans are read in a thread, one ahead of the one that is asked for."""

import threading

import pytest

from base.errors import InputError
from stages.scans_ahead import ScansAhead

WAIT = 30  # seconds, for a thread that does not do what is expected


class _Source:
    """A scan of a name; tells when it is read."""

    def __init__(self, name: str, error: Exception | None = None):
        self.name = name
        self.began = threading.Event()
        self._error = error

    def read(self):
        self.began.set()
        if self._error:
            raise self._error
        return {"": self.name}, None


def test_first_scan_is_read_before_it_is_asked_for_and_the_next_after_it():
    one, two, three = (_Source(name) for name in ("one", "two", "three"))
    with ScansAhead([one, two, three], _Source.read) as ahead:
        assert one.began.wait(WAIT)
        assert not two.began.is_set()
        assert ahead.read(one) == ({"": "one"}, None)
        assert two.began.wait(WAIT)
        assert not three.began.is_set()
        assert ahead.read(two) == ({"": "two"}, None)
        assert ahead.read(three) == ({"": "three"}, None)


def test_finished_scans_are_read_only_if_they_are_asked_for():
    done, new = _Source("done"), _Source("new")
    with ScansAhead([done, new], _Source.read, finished={"done"}) as ahead:
        assert new.began.wait(WAIT)
        assert not done.began.is_set()
        assert ahead.read(done) == ({"": "done"}, None)
        assert ahead.read(new) == ({"": "new"}, None)


def test_scan_that_is_left_out_does_not_stop_the_reading_of_the_others():
    one, two, three = (_Source(name) for name in ("one", "two", "three"))
    with ScansAhead([one, two, three], _Source.read) as ahead:
        assert ahead.read(two) == ({"": "two"}, None)
        assert three.began.wait(WAIT)


def test_error_is_raised_where_its_scan_is_asked_for():
    bad, good = _Source("bad", InputError("bad", "is damaged", "replace it")), _Source("good")
    with ScansAhead([bad, good], _Source.read) as ahead:
        assert bad.began.wait(WAIT)
        with pytest.raises(InputError, match="is damaged"):
            ahead.read(bad)
        assert ahead.read(good) == ({"": "good"}, None)
