"""Which handler answers a path: a tree of path segments, a literal segment before a free one.

Segments are decoded one by one, so a key may hold an encoded slash. Never answers anything itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from twinplane.api.core.message import Answer, Call, unquote

Handler = Callable[[Call, tuple[str, ...]], Answer]
"""Answers one method of one path; gets the free segments in order. Runs in a worker thread and may block."""

_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")


class MalformedPath(Exception):
    """The path holds an escape that means nothing, or a NUL."""


class Resource:
    """The methods of one path."""

    __slots__ = ("allow", "handlers", "template")

    def __init__(self, template: str, handlers: Mapping[str, Handler]) -> None:
        self.template = template
        self.handlers = dict(handlers)
        names = {*handlers, "OPTIONS"}
        if "GET" in handlers:
            names.add("HEAD")
        self.allow = ", ".join(sorted(names))

    def handler(self, method: str) -> Handler | None:
        """Who answers a method; HEAD is answered as GET."""
        return self.handlers.get("GET" if method == "HEAD" else method)


class _Node:
    __slots__ = ("free", "literal", "resource")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.free: _Node | None = None
        self.resource: Resource | None = None


class Dispatcher:
    """All paths of one face."""

    def __init__(self) -> None:
        self._root = _Node()
        self._templates: list[str] = []

    def add(self, template: str, handlers: Mapping[str, Handler]) -> None:
        """Serve a path; `{…}` stands for a free segment. The first to claim a path keeps it."""
        node = self._root
        for segment in split(template):
            if segment.startswith("{"):
                node.free = node.free or _Node()
                node = node.free
            else:
                node = node.literal.setdefault(segment, _Node())
        if node.resource is None:
            node.resource = Resource(template, handlers)
            self._templates.append(template)

    def templates(self) -> list[str]:
        """Every path served, sorted."""
        return sorted(self._templates)

    def resolve(self, path: str) -> tuple[Resource, tuple[str, ...]] | None:
        """The resource of a raw path and its free segments."""
        if _BAD_ESCAPE.search(path):
            raise MalformedPath
        segments = tuple(unquote(segment.encode("latin-1")) for segment in split(path))
        return _walk(self._root, segments, ())


def split(path: str) -> list[str]:
    """The raw segments of a path; one slash at the end does not count."""
    inner = path[1:].removesuffix("/") if path != "/" else ""
    return inner.split("/") if inner else []


def _walk(node: _Node, rest: tuple[str, ...], taken: tuple[str, ...]) -> tuple[Resource, tuple[str, ...]] | None:
    if not rest:
        return (node.resource, taken) if node.resource is not None else None
    head, tail = rest[0], rest[1:]
    literal = node.literal.get(head)
    if literal is not None:
        found = _walk(literal, tail, taken)
        if found is not None:
            return found
    if node.free is not None and head:
        return _walk(node.free, tail, (*taken, head))
    return None
