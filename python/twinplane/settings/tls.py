"""What TLS is spoken with clients: `ssl_cipher_suite`, `ssl_ciphers`, `ssl_protocols` become versions and suites. Pure.

TLS 1.2 and 1.3 with forward secrecy and authenticated ciphers are spoken, and nothing else: what is asked for beyond
that is refused by name, or told in a warning where something else is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from twinplane.settings.setting import Kind

SUITES: Final = ("modern", "intermediate", "old", "fips", "custom")
VERSIONS: Final = ("TLSv1.2", "TLSv1.3")
_OLD_VERSIONS: Final = ("TLSv1", "TLSv1.1")

TLS13: Final = ("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256")
TLS12: Final = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
# Words for whole families, as OpenSSL reads them, by what stands in the names of suites that belong there.
_FAMILIES: Final = {
    "ALL": "",
    "DEFAULT": "",
    "HIGH": "",
    "TLSv1.2": "",
    "ECDHE": "ECDHE",
    "EECDH": "ECDHE",
    "kECDHE": "ECDHE",
    "kEECDH": "ECDHE",
    "aECDSA": "ECDSA",
    "ECDSA": "ECDSA",
    "aRSA": "-RSA-",
    "AES": "AES",
    "AES128": "AES128",
    "AES256": "AES256",
    "AESGCM": "GCM",
    "CHACHA20": "CHACHA20",
}
# Families of which nothing is spoken: without meaning where they are excluded, missed where they are asked for.
_EMPTY_WORDS: Final = """
    aNULL eNULL NULL EXPORT EXP LOW MEDIUM DES 3DES RC2 RC4 MD5 SHA SHA1 PSK SRP DSS aDSS DH DHE EDH kDHE kEDH ADH
    AECDH kRSA RSA IDEA SEED CAMELLIA ARIA AESCCM AESCCM8 CBC SSLv2 SSLv3 TLSv1 TLSv1.0 COMPLEMENTOFALL
    COMPLEMENTOFDEFAULT kECDH ECDH GOST aGOST
"""
_EMPTY_FAMILIES: Final = frozenset(_EMPTY_WORDS.split())


@dataclass(frozen=True, slots=True)
class TlsChoice:
    """What is spoken. `suites` are OpenSSL's names, best first; `warnings` are what was asked for in vain."""

    versions: tuple[str, ...]
    suites: tuple[str, ...]
    prefers_own_order: bool
    warnings: tuple[str, ...] = ()


def read_versions(text: str) -> tuple[str, ...]:
    """The versions of `ssl_protocols`. Raises ValueError."""
    words = text.replace(",", " ").split()
    unknown = [word for word in words if word not in (*VERSIONS, *_OLD_VERSIONS)]
    if unknown:
        raise ValueError(f"unknown version {', '.join(unknown)}; spoken are {' and '.join(VERSIONS)}")
    if not set(words) & set(VERSIONS):
        raise ValueError(f"names none that is spoken; spoken are {' and '.join(VERSIONS)}")
    return tuple(dict.fromkeys(words))


TLS_VERSIONS: Kind[tuple[str, ...]] = Kind("TLS versions", read_versions)


def choose_tls(suite: str, ciphers: str, versions: tuple[str, ...], *, prefers_own_order: bool) -> TlsChoice:
    """What the settings amount to. Raises ValueError where nothing is left, or something is asked for in vain."""
    warnings = [f"ssl_protocols: {each} is not spoken" for each in versions if each in _OLD_VERSIONS]
    spoken = tuple(each for each in VERSIONS if each in versions)
    suites: tuple[str, ...] = (*TLS13, *TLS12)
    if suite == "fips":
        raise ValueError("ssl_cipher_suite: fips is not to be had: the cryptography of this build is not validated")
    if suite == "modern":
        spoken, suites = tuple(each for each in spoken if each == "TLSv1.3"), TLS13
    elif suite == "old":
        warnings.append("ssl_cipher_suite: old is served as intermediate: TLS 1.0, TLS 1.1, CBC and DHE are not spoken")
    elif suite == "custom":
        suites = _read_ciphers(ciphers, warnings)
        spoken = tuple(each for each in spoken if set(_of(each)) & set(suites))
    if not spoken:
        raise ValueError(f"ssl_protocols: none of them goes with ssl_cipher_suite = {suite}")
    kept = tuple(each for each in suites if any(each in _of(version) for version in spoken))
    return TlsChoice(spoken, kept, prefers_own_order and suite == "custom", tuple(warnings))


def _of(version: str) -> tuple[str, ...]:
    return TLS13 if version == "TLSv1.3" else TLS12


def _read_ciphers(text: str, warnings: list[str]) -> tuple[str, ...]:
    """The suites of an OpenSSL list, in its order. Those of TLS 1.3 stay, unless the list names some of them."""
    words = text.replace(",", ":").replace(" ", ":").split(":")
    chosen: list[str] = []
    forbidden: set[str] = set()
    for word in filter(None, words):
        if word.startswith("@"):
            continue
        meant = _meant(word.lstrip("!-+"))
        if word[0] in "!-":
            chosen = [each for each in chosen if each not in meant]
            forbidden |= set(meant) if word[0] == "!" else set()
        elif word[0] == "+":
            chosen = [each for each in chosen if each not in meant] + [each for each in chosen if each in meant]
        elif meant:
            chosen += [each for each in meant if each not in chosen]
        else:
            warnings.append(f"ssl_ciphers: {word} is not spoken")
    found = [each for each in chosen if each not in forbidden]
    if not any(each in TLS13 for each in found):
        found = [*(each for each in TLS13 if each not in forbidden), *found]
    if not text.strip():
        raise ValueError("ssl_ciphers: is required with ssl_cipher_suite = custom")
    return tuple(found)


def _meant(word: str) -> tuple[str, ...]:
    """The spoken suites that a word stands for; several parts joined by + must all hold. Raises ValueError."""
    if word in (*TLS13, *TLS12):
        return (word,)
    if word in _EMPTY_FAMILIES:
        return ()
    parts = word.split("+")
    if all(part in _FAMILIES for part in parts):
        return tuple(each for each in TLS12 if all(_FAMILIES[part] in each for part in parts))
    if all(part in _FAMILIES or part in _EMPTY_FAMILIES for part in parts):
        return ()
    if _is_suite_name(word):
        return ()
    raise ValueError(f"ssl_ciphers: unknown word '{word[:60]}'")


def _is_suite_name(word: str) -> bool:
    """Whether it has the form of a suite that others speak, such as `DHE-RSA-AES128-SHA`."""
    parts = word.split("-")
    known = {"DHE", "EDH", "ECDHE", "ECDH", "RSA", "ECDSA", "DSS", "ADH", "AECDH", "PSK", "SRP", "AES128", "AES256"}
    known |= {
        "CAMELLIA128",
        "CAMELLIA256",
        "SEED",
        "DES",
        "CBC3",
        "CBC",
        "RC4",
        "MD5",
        "SHA",
        "SHA256",
        "SHA384",
        "GCM",
    }
    known |= {"CCM", "CCM8", "CHACHA20", "POLY1305", "ARIA128", "ARIA256", "NULL", "3DES", "EDE", "IDEA", "EXP", "ARIA"}
    return len(parts) > 1 and all(part in known for part in parts)
