"""`twinplane hybrid gen_cert`, and what its pair is good for."""

from __future__ import annotations

import asyncio
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.certificates import Leaf
from tests.integration.real_door import open_door

from twinplane.cli import main
from twinplane.hybrid.identity import AdmissionRules, SharedMode, fingerprint


def test_the_pair_is_of_the_known_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["hybrid", "gen_cert"]) == 0
    certificate, key = tmp_path / "cluster.crt", tmp_path / "cluster.key"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (certificate, key)] == [0o644, 0o600]
    made = x509.load_pem_x509_certificate(certificate.read_bytes())
    assert made.version is x509.Version.v3
    assert made.issuer == made.subject
    (name,) = made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "kong_clustering"
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["kong_clustering"]
    public_key = made.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    assert public_key.curve.name == "secp384r1"
    assert abs(made.not_valid_after_utc - datetime.now(UTC) - timedelta(days=1095)) < timedelta(hours=1)


def test_files_and_days_are_given(tmp_path: Path) -> None:
    certificate, key = tmp_path / "a.pem", tmp_path / "b.pem"
    assert main(["hybrid", "gen_cert", str(certificate), str(key), "-d", "7"]) == 0
    made = x509.load_pem_x509_certificate(certificate.read_bytes())
    assert abs(made.not_valid_after_utc - datetime.now(UTC) - timedelta(days=7)) < timedelta(hours=1)
    assert "PRIVATE KEY" in key.read_text()


@pytest.mark.parametrize("there", ["a.pem", "b.pem"])
def test_nothing_is_overwritten(tmp_path: Path, there: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / there).write_text("mine")
    assert main(["hybrid", "gen_cert", str(tmp_path / "a.pem"), str(tmp_path / "b.pem")]) != 0
    assert there in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


def test_where_one_cannot_be_written_neither_is_there(tmp_path: Path) -> None:
    assert main(["hybrid", "gen_cert", str(tmp_path / "absent" / "a.pem"), str(tmp_path / "b.pem")]) != 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["one"], ["a", "b", "c"], ["-d", "0"], ["-d", "x"], ["a", "b", "-d", "99999999"]])
def test_wrong_words_are_refused(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["hybrid", "gen_cert", *words]) == 2
    assert list(tmp_path.iterdir()) == []


async def test_both_ends_know_each_other_by_the_pair(tmp_path: Path) -> None:
    paths = tmp_path / "a.pem", tmp_path / "b.pem"
    assert await asyncio.to_thread(main, ["hybrid", "gen_cert", *map(str, paths)]) == 0
    pair = Leaf(*(path.read_text() for path in paths))
    async with open_door(tmp_path, shared=pair) as door:
        mode = SharedMode(fingerprint(pair.certificate), "default")
        door.server.gatekeeper.rules = AdmissionRules(door.domain, shared=mode)
        await door.joined(pair, "kong_clustering", trusted=pair.certificate)
        # A node of another maker verifies name and authority in the plain way.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=pair.certificate)
        _, writer = await asyncio.open_connection(
            "127.0.0.1", door.edge.port, ssl=context, server_hostname="kong_clustering"
        )
        writer.transport.abort()
