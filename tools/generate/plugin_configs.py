"""Writes `config.rs` of each plugin with behaviour in Rust, and the table of all plugins."""

from __future__ import annotations

from pathlib import Path

from tools.generate.rust import Structs, formatted, imports

from twinplane.registry import PluginType, plugin_types
from twinplane.registry.python_plugins import bundled_class
from twinplane.schema import Field

PLUGINS = "python/twinplane/plugins"
TABLE = f"{PLUGINS}/table.rs"
# They are Lua and nothing else: a configuration that has one is refused by nodes of ours.
REFUSED = frozenset({"pre-function", "post-function"})
_ROOT = Path(__file__).resolve().parents[2]

_TABLE = """//! All bundled plugins in the order in which they run: name, priority, version, and how to build those that
//! have behaviour here. A plugin without one is known, validated and stored, and guards its routes with 503.
//!
//! Generated from `python/twinplane/plugins/*/schema.py` by `make generate`; do not edit.
use twinplane_engine::plugin::{{BuildFilter, PluginSpec}};

use crate::{{{modules}}};

const fn plugin(name: &'static str, priority: i32, version: &'static str, build: Option<BuildFilter>) -> PluginSpec {{
    PluginSpec {{ name, priority, version, observes_only: false, build }}
}}

/// A plugin that neither refuses nor changes anything.
const fn observer(name: &'static str, priority: i32, version: &'static str, build: Option<BuildFilter>) -> PluginSpec {{
    PluginSpec {{ name, priority, version, observes_only: true, build }}
}}

/// All of them.
pub(crate) const TABLE: [PluginSpec; {count}] = [
{rows}
];
"""


def files() -> dict[str, str]:
    """Path to text of every file."""
    plugins = sorted(plugin_types().values(), key=lambda plugin: (-plugin.priority, plugin.name))
    running = [plugin for plugin in plugins if _is_in_rust(plugin)]
    found = {f"{PLUGINS}/{_module(plugin)}/config.rs": _config(plugin) for plugin in running}
    rows = "\n".join(f"    {_row(plugin)}," for plugin in plugins)
    modules = ", ".join(sorted([*map(_module, running), "guest", "lua"]))
    found[TABLE] = formatted(_TABLE.format(modules=modules, count=len(plugins), rows=rows))
    return found


def _row(plugin: PluginType) -> str:
    build = f"Some({_module(plugin)}::filter::build)" if _is_in_rust(plugin) else "None"
    if bundled_class(plugin.name) is not None:
        build = "Some(guest::build)"
    if plugin.name in REFUSED:
        build = "Some(lua::refuse_functions)"
    kind = "observer" if plugin.observes_only else "plugin"
    return f'{kind}("{plugin.name}", {plugin.priority:_}, "{plugin.version}", {build})'


def _config(plugin: PluginType) -> str:
    names: dict[tuple[str, ...], str] = {}

    def record(_path: str, known: Field) -> str:
        shape = known.record
        if shape is None:
            return "Box<RawValue>"
        # Records that differ in their checks alone are one struct here.
        fields = tuple(f"{name} {inner.kind} {inner.required}" for name, inner in shape.fields.items())
        if fields not in names:
            names[fields] = shape.name
            structs.add(shape.name, shape.description, shape)
        return names[fields]

    structs = Structs("pub(crate)", record, narrow=True)
    structs.add("Config", f"`config` of {plugin.name}.", plugin.config)
    # The whole comes first, its parts after it.
    body = "\n".join(reversed(structs.texts)).replace("Id", "Box<str>")
    head = (
        f"//! Configuration of {plugin.name}, as it crosses the door from Python: "
        "every field there, null where unset.\n"
        f"//!\n//! Generated from `{PLUGINS}/{_module(plugin)}/schema.py` by `make generate`; do not edit.\n"
    )
    return formatted(head + "\n".join([*imports(body), body]))


def has_behaviour(plugin: PluginType) -> bool:
    """Whether nodes of this version run the plugin."""
    return _is_in_rust(plugin) or bundled_class(plugin.name) is not None


def _is_in_rust(plugin: PluginType) -> bool:
    return (_ROOT / PLUGINS / _module(plugin) / "filter.rs").exists()


def _module(plugin: PluginType) -> str:
    return plugin.name.replace("-", "_")
