"""Keys of nodes: one per connect, the one before for a moment longer, none without end."""

from __future__ import annotations

from twinplane.audit.keys import GRACE_S, LINGER_S, KeyRing
from twinplane.hybrid.audit_key import AuditKey, Sender


def sender(node_id: str = "n", fingerprint: str = "f") -> Sender:
    return Sender("o", "c", node_id, "cert", fingerprint)


def issue(ring: KeyRing, now: float, who: Sender | None = None) -> AuditKey:
    key = ring.issue(who or sender(), 8071, now)
    assert key is not None
    return key


def test_a_key_lasts_as_long_as_its_link_and_a_while() -> None:
    ring = KeyRing()
    key = issue(ring, 0)
    assert ring.find(key.id, 1e6) is not None
    ring.release(key.id, 1e6)
    assert ring.find(key.id, 1e6 + LINGER_S - 1) is not None
    assert ring.find(key.id, 1e6 + LINGER_S) is None


def test_a_node_holds_two_keys_at_most() -> None:
    ring = KeyRing()
    keys = [issue(ring, now) for now in range(5)]
    assert [ring.find(key.id, 5) is not None for key in keys] == [False, False, False, True, True]
    assert ring.find(keys[3].id, 4 + GRACE_S) is None
    assert len(ring) == 2


def test_who_takes_a_nodes_id_does_not_push_out_its_key() -> None:
    ring = KeyRing()
    mine = issue(ring, 0)
    for now in range(3):
        issue(ring, now, sender(fingerprint="thief"))
    assert ring.find(mine.id, 1000) is not None


def test_keys_are_bounded_and_room_comes_back() -> None:
    ring = KeyRing(keys_max=2)
    first = issue(ring, 0, sender("a"))
    issue(ring, 0, sender("b"))
    assert ring.issue(sender("c"), 8071, 0) is None
    ring.release(first.id, 0)
    assert ring.issue(sender("c"), 8071, LINGER_S) is not None


def test_a_line_of_an_old_key_cannot_be_sent_again_under_it() -> None:
    ring = KeyRing()
    old = ring.find(issue(ring, 0).id, 0)
    assert old is not None
    assert ring.take(old, "boot", 1, 0)
    new = ring.find(issue(ring, 1).id, 1)
    assert new is not None
    assert ring.take(new, "boot", 2, 1)
    assert not ring.take(old, "boot", 1, 2)
    assert not ring.take(old, "boot", 2, 2)
    assert not ring.take(old, "other", 3, 2)


def test_a_revoked_certificate_takes_its_keys_along() -> None:
    ring = KeyRing()
    gone, kept = issue(ring, 0), issue(ring, 0, sender("b", "other"))
    ring.revoke("c", "f")
    assert ring.find(gone.id, 0) is None
    assert ring.find(kept.id, 0) is not None
