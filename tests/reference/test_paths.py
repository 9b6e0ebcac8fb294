"""The engine gives paths the form of the plain statement."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import paths
from tests.reference.deciding import Engine

SLASHES_AND_DOTS = ["/", "/", "//", ".", "..", "/.", "/.."]
ESCAPES = ["%", "%2", "%2f", "%2F", "%2e", "%00", "%41", "%7e", "%25", "%c3%a4", "%3F"]
LETTERS = ["a", "b", "ä", " ", "|", "#", "+", ";", "~", "\\", "^"]
PIECES = st.sampled_from([*SLASHES_AND_DOTS, *ESCAPES, *LETTERS])
TARGETS = st.lists(PIECES, max_size=9).map(lambda pieces: "/" + "".join(pieces))


@settings(settings.get_profile("reference"), max_examples=400)
@given(TARGETS, st.sampled_from(["", "/", "/base", "/base/", "/b%20c"]), st.none() | st.integers(1, 5), st.booleans())
def test_paths_take_the_form_of_the_plain_statement(
    engine: Engine, target: str, base: str, taken: int | None, strips: bool
) -> None:
    answer = engine.decide("path", target=target, base=base, taken=taken, strips=strips)
    normal = paths.normal(target)
    if normal is None:
        assert answer is None
        return
    joined = paths.upstream(base, normal, None if taken is None else min(taken, len(normal)), strips=strips)
    assert answer == {"normal": normal, "sent": paths.escaped(joined)}


@settings(settings.get_profile("reference"))
@given(TARGETS)
def test_what_goes_upstream_has_the_same_normal_form(engine: Engine, target: str) -> None:
    answer = engine.decide("path", target=target, base="", taken=None, strips=False)
    if answer is not None:
        assert paths.normal(answer["sent"]) == answer["normal"]
