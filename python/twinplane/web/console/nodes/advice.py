"""What a node that is not as it should be needs: what is wrong, and what to do about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from twinplane.control import Node

_UPGRADE = "Upgrade the node to the version of this control plane, or to one that is not older than its configuration."
_REFUSED = {
    "kong_version_incompatible": ("Its version is not spoken to", _UPGRADE),
    "plugin_set_incompatible": (
        "It lacks a plugin that the configuration uses",
        "Install the plugin on the node and name it in its setting plugins, or take it out of the configuration.",
    ),
    "plugin_version_incompatible": ("One of its plugins has another version", _UPGRADE),
    "filter_set_incompatible": (
        "It lacks a filter that the configuration uses",
        "Install the filter on the node, or take it out of the configuration.",
    ),
}


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing that is wrong, and what to do."""

    kind: Literal["bad", "warn"]
    title: str
    text: str


def advice(node: Node, *, is_connected: bool, is_in_sync: bool, is_late: bool, was_lost: bool) -> list[Advice]:
    """Everything beside the issues that the node tells itself, the first cause first."""
    found = []
    if not is_connected:
        text = (
            "It goes on serving what it has. See that its machine is up, that it reaches the control plane (twinplane "
            "network check, on the node), and that its certificate is among the node certificates and not expired."
        )
        found.append(Advice("bad", "It does not answer", text))
    refused = _REFUSED.get(node.sync_status)
    if refused is not None:
        found.append(Advice("bad", *refused))
    elif is_connected and not is_in_sync:
        text = (
            "It is sent the newest configuration at once, and takes it in seconds. Where this stays, the log of the "
            "node says what it could not take; the issues below tell what it reported."
        )
        found.append(Advice("warn", "It does not run the newest configuration", text))
    if is_late:
        text = "Its records come long after their requests: the node was cut off, or has more of them than it can send."
        found.append(Advice("warn", "Its telemetry is late", text))
    if was_lost:
        text = (
            "The node could keep no more records while it could not send them; requests were served all the same. "
            "What is counted for usage is not touched."
        )
        found.append(Advice("warn", "Telemetry was lost within a day", text))
    return found
