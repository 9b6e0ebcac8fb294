"""Lua patterns mean what they mean in Lua."""

from __future__ import annotations

import pytest

from twinplane.schema.lua_pattern import matches


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("^%u+$", "GET", True),
        ("^%u+$", "Get", False),
        ("^[a-z][a-z%d-]-[a-z%d]+$", "a-b", True),
        ("^[a-z][a-z%d-]-[a-z%d]+$", "a-", False),
        ("^[^*]*%*?[^*]*$", "*.a.*", False),
        ("%.%*$", "a.*", True),
        ("//", "/a//b", True),
        ("^[^*&%%\\`]+$", "/tmp/file.log", True),
        ("^[^*&%%\\`]+$", "/tmp/%d", False),
        ("%w*%p*@+%w*%.?%w*", "a@b.test", True),
        ("^RS256$", "RS256", True),
        ("^a.c$", "a\nc", True),
    ],
)
def test_a_pattern_finds_what_lua_finds(pattern: str, value: str, expected: bool) -> None:
    assert matches(pattern, value) is expected


def test_an_unsupported_item_is_refused() -> None:
    with pytest.raises(ValueError, match="unsupported item"):
        matches("%bxy", "x")
