"""Promises of access tokens."""

from __future__ import annotations

import re
import sqlite3
import stat
from pathlib import Path

import pytest
from tests.unit.control.conftest import Clock

from twinplane.control import Control, ControlSettings, Principal
from twinplane.control.errors import (
    InvalidParameters,
    LimitExceeded,
    NameTaken,
    NotFound,
    StoreUnreadable,
    TokenExpired,
    TokenInvalid,
    TokenRevoked,
)
from twinplane.control.token_secret import KEY_FILE, is_well_formed, new_secret
from twinplane.store.sql import FILE_NAME

DAY = 86_400.0


def _admin(control: Control) -> tuple[str, Principal]:
    secret = control.tokens.ensure_first()
    assert secret is not None
    return secret, control.tokens.authenticate(secret)


def test_the_first_token_is_told_once(control: Control) -> None:
    secret, principal = _admin(control)
    assert re.fullmatch(r"kpat_[0-9A-Za-z]{49}", secret)
    assert principal.actor.kind == "user"
    assert control.tokens.ensure_first() is None


def test_a_first_token_that_could_not_be_delivered_is_made_anew(control: Control) -> None:
    def fail(_secret: str) -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - what the caller's own function raises
        control.tokens.ensure_first(fail)
    told: list[str] = []
    assert control.tokens.ensure_first(told.append) == told[0]
    control.tokens.authenticate(told[0])


def test_the_store_holds_no_secret(control: Control, tmp_path: Path) -> None:
    secret, _ = _admin(control)
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in kept
    assert secret.removeprefix("kpat_").encode() not in kept
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_tokens_survive_a_restart(control: Control, tmp_path: Path, clock: Clock) -> None:
    secret, principal = _admin(control)
    control.close()
    again = Control.open(tmp_path, config_hash=lambda _: "", clock=clock)
    assert again.tokens.authenticate(secret).user_id == principal.user_id
    assert again.tokens.ensure_first() is None
    again.close()


def test_a_store_without_its_key_does_not_open(control: Control, tmp_path: Path) -> None:
    _admin(control)
    control.close()
    (tmp_path / KEY_FILE).unlink()
    with pytest.raises(StoreUnreadable):
        Control.open(tmp_path, settings=ControlSettings(), config_hash=lambda _: "")


@pytest.mark.parametrize("text", ["", "kpat_", "kpat_x", "spat_" + "a" * 49, "kpat_" + "a" * 49, "kpat_" + "é" * 49])
def test_what_is_no_token_is_refused(control: Control, text: str) -> None:
    with pytest.raises(TokenInvalid):
        control.tokens.authenticate(text)


def test_a_well_formed_token_that_nobody_made_is_refused(control: Control) -> None:
    secret = new_secret()
    assert is_well_formed(secret)
    with pytest.raises(TokenInvalid):
        control.tokens.authenticate(secret)


def test_a_mistyped_token_is_known_by_its_checksum() -> None:
    secret = new_secret()
    for position in range(5, len(secret)):
        other = "a" if secret[position] != "a" else "b"
        assert not is_well_formed(secret[:position] + other + secret[position + 1 :])


def test_a_token_ends_with_its_time(control: Control, clock: Clock) -> None:
    _, admin = _admin(control)
    token, secret = control.tokens.create(admin.organization_id, admin.user_id, "ci", expires_at=clock.now + DAY)
    assert token.state == "ACTIVE"
    clock.now += DAY - 1
    control.tokens.authenticate(secret)
    clock.now += 1
    with pytest.raises(TokenExpired):
        control.tokens.authenticate(secret)
    assert control.tokens.get(admin.organization_id, admin.user_id, token.id).state == "EXPIRED"


def test_revoking_takes_effect_at_once(control: Control) -> None:
    _, admin = _admin(control)
    token, secret = control.tokens.create(admin.organization_id, admin.user_id, "ci")
    control.tokens.authenticate(secret)
    assert control.tokens.revoke(admin.organization_id, admin.user_id, token.id).state == "REVOKED"
    with pytest.raises(TokenRevoked):
        control.tokens.authenticate(secret)


def test_revoking_by_another_process_takes_effect_within_seconds(
    control: Control, tmp_path: Path, clock: Clock
) -> None:
    _, admin = _admin(control)
    token, secret = control.tokens.create(admin.organization_id, admin.user_id, "ci")
    control.tokens.authenticate(secret)
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("UPDATE token SET revoked_at = 1 WHERE id = ?", (token.id,))
    connection.commit()
    connection.close()
    clock.now += 5
    with pytest.raises(TokenRevoked):
        control.tokens.authenticate(secret)


def test_a_deleted_token_is_gone(control: Control) -> None:
    _, admin = _admin(control)
    token, secret = control.tokens.create(admin.organization_id, admin.user_id, "ci")
    control.tokens.delete(admin.organization_id, admin.user_id, token.id)
    with pytest.raises(TokenInvalid):
        control.tokens.authenticate(secret)
    with pytest.raises(NotFound):
        control.tokens.get(admin.organization_id, admin.user_id, token.id)


def test_limits_of_tokens_are_told(control: Control, clock: Clock) -> None:
    _, admin = _admin(control)
    where = (admin.organization_id, admin.user_id)
    with pytest.raises(InvalidParameters) as refusal:
        control.tokens.create(*where, "", expires_at=clock.now - 1)
    assert [parameter.field for parameter in refusal.value.parameters] == ["name", "expires_at"]
    for number in range(9):
        control.tokens.create(*where, f"token {number}")
    with pytest.raises(LimitExceeded):
        control.tokens.create(*where, "one too many")
    with pytest.raises(NameTaken):
        control.tokens.create(*where, "token 1")


def test_the_last_use_is_noted(control: Control, clock: Clock) -> None:
    secret, admin = _admin(control)
    clock.now += 1000
    control.tokens.authenticate(secret)
    assert control.tokens.list(admin.organization_id, admin.user_id)[0].last_used_at == clock.now
