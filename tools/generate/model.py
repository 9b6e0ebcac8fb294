"""Writes `crates/model/src/lib.rs`: a struct for each collection that nodes are sent."""

from __future__ import annotations

from tools.generate.rust import Structs, camel, formatted

from twinplane.registry import EntityType, entity_types, route_type
from twinplane.schema import Field

PAGE = "crates/model/src/lib.rs"
# Kept on the control plane alone: views, sessions of people, and what belongs to later editions.
_NOT_SENT = {"tags", "clustering_data_planes", "sessions", "oauth2_authorization_codes"}
# Of a later edition, and served here all the same.
_SERVED = {"consumer_groups", "consumer_group_consumers"}

_HEAD = """//! Configuration structs of the data plane: one struct per entity row, as it crosses the door from Python.
//!
//! Generated from `python/twinplane/entities` by `make generate`; do not edit. Every field of every row is present, and
//! what is unset is null. References are bare ids. Holds no behaviour and no default.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The id of an entity: a UUID as text.
pub type Id = Arc<str>;

"""


def page() -> str:
    """The whole file."""
    kinds = entity_types().values()
    sent = [kind for kind in kinds if (kind.edition == "oss" or kind.name in _SERVED) and kind.name not in _NOT_SENT]
    # One struct for the routes of all flavours: the one with expressions has every field of the others.
    sent = [route_type("expressions") if kind.name == "routes" else kind for kind in sent]
    structs: list[str] = []
    for kind in sent:
        structs.extend(_structs_of(kind))
    rows = "\n".join(f"    pub {kind.name}: Vec<{_name(kind)}>," for kind in sent)
    table = f"""/// A whole configuration: flat arrays of rows, absent where there are none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigTable {{
    #[serde(rename = "_format_version")]
    pub format_version: Option<Box<str>>,
    #[serde(rename = "_transform")]
    pub transform: Option<bool>,
{rows}
}}
"""
    return formatted(_HEAD + "\n".join([*structs, table]))


def _structs_of(kind: EntityType) -> list[str]:
    name = _name(kind)

    def record(path: str, known: Field) -> str:
        if known.record is None or known.abstract or not known.record.fields:
            return "Box<RawValue>"
        parent, _, own = path.partition(".")
        nested = parent + camel(own)
        structs.add(nested, f"Part of a row of `{kind.name}`.", known.record)
        return nested

    structs = Structs("pub", record, derive="Clone, Debug, Deserialize, Serialize")
    transient = frozenset(key for key, known in kind.fields.items() if known.transient)
    structs.add(name, f"A row of `{kind.name}`.", kind.shape, leave_out=transient)
    texts = [text.replace("pub id: Option<Id>", "pub id: Id") for text in structs.texts]
    if kind.name == "routes":
        texts[-1] = texts[-1].replace("pub priority: i64", "pub priority: Option<i64>")
    if kind.ttl:
        texts[-1] = texts[-1].removesuffix("}\n") + "    pub ttl: Option<i64>,\n}\n"
    return texts


def _name(kind: EntityType) -> str:
    return camel(kind.singular)
