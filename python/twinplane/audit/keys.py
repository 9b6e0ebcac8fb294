"""The keys that nodes sign their lines with: made at each connect of a link, the one before valid a little longer.

Kept in memory alone. A key speaks for one node of one control plane, whatever a line says.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from twinplane.audit.signature import KEY_BYTES
from twinplane.audit.window import Window
from twinplane.hybrid.audit_key import AuditKey, Sender

GRACE_S = 10.0
LINGER_S = 60.0
KEYS_MAX = 20_000
_NEVER = float("inf")


@dataclass(slots=True)
class HeldKey:
    """A key, whose it is, and which start of that node uses it."""

    key: AuditKey
    sender: Sender
    expires_at: float = _NEVER
    boot: str = ""


@dataclass(slots=True)
class _Node:
    keys: list[HeldKey] = field(default_factory=list)
    windows: dict[str, Window] = field(default_factory=dict)


class KeyRing:
    """All keys that are valid. Times are given, never read."""

    def __init__(self, *, keys_max: int = KEYS_MAX) -> None:
        self.lost_total = 0
        self._keys_max = keys_max
        self._by_id: dict[str, HeldKey] = {}
        self._nodes: dict[tuple[str, str, str], _Node] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def issue(self, sender: Sender, port: int, now: float, *, known: tuple[str, int] | None = None) -> AuditKey | None:
        """A new key; None where there are too many. `known`: the boot and number of the node's last kept line."""
        self.sweep(now)
        if len(self._by_id) >= self._keys_max:
            return None
        node = self._nodes.setdefault(_name(sender), _Node())
        for held in node.keys[:-1]:
            self._drop(held)
        for held in node.keys:
            held.expires_at = min(held.expires_at, now + GRACE_S)
        key = AuditKey(secrets.token_hex(16), secrets.token_bytes(KEY_BYTES), port)
        held = self._by_id[key.id] = HeldKey(key, sender)
        node.keys.append(held)
        if known is not None and known[0] not in node.windows:
            node.windows[known[0]] = Window(known[1])
        return key

    def find(self, key_id: str, now: float) -> HeldKey | None:
        """A valid key."""
        held = self._by_id.get(key_id)
        return held if held is not None and now < held.expires_at else None

    def take(self, held: HeldKey, boot: str, number: int, now: float) -> bool:
        """Note the number of a line whose signature is right; False where it has come before.

        A key belongs to the first start of a node that uses it, and a start's numbers are known as long as its key is.
        """
        if held.boot not in ("", boot) or not boot:
            return False
        held.boot = boot
        window = self._nodes[_name(held.sender)].windows.setdefault(boot, Window())
        before = window.lost
        is_new = window.take(number, now)
        self.lost_total += window.lost - before
        return is_new

    def losses(self) -> list[tuple[Sender, int]]:
        """How many lines of each node were lost, as far as its keys are known."""
        return [
            (node.keys[-1].sender, sum(window.lost for window in node.windows.values()))
            for node in self._nodes.values()
            if node.keys
        ]

    def release(self, key_id: str, now: float) -> None:
        """The key's link has ended: it stays valid for a while."""
        held = self._by_id.get(key_id)
        if held is not None:
            held.expires_at = min(held.expires_at, now + LINGER_S)

    def revoke(self, control_plane_id: str, fingerprint: str) -> None:
        """A certificate is no longer good, so its nodes' keys are not."""
        for held in list(self._by_id.values()):
            if (held.sender.control_plane_id, held.sender.fingerprint) == (control_plane_id, fingerprint):
                self._drop(held)

    def settle(self, now: float, after_s: float) -> None:
        """Count what is missing for so long that it will not come."""
        for node in self._nodes.values():
            self.lost_total += sum(window.settle(now, after_s) for window in node.windows.values())

    def sweep(self, now: float) -> None:
        """Forget keys whose time is over."""
        for held in [one for one in self._by_id.values() if one.expires_at <= now]:
            self._drop(held)

    def _drop(self, held: HeldKey) -> None:
        self._by_id.pop(held.key.id, None)
        name = _name(held.sender)
        node = self._nodes.get(name)
        if node is None:
            return
        node.keys = [one for one in node.keys if one is not held]
        if not node.keys:
            del self._nodes[name]
        elif held.boot and all(one.boot not in ("", held.boot) for one in node.keys):
            node.windows.pop(held.boot, None)


def _name(sender: Sender) -> tuple[str, str, str]:
    # With the certificate: who has another one cannot push this node's key out by taking its id.
    return sender.control_plane_id, sender.node_id, sender.fingerprint
