"""A request as somebody pasted it, as a command of curl: what is asked for is read, the rest is left out."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from twinplane.cli.errors import StartError

_SHORT = {
    "X": "request", "H": "header", "d": "data", "A": "user-agent", "b": "cookie", "e": "referer", "u": "user",
    "I": "head", "G": "get", "F": "form", "T": "upload-file", "o": "output", "w": "write-out", "m": "max-time",
    "x": "proxy", "E": "cert", "D": "dump-header", "c": "cookie-jar", "K": "config", "U": "proxy-user", "r": "range",
    "C": "continue-at", "Y": "speed-limit", "y": "speed-time", "z": "time-cond", "P": "ftp-port", "Q": "quote",
    "t": "telnet-option", "0": "http1.0",
}  # fmt: skip
"""Options that mean something, or take a word; every other letter is a switch that says nothing here."""
_BODY = {"data", "data-raw", "data-binary", "data-ascii", "data-urlencode", "json", "form", "form-string"}
_TAKES_WORD = _BODY | {
    "request", "header", "user-agent", "cookie", "referer", "user", "url", "upload-file", "output", "write-out",
    "max-time", "connect-timeout", "proxy", "proxy-user", "cert", "key", "cacert", "capath", "cert-type",
    "key-type", "pass", "dump-header", "cookie-jar", "config", "range", "continue-at", "speed-limit",
    "speed-time", "time-cond", "ftp-port", "quote", "telnet-option", "resolve", "connect-to", "interface",
    "retry", "retry-delay", "retry-max-time", "limit-rate", "max-redirs", "ciphers", "tls13-ciphers", "curves",
    "unix-socket", "abstract-unix-socket", "dns-servers", "noproxy", "proto", "stderr", "trace", "trace-ascii",
    "max-filesize", "keepalive-time", "local-port", "oauth2-bearer", "pinnedpubkey", "tls-max",
}  # fmt: skip
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}


def read_curl(command: str) -> dict[str, Any]:
    """What the command asks for, as a question to `twinplane explain`. Raises StartError."""
    try:
        words = shlex.split(_plain(command))
    except ValueError as error:
        raise StartError(f"--curl: this is no command line: {error}") from error
    if words and words[0].rpartition("/")[2] in {"curl", "curl.exe"}:
        words = words[1:]
    options = list(_options(words))
    urls = [word for name, word in options if name == "url"]
    if len(urls) != 1:
        raise StartError(f"--curl: expected one URL, found {len(urls)}")
    given = dict(options)
    url = urls[0] if "://" in urls[0] else f"http://{urls[0]}"
    bodies = [(name, word) for name, word in options if name in _BODY]
    if "get" in given and bodies:
        url += ("&" if "?" in url else "?") + "&".join(_argument(name, word) for name, word in bodies)
    return {
        "url": url,
        "method": _method(given, bodies),
        "headers": _headers(options, bodies),
        "http2": "http2" in given,
    }


def _plain(command: str) -> str:
    """Without continued lines, and with the quotes of `$'...'` as others are."""
    joined = re.sub(r"[\\^]\r?\n\s*", " ", command.strip())

    def unquoted(found: re.Match[str]) -> str:
        text = re.sub(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", _unescaped, found[1], flags=re.DOTALL)
        return shlex.quote(text)

    return re.sub(r"\$'((?:[^'\\]|\\.)*)'", unquoted, joined, flags=re.DOTALL)


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPES.get(code, code)


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Name and word of each option by its long name; switches have an empty word."""
    left = list(words)
    only_urls = False
    while left:
        word = left.pop(0)
        if only_urls or not word.startswith("-") or word == "-":
            yield "url", word
        elif word == "--":
            only_urls = True
        elif word.startswith("--"):
            name = word[2:]
            yield name, _next(left, word) if name in _TAKES_WORD else ""
        else:
            yield from _short(word[1:], left)


def _short(letters: str, left: list[str]) -> Iterator[tuple[str, str]]:
    for at, letter in enumerate(letters):
        name = _SHORT.get(letter, letter)
        if name in _TAKES_WORD:
            yield name, letters[at + 1 :] or _next(left, f"-{letter}")
            return
        yield name, ""


def _next(left: list[str], option: str) -> str:
    if not left:
        raise StartError(f"--curl: {option} wants a word behind it")
    return left.pop(0)


def _method(given: dict[str, str], bodies: list[tuple[str, str]]) -> str:
    if "request" in given:
        return given["request"]
    if "head" in given:
        return "HEAD"
    if "upload-file" in given:
        return "PUT"
    return "POST" if bodies and "get" not in given else "GET"


def _headers(options: list[tuple[str, str]], bodies: list[tuple[str, str]]) -> list[dict[str, str]]:
    found: list[tuple[str, str]] = []
    for name, word in options:
        if name == "header":
            key, colon, value = word.partition(":")
            # `-H 'Accept:'` takes a header away, `-H 'X-A;'` sends an empty one.
            if colon and value.strip():
                found.append((key.strip(), value.strip()))
            elif not colon and word.endswith(";"):
                found.append((word[:-1].strip(), ""))
        elif name in {"user-agent", "referer"}:
            found.append((name.title(), word))
        elif name == "cookie" and "=" in word:
            found.append(("Cookie", word))
        elif name == "user":
            found.append(("Authorization", "Basic " + base64.b64encode(word.encode()).decode()))
        elif name == "oauth2-bearer":
            found.append(("Authorization", f"Bearer {word}"))
    own = {name.lower() for name, _ in found}
    usual = [("Accept", "*/*"), ("User-Agent", "curl")]
    if bodies and "get" not in dict(options):
        usual.append(("Content-Type", _content_type(bodies[0][0])))
    found += [(name, value) for name, value in usual if name.lower() not in own and not _is_taken_away(name, options)]
    return [{"name": name, "value": value} for name, value in found]


def _is_taken_away(header: str, options: list[tuple[str, str]]) -> bool:
    return any(name == "header" and word.strip().lower() == f"{header.lower()}:" for name, word in options)


def _content_type(option: str) -> str:
    if option == "json":
        return "application/json"
    return "multipart/form-data" if option.startswith("form") else "application/x-www-form-urlencoded"


def _argument(name: str, word: str) -> str:
    if name != "data-urlencode":
        return word
    key, equals, value = word.partition("=")
    return urlencode({key: value}) if equals and key else urlencode({"": value or word}).removeprefix("=")
