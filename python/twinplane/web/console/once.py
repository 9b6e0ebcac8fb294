"""Forms that may be sent once only: which were. Bounded; the oldest are forgotten first."""

from __future__ import annotations

from collections import OrderedDict

KEPT_MAX = 10_000
_NONCE_LENGTH_MAX = 64


class Once:
    """The nonces of forms that were sent, each by the session that its page was made for."""

    def __init__(self) -> None:
        self._taken: OrderedDict[tuple[str, str], None] = OrderedDict()

    def take(self, session: str, nonce: str) -> bool:
        """Whether this is the first sending. A form without a nonce is one of nobody's pages, and always is."""
        if not nonce:
            return True
        key = (session, nonce[:_NONCE_LENGTH_MAX])
        if key in self._taken:
            return False
        self._taken[key] = None
        if len(self._taken) > KEPT_MAX:
            self._taken.popitem(last=False)
        return True

    def give_back(self, session: str, nonce: str) -> None:
        """Nothing came of the sending: the form may be sent again."""
        self._taken.pop((session, nonce[:_NONCE_LENGTH_MAX]), None)
