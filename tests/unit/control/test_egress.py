"""Where may be fetched from: addresses in every disguise."""

from __future__ import annotations

import pytest

from twinplane.control.egress import EgressPolicy, EgressRefused, check_address, resolve

PUBLIC = EgressPolicy()
INTERNAL = EgressPolicy(allows_private=True)
LOCAL = EgressPolicy(allows_loopback=True, allows_private=True)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
    ],
)
def test_addresses_that_nothing_is_fetched_from(address: str) -> None:
    for policy in (PUBLIC, INTERNAL, LOCAL):
        with pytest.raises(EgressRefused):
            check_address(address, policy)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_this_machine(address: str) -> None:
    for policy in (PUBLIC, INTERNAL):
        with pytest.raises(EgressRefused):
            check_address(address, policy)
    check_address(address, LOCAL)


@pytest.mark.parametrize("address", ["10.0.0.1", "172.16.0.1", "192.168.1.1", "fd12::1", "100.64.0.1"])
def test_private_addresses(address: str) -> None:
    with pytest.raises(EgressRefused):
        check_address(address, PUBLIC)
    check_address(address, INTERNAL)


def test_public_addresses() -> None:
    for address in ("93.184.216.34", "2606:2800:220:1::1"):
        check_address(address, PUBLIC)


async def test_a_url_is_resolved_to_what_was_checked() -> None:
    found = await resolve("http://127.0.0.1:8080/a?b=c", LOCAL)
    assert (found.address, found.port, found.target, found.authority) == (
        "127.0.0.1",
        8080,
        "/a?b=c",
        "127.0.0.1:8080",
    )
    found = await resolve("https://[::1]", LOCAL)
    assert (found.is_tls, found.port, found.target, found.authority) == (True, 443, "/", "[::1]")
    with pytest.raises(EgressRefused):
        await resolve("http://localhost/", PUBLIC)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "127.0.0.1",
        "http://",
        "http://a:b@127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/ x",
        "http://127.0.0.1/\r\nX: y",
        "http://127.0.0.1/" + "a" * 3000,
        "http://[::1/",
    ],
)
async def test_texts_that_are_no_url_of_ours(url: str) -> None:
    with pytest.raises(EgressRefused):
        await resolve(url, LOCAL)
