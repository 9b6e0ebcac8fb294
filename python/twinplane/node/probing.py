"""Active health checks: which address is probed when. The core says whom to probe and judges what was seen."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from twinplane.node.authority import Identity
from twinplane.node.probe import Question, Verdict, probe
from twinplane.node.served_certificates import load_identities

_TICK_MAX_S = 1.0
_TICK_MIN_S = 0.02
_DEFAULT_TIMEOUT_S = 60.0
_CONTEXTS_MAX = 256
# Probes of one address are never in step with those of another.
_JITTER = 0.1

Key = tuple[str, str, int, str, int]


class ProbedCore(Protocol):
    """The part of the core that probing needs."""

    def drain(self, kind: Any) -> bytes:
        """Of the kind `probes`: whom to probe, as a JSON list."""

    def judge(self, judgements: bytes) -> int:
        """Take verdicts into account."""


@dataclass(slots=True)
class ProbeFacts:
    """What was probed since the start."""

    answered_total: int = 0
    failed_total: int = 0
    delayed_total: int = 0
    """How often a probe had to wait because as many as allowed were under way."""
    under_way: int = 0


@dataclass(slots=True)
class _Due:
    at: float
    interval_s: float
    is_under_way: bool = False


class Prober:
    """Probes every address in its time, each upstream within its concurrency and all within the node's."""

    def __init__(self, core: ProbedCore, trust: Callable[[], ssl.SSLContext], *, probes_max: int) -> None:
        """`trust` makes a client context that verifies as the node's settings say."""
        self._core = core
        self._trust = trust
        self._probes_max = probes_max
        self._due: dict[Key, _Due] = {}
        self._running: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._contexts: dict[tuple[object, ...], ssl.SSLContext] = {}
        self.facts = ProbeFacts()

    async def run(self) -> None:
        """Probe until cancelled."""
        try:
            while True:
                upstreams = orjson.loads(await asyncio.to_thread(self._core.drain, "probes"))
                now = time.monotonic()
                wake_at = self._begin_due(upstreams, now)
                await asyncio.sleep(min(max(wake_at - now, _TICK_MIN_S), _TICK_MAX_S))
        finally:
            for task in self._tasks:
                task.cancel()

    def _begin_due(self, upstreams: list[dict[str, Any]], now: float) -> float:
        """Begin what is due; when to look again."""
        wake_at = now + _TICK_MAX_S
        present: set[Key] = set()
        for upstream in upstreams:
            for key, peer in _peers(upstream):
                active = upstream["active"]
                interval_s = active["healthy" if peer["is_available"] else "unhealthy"]["interval"] or 0.0
                if not interval_s:
                    continue
                present.add(key)
                due = self._scheduled(key, interval_s, now)
                if due.is_under_way:
                    continue
                if due.at <= now and not self._begin(key, upstream, due, now):
                    self.facts.delayed_total += 1
                    continue
                wake_at = min(wake_at, due.at)
        for key in self._due.keys() - present:
            del self._due[key]
        return wake_at

    def _scheduled(self, key: Key, interval_s: float, now: float) -> _Due:
        due = self._due.get(key)
        if due is None:
            due = self._due[key] = _Due(now + interval_s * random.random(), interval_s)  # noqa: S311 - spreads load
        elif due.interval_s != interval_s:
            # It changed sides, or the configuration did.
            due.at, due.interval_s = min(due.at, now + interval_s), interval_s
        return due

    def _begin(self, key: Key, upstream: Mapping[str, Any], due: _Due, now: float) -> bool:
        name, active = upstream["upstream"], upstream["active"]
        allowed = active["concurrency"] or 1
        if self._running.get(name, 0) >= allowed or self.facts.under_way >= self._probes_max:
            return False
        self._running[name] = self._running.get(name, 0) + 1
        self.facts.under_way += 1
        due.is_under_way = True
        due.at = now + due.interval_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load
        task = asyncio.create_task(self._probe(key, upstream, due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _probe(self, key: Key, upstream: Mapping[str, Any], due: _Due) -> None:
        name, host, target_port, address, port = key
        try:
            try:
                question = self._question(upstream, host, port)
            except (ssl.SSLError, ValueError):
                # A certificate that cannot be used reaches nobody.
                verdict: Verdict = "tcp_failure"
            else:
                verdict = await probe(address, port, question)
            if isinstance(verdict, dict) or verdict == "alive":
                self.facts.answered_total += 1
            else:
                self.facts.failed_total += 1
            judgement = {
                "upstream": name,
                "host": host,
                "target_port": target_port,
                "address": address,
                "port": port,
                "verdict": verdict,
            }
            self._core.judge(orjson.dumps([judgement]))
        finally:
            due.is_under_way = False
            self.facts.under_way -= 1
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]

    def _question(self, upstream: Mapping[str, Any], host: str, port: int) -> Question:
        active = upstream["active"]
        kind = active["type"] or "http"
        is_tls = kind in {"https", "grpcs"}
        return Question(
            kind=kind,
            timeout_s=active["timeout"] or _DEFAULT_TIMEOUT_S,
            host=upstream["host_header"] or _with_port(host, port, is_tls=is_tls),
            path=active["http_path"] or "/",
            headers=active["headers"] or {},
            tls=self._context(upstream, kind) if is_tls else None,
            server_name=(active["https_sni"] or host) if is_tls else None,
        )

    def _context(self, upstream: Mapping[str, Any], kind: str) -> ssl.SSLContext:
        certificate, verifies = upstream["certificate"], upstream["active"]["https_verify_certificate"]
        pair = (certificate["cert"], certificate["key"]) if certificate else None
        wanted = (kind, verifies, pair)
        context = self._contexts.get(wanted)
        if context is None:
            if len(self._contexts) >= _CONTEXTS_MAX:
                self._contexts.clear()
            context = self._trust()
            if not verifies:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2" if kind == "grpcs" else "http/1.1"])
            if pair is not None:
                load_identities(context, [Identity(*pair)])
            self._contexts[wanted] = context
        return context


def _peers(upstream: Mapping[str, Any]) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    for peer in upstream["peers"]:
        yield (upstream["upstream"], peer["host"], peer["target_port"], peer["address"], peer["port"]), peer


def _with_port(host: str, port: int, *, is_tls: bool) -> str:
    try:
        shown = f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        shown = host
    return shown if port == (443 if is_tls else 80) else f"{shown}:{port}"
