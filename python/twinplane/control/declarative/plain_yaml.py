"""The YAML of declarative documents: plain values alone, and no text that costs more than its size.

Merge keys and numbers are where the loader underneath does more work than a text is long.
"""

from __future__ import annotations

from typing import Any

import yaml
from yaml.constructor import ConstructorError

from twinplane.control.errors import LimitExceeded

MERGED_MAX = 1_000_000
NUMBER_CHARACTERS_MAX = 400

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_MERGE = "tag:yaml.org,2002:merge"
_VALUE = "tag:yaml.org,2002:value"
_TEXT = "tag:yaml.org,2002:str"


def load_plain(text: bytes) -> Any:
    """The one document in a text. Raises YAMLError, LimitExceeded."""
    try:
        # A subclass of the safe loader.
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506
    except yaml.YAMLError:
        raise
    except ValueError as error:
        raise yaml.YAMLError(str(error)) from error


class _PlainLoader(_Loader):  # type: ignore[misc]  # the C loader where it is there
    """YAML without dates, bytes and sets: what looks like a date stays the text that it is."""

    merged = 0
    """Mappings and pairs that merge keys have copied so far."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put the pairs of `<<` before those of the mapping itself, as the loader underneath does.

        Merges of merges multiply: what they copy is counted before it is copied.
        """
        merges = [value for key, value in node.value if key.tag == _MERGE]
        # A mapping that merges itself finds itself without its merge keys.
        node.value = [pair for pair in node.value if pair[0].tag != _MERGE] if merges else node.value
        for key, _ in node.value:
            if key.tag == _VALUE:
                key.tag = _TEXT
        pairs = [pair for merge in merges for mapping in _merged(node, merge) for pair in self._pairs(mapping)]
        if pairs:
            node.value = pairs + node.value

    def _pairs(self, mapping: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
        self.flatten_mapping(mapping)
        self.merged += 1 + len(mapping.value)
        if self.merged > MERGED_MAX:
            raise LimitExceeded("pairs merged by << in a declarative document", MERGED_MAX)
        return list(mapping.value)

    def construct_short_int(self, node: yaml.Node) -> Any:
        """An integer; one of base 60 takes time by the square of its length."""
        self._check_number(node)
        return self.construct_yaml_int(node)

    def construct_short_float(self, node: yaml.Node) -> Any:
        """A number; as for integers."""
        self._check_number(node)
        return self.construct_yaml_float(node)

    def _check_number(self, node: yaml.Node) -> None:
        if len(self.construct_scalar(node)) > NUMBER_CHARACTERS_MAX:
            problem = f"a number has at most {NUMBER_CHARACTERS_MAX} characters"
            raise ConstructorError(None, None, problem, node.start_mark)


def _merged(node: yaml.MappingNode, merge: yaml.Node) -> list[yaml.MappingNode]:
    """The mappings that one merge key names, the weakest first."""
    named: list[Any] = merge.value if isinstance(merge, yaml.SequenceNode) else [merge]
    for mapping in named:
        if not isinstance(mapping, yaml.MappingNode):
            problem = f"expected a mapping or a list of mappings for merging, but found {mapping.id}"
            raise ConstructorError("while constructing a mapping", node.start_mark, problem, mapping.start_mark)
    return named[::-1]


def _refuse(_loader: Any, node: yaml.Node) -> Any:
    raise ConstructorError(
        None, None, f"a value of type {node.tag.rpartition(':')[2]} is none of JSON", node.start_mark
    )


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_constructor("tag:yaml.org,2002:int", _PlainLoader.construct_short_int)
_PlainLoader.add_constructor("tag:yaml.org,2002:float", _PlainLoader.construct_short_float)
for _kind in ("binary", "omap", "pairs", "set", "timestamp"):
    _PlainLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _refuse)
