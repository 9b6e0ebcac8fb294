"""What can go wrong on the link, as small types with a stable code. Knows no HTTP status and no log line."""

from __future__ import annotations


class LinkError(Exception):
    """A failure of the link; `code` is stable and fit for a log field."""

    code = "link_failed"


class FrameInvalid(LinkError):
    """A frame does not hold what its place in the protocol asks for: `code` says what is wrong with it."""

    def __init__(self, detail: str, code: str = "frame_invalid") -> None:
        super().__init__(detail)
        self.code = code


class PayloadTooLarge(LinkError):
    """A frame, or what it inflates to, is beyond its limit."""

    code = "payload_too_large"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"{size} bytes, the limit is {limit}")
        self.size = size
        self.limit = limit


class PeerGone(LinkError):
    """The connection ended, by the peer or by a broken frame."""

    code = "peer_gone"


class FrameBroken(PeerGone):
    """The connection ended because of a frame that the framing does not allow: `code` says what is wrong with it."""

    def __init__(self, detail: str, code: str = "frame_broken") -> None:
        super().__init__(detail)
        self.code = code


class PeerSilent(LinkError):
    """Nothing came within the time that the protocol allows."""

    code = "peer_silent"


class UpgradeRefused(LinkError):
    """The control plane answered the upgrade with something else than 101."""

    code = "upgrade_refused"

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"status {status}: {text}" if text else f"status {status}")
        self.status = status
        self.text = text


class PeerUnverified(LinkError):
    """The control plane's certificate is not the one that was pinned, or that an authority vouches for."""

    code = "peer_unverified"


class ProxyFailed(LinkError):
    """The forward proxy is in the way."""

    code = "proxy_failed"


class ProxyUnreachable(ProxyFailed):
    """No connection to the forward proxy."""

    code = "proxy_unreachable"


class ProxyUnverified(ProxyFailed):
    """The forward proxy's certificate is not trusted."""

    code = "proxy_unverified"


class ProxySilent(ProxyFailed):
    """The forward proxy did not answer in time."""

    code = "proxy_silent"


class ProxyRefused(ProxyFailed):
    """The forward proxy did not open a tunnel; `status` is 0 where it did not even answer in HTTP."""

    code = "proxy_refused"

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class IdentityRefused(LinkError):
    """A node's certificate does not admit it: `code` says why."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(detail or code)
        self.code = code
        self.detail = detail
