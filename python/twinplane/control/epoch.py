"""Epochs: which history of a store a revision belongs to. Pure; nodes read them too.

A store keeps its epoch, so that revisions go on across starts and replicas. A new one begins where history was lost.
"""

from __future__ import annotations

import re
import secrets

_FORM = re.compile(r"(\d{13})-[0-9a-f]{8}")
_TIME_MAX_MS = 10**13 - 1


def new_epoch(now: float, *, after: str | None = None) -> str:
    """An epoch that begins now, and is later than `after` whatever the clock says."""
    began = began_at_ms(after)
    moment = max(int(now * 1000), 0 if began is None else began + 1)
    return f"{min(moment, _TIME_MAX_MS):013d}-{secrets.token_hex(4)}"


def began_at_ms(epoch: str | None) -> int | None:
    """The moment at which an epoch began, None for one of another form."""
    found = _FORM.fullmatch(epoch or "")
    return None if found is None else int(found[1])


def is_outdated(epoch: str | None, revision: int | None, than_epoch: str | None, than_revision: int | None) -> bool:
    """Whether one revision came before another: of an earlier epoch, or earlier in the same one."""
    if revision is None or than_revision is None or epoch is None or than_epoch is None:
        return False
    if epoch == than_epoch:
        return revision < than_revision
    began, than_began = began_at_ms(epoch), began_at_ms(than_epoch)
    return began is not None and than_began is not None and epoch < than_epoch
