"""Promises of sessions."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.control.conftest import Clock

from twinplane.control import Control
from twinplane.control.errors import TokenInvalid
from twinplane.control.sessions import IDLE_S, LIFETIME_S, SESSIONS_MAX


def _token(control: Control) -> str:
    secret = control.tokens.ensure_first()
    assert secret is not None
    return secret


def test_a_session_speaks_for_whom_the_token_does(control: Control) -> None:
    token = _token(control)
    secret, session = control.sessions.begin(token)
    found = control.sessions.find(secret)
    assert found == session
    assert session.principal == control.tokens.authenticate(token)
    assert session.allows(session.form_token)
    assert not session.allows(control.sessions.begin(token)[1].form_token)
    assert not session.allows("ü")


@pytest.mark.parametrize("secret", ["", "x", "x" * 43, "ü" * 43, "x" * 100_000])
def test_an_unknown_secret_is_nobody(control: Control, secret: str) -> None:
    assert control.sessions.find(secret) is None


def test_nobody_signs_in_without_a_token(control: Control) -> None:
    with pytest.raises(TokenInvalid):
        control.sessions.begin("kpat_wrong")


def test_a_session_ends_by_silence_by_age_and_by_hand(control: Control, clock: Clock) -> None:
    token = _token(control)
    silent, _ = control.sessions.begin(token)
    clock.now += IDLE_S + 1
    assert control.sessions.find(silent) is None
    used, _ = control.sessions.begin(token)
    began = clock.now
    while clock.now < began + LIFETIME_S - IDLE_S / 2:
        clock.now += IDLE_S / 2
        assert control.sessions.find(used) is not None
    clock.now += IDLE_S / 2
    assert control.sessions.find(used) is None
    left, _ = control.sessions.begin(token)
    assert control.sessions.purge() == 2
    assert control.sessions.end(left)
    assert not control.sessions.end(left)
    assert control.sessions.find(left) is None


def test_a_session_ends_with_its_token(control: Control) -> None:
    principal = control.tokens.authenticate(_token(control))
    token, bearer = control.tokens.create(principal.organization_id, principal.user_id, "console")
    secret, _ = control.sessions.begin(bearer)
    control.tokens.revoke(principal.organization_id, principal.user_id, token.id)
    assert control.sessions.find(secret) is None


def test_the_oldest_sessions_give_way(control: Control, clock: Clock) -> None:
    token = _token(control)
    secrets = []
    for _ in range(SESSIONS_MAX + 2):
        clock.now += 1
        secrets.append(control.sessions.begin(token)[0])
    alive = [control.sessions.find(secret) is not None for secret in secrets]
    assert alive == [False, False, *[True] * SESSIONS_MAX]


def test_the_store_holds_no_secret(control: Control, tmp_path: Path) -> None:
    secret, session = control.sessions.begin(_token(control))
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert secret.encode() not in kept
    assert session.form_token.encode() not in kept
