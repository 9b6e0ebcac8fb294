"""Paths find their handlers."""

from __future__ import annotations

import pytest

from twinplane.api.core.dispatch import Dispatcher, MalformedPath, Resource
from twinplane.api.core.message import Answer, Call


def handler(_call: Call, _keys: tuple[str, ...]) -> Answer:
    return Answer(200)


@pytest.fixture
def dispatcher() -> Dispatcher:
    made = Dispatcher()
    for path in ("/", "/services", "/services/{s}", "/services/{s}/routes/{r}", "/services/enabled", "/a/{x}/all"):
        made.add(path, {"GET": handler, "POST": handler})
    return made


def found(dispatcher: Dispatcher, path: str) -> tuple[str, tuple[str, ...]] | None:
    result = dispatcher.resolve(path)
    return None if result is None else (result[0].template, result[1])


@pytest.mark.parametrize(
    ("path", "template", "keys"),
    [
        ("/", "/", ()),
        ("//", "/", ()),
        ("/services/", "/services", ()),
        ("/services/x", "/services/{s}", ("x",)),
        ("/services/x/", "/services/{s}", ("x",)),
        ("/services/enabled", "/services/enabled", ()),
        ("/services/enabled/routes/r", "/services/{s}/routes/{r}", ("enabled", "r")),
        ("/services/a%2Fb", "/services/{s}", ("a/b",)),
        ("/services/a+b", "/services/{s}", ("a b",)),
        ("/services/%C3%A9", "/services/{s}", ("é",)),
    ],
)
def test_path_is_found(dispatcher: Dispatcher, path: str, template: str, keys: tuple[str, ...]) -> None:
    assert found(dispatcher, path) == (template, keys)


@pytest.mark.parametrize(
    "path", ["/service", "/Services", "/services//", "/services//routes/r", "/services/x/y", "/a/b"]
)
def test_path_is_not_found(dispatcher: Dispatcher, path: str) -> None:
    assert found(dispatcher, path) is None


@pytest.mark.parametrize("path", ["/services/%zz", "/services/%", "/services/%00", "/%0"])
def test_escape_without_meaning_is_malformed(dispatcher: Dispatcher, path: str) -> None:
    with pytest.raises(MalformedPath):
        dispatcher.resolve(path)


def test_first_claim_on_a_path_stays(dispatcher: Dispatcher) -> None:
    dispatcher.add("/services", {"DELETE": handler})
    result = dispatcher.resolve("/services")
    assert result is not None
    assert result[0].allow == "GET, HEAD, OPTIONS, POST"
    assert dispatcher.templates().count("/services") == 1


def test_allow_lists_what_is_answered() -> None:
    resource = Resource("/x", {"POST": handler})
    assert resource.allow == "OPTIONS, POST"
    assert resource.handler("HEAD") is None
