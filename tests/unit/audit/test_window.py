"""Numbers of lines: each counts once, in any order; what is missing is counted; compared with a plain model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twinplane.audit.window import WIDTH, Window


@given(st.lists(st.integers(0, 3 * WIDTH), max_size=400))
def test_a_window_agrees_with_a_set(numbers: list[int]) -> None:
    window, seen, highest = Window(), set[int](), 0
    for number in numbers:
        is_new = number >= 1 and number not in seen and number > highest - WIDTH
        assert window.take(number, 0) == is_new
        if is_new:
            seen.add(number)
            highest = max(highest, number)
    assert window.lost == len([one for one in range(1, highest - WIDTH + 1) if one not in seen])
    window.settle(10, 5)
    assert window.lost == highest - len(seen)
    assert window.settle(20, 5) == 0
    missing = [one for one in range(1, highest + 1) if one not in seen]
    assert not any(window.take(one, 20) for one in missing)


def test_what_is_missing_is_waited_for() -> None:
    window = Window()
    assert window.take(1, 0)
    assert window.take(3, 1)
    assert window.settle(2, 5) == 0
    assert window.take(2, 3)
    assert window.settle(9, 5) == 0


def test_a_known_beginning_is_not_counted_as_lost() -> None:
    window = Window(100)
    assert not window.take(100, 0)
    assert window.take(102, 0)
    assert window.settle(9, 5) == 1


def test_an_absurd_number_is_refused() -> None:
    assert not Window().take(2**60, 0)
