"""What the demo of one data directory remembers: what its document was filled in with, and whether all of it is in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twinplane.cli.errors import StartError
from twinplane.node.authority import write_private


@dataclass(frozen=True, slots=True)
class State:
    """`values` fill in the document; `is_whole` is false from before the first entity is put in to after the last."""

    values: Mapping[str, str]
    is_whole: bool


def load_state(path: Path) -> State | None:
    """What was remembered; None where there was no demo before."""
    try:
        document = json.loads(path.read_bytes())
        return State(dict(document["values"]), bool(document["is_whole"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartError(f"{path}: cannot be read: {error}; delete the data directory to begin anew") from error


def save_state(path: Path, state: State) -> None:
    """Remember it, whole or not at all, for its owner alone."""
    document = {"values": dict(state.values), "is_whole": state.is_whole}
    write_private(path, json.dumps(document, indent=2).encode() + b"\n")
