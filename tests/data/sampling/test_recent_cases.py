from types import SimpleNamespace

from data.sampling.recent_cases import RecentCases


def test_what_was_looked_at_last_stays_and_the_rest_goes():
    released = []
    sizes = (100, 100, 100, 900)
    cases = [
        SimpleNamespace(bytes_in_files=size, release=lambda number=number: released.append(number))
        for number, size in enumerate(sizes)
    ]
    recent = RecentCases(cases, limit=250)
    for number, gone in [(0, []), (1, []), (0, []), (2, [1]), (0, []), (1, [2]), (3, [0, 1]), (3, []), (0, [3])]:
        released.clear()
        assert recent.look_at(number) is cases[number]
        assert released == gone
