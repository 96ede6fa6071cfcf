from types import SimpleNamespace

from data.sampling.recent_cases import RecentCases


def test_the_most_recently_used_cases_are_kept():
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
