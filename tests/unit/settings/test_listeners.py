"""Listen directives."""

from __future__ import annotations

import pytest

from twinplane.settings import read_listeners


def test_flags_and_addresses_are_read() -> None:
    plain, secure = read_listeners("0.0.0.0:8000 reuseport backlog=99, [::1]:8443 http2 ssl so_keepalive=on")
    assert (plain.address, plain.port, plain.backlog, plain.tls) == ("0.0.0.0", 8000, 99, False)
    assert (secure.address, secure.tls, secure.http2) == ("::1", True, True)


def test_off_is_no_listener() -> None:
    assert read_listeners("off") == ()


@pytest.mark.parametrize("text", ["localhost:80", "1.2.3.4", "1.2.3.4:x", "1.2.3.4:70000", "1.2.3.4:80 fast"])
def test_what_is_no_listener_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|unknown"):
        read_listeners(text)
