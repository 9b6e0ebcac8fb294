"""Writes which plugins a node has, so that it can say so without loading their declarations."""

from __future__ import annotations

from twinplane.registry import plugin_types

PAGE = "python/twinplane/node/bundled.py"


def page() -> str:
    """The whole module."""
    rows = "".join(f'    "{name}": "{plugin.version}",\n' for name, plugin in sorted(plugin_types().items()))
    return f'''# Generated from python/twinplane/plugins by `make generate`; do not edit.
"""The plugins that come with a node, by name, with their versions: what it tells its control plane."""

from __future__ import annotations

from collections.abc import Mapping

PLUGINS: Mapping[str, str] = {{
{rows}}}
'''
