"""Plays recorded cases against a node and says where it behaves otherwise."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tests.conformance.proxy.comparison import answer_differences, arrival_differences, json_differences
from tests.conformance.proxy.h2_client import exchange_h2
from tests.conformance.proxy.raw_client import exchange
from tests.conformance.proxy.recording import Binding, Case
from tests.conformance.proxy.running_node import RunningNode, running
from tests.conformance.proxy.scripted_upstream import Upstreams

from twinplane import __version__

_UPSTREAMS = ("echo-port", "echo2-port", "echo3-port")
_CAPTURED = re.compile(r"\{\{(\w+)\}\}")
# A step that counts against a limit must not cross the end of its window.
_MINUTE_MARGIN_S = 3.0


class Player:
    """Upstreams and ports that all cases share."""

    def __init__(self) -> None:
        self.upstreams = Upstreams(_UPSTREAMS)
        self._closed = _closed_port()
        self._contexts = {protocol: _context(protocol) for protocol in ("h2", "http/1.1")}

    def close(self) -> None:
        """Stop the upstreams."""
        self.upstreams.close()

    def play(self, case: Case) -> Iterator[str]:
        """Differences of a case, none where it is as recorded."""
        ports = {**self.upstreams.ports, "closed-port": self._closed, "http-sink-port": self._closed}
        ports |= {"tcp-sink-port": self._closed, "udp-sink-port": self._closed}
        before = Binding(ports, f"twinplane/{__version__}")
        self.upstreams.play([])
        self.upstreams.drop_idle()
        with running(case.node, before.fill(case.config)) as node:
            ports |= {"proxy-port": node.port, "proxy-tls-port": node.tls_port}
            binding = Binding(ports, f"twinplane/{__version__}")
            kept: dict[str, str] = {}
            for number, step in enumerate(case.steps, 1):
                if "rate-limiting" in str(case.config):
                    keep_clear_of_window_ends()
                for difference in self._step(case, step, node, binding, kept):
                    yield f"step {number}: {difference}"

    def _step(
        self, case: Case, step: Mapping[str, Any], node: RunningNode, binding: Binding, kept: dict[str, str]
    ) -> Iterator[str]:
        time.sleep(step.get("sleep_before", 0))
        if "metrics" in step:
            yield from _metric_differences(step, node.metrics(), binding)
            return
        if not step.get("keep_upstream_connection"):
            self.upstreams.drop_idle()
        recorded = [arrival for arrival in [step["upstream"], *step.get("upstream_more", ())] if arrival is not None]
        self.upstreams.play([arrival["reply"] for arrival in recorded])
        request = _filled(step["request"], kept, binding)
        protocol = request.get("connect")
        if protocol == "h2":
            answer = exchange_h2(request["headers"], request["body"], node.tls_port, self._contexts["h2"])
        elif protocol == "https":
            answer = exchange(request, node.tls_port, context=self._contexts["http/1.1"])
        else:
            answer = exchange(request, node.port, context=None)
        _capture(step, answer.headers, kept)
        passed_on = "".join(str(arrival["reply"]) for arrival in recorded).replace("\\r\\n", "\r\n")
        yield from answer_differences(step["response"], answer, binding, passed_on)
        yield from self._more_differences(step, answer.more, binding, passed_on)
        sent = _sent(request)
        yield from self._arrival_differences(case, recorded, sent, binding)
        if "sink" in step:
            yield from _sink_differences(step["sink"], node, binding)

    def _more_differences(
        self, step: Mapping[str, Any], more: list[Any], binding: Binding, passed_on: str
    ) -> Iterator[str]:
        recorded = [response for response in step.get("more_responses", ()) if not response.get("timeout")]
        answers = [answer for answer in more if not answer.is_timeout]
        stays_open = any(response.get("timeout") for response in step.get("more_responses", ()))
        if step["request"].get("until_close") and stays_open != any(answer.is_timeout for answer in more):
            yield f"connection {'closed' if stays_open else 'stayed open'}"
        if len(recorded) != len(answers):
            yield f"{len(answers)} further answers instead of {len(recorded)}"
            return
        for wanted, got in zip(recorded, answers, strict=True):
            yield from answer_differences(wanted, got, binding, passed_on)

    def _arrival_differences(
        self, case: Case, recorded: list[Mapping[str, Any]], sent: str, binding: Binding
    ) -> Iterator[str]:
        arrivals = self.upstreams.arrivals()
        if len(arrivals) != len(recorded):
            lines = [arrival.request_line or "(connected)" for arrival in arrivals]
            yield f"{len(arrivals)} requests reached upstreams instead of {len(recorded)}: {lines}"
            return
        for wanted, got in zip(recorded, arrivals, strict=True):
            yield from arrival_differences(wanted, got, binding, sent, any_target=case.any_target)


def _sent(request: Mapping[str, Any]) -> str:
    if "headers" in request:
        return "\n" + "\n".join(f"{name}: {value}" for name, value in request["headers"])
    return str(request.get("text") or request.get("parts")).replace("\\r\\n", "\r\n")


def _filled(request: Mapping[str, Any], kept: Mapping[str, str], binding: Binding) -> dict[str, Any]:
    def fill(text: str) -> str:
        return _CAPTURED.sub(lambda found: kept[found[1]], str(binding.fill(text)))

    filled = dict(request)
    if "text" in filled:
        filled["text"] = fill(filled["text"])
    return filled


def _capture(step: Mapping[str, Any], headers: list[tuple[str, str]], kept: dict[str, str]) -> None:
    for name, rule in step.get("capture", {}).items():
        for header, value in headers:
            found = re.search(rule["regex"], value) if header.lower() == rule["header"].lower() else None
            if found:
                kept[name] = found[1]
                break


def _metric_differences(step: Mapping[str, Any], lines: list[str], binding: Binding) -> Iterator[str]:
    wanted_lines = list(step["metrics"])
    found = [line for line in lines if re.search(step["line_filter"], line) and not line.startswith("#")]
    for wanted in wanted_lines:
        for line in found:
            if binding.matches(wanted, line):
                found.remove(line)
                break
        else:
            yield f"metrics: lacks {wanted}"
    if found:
        yield f"metrics: has {found}"


def _sink_differences(recorded: list[Mapping[str, Any]], node: RunningNode, binding: Binding) -> Iterator[str]:
    wanted: list[Any] = []
    for delivery in recorded:
        entry = delivery["line"] if delivery["kind"] == "file" else delivery["json"]
        wanted += entry if isinstance(entry, list) else [entry]
    entries = node.log_entries(len(wanted))
    if len(entries) != len(wanted):
        yield f"{len(entries)} log entries instead of {len(wanted)}"
        return
    for want, entry in zip(wanted, entries, strict=True):
        for difference in json_differences(want, entry, binding):
            yield f"log entry{difference}"


def _context(protocol: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def keep_clear_of_window_ends(margin_s: float = _MINUTE_MARGIN_S) -> None:
    """Wait where the minute or the second is about to end: counts are about to begin anew."""
    left = 60 - time.time() % 60
    if left < margin_s:
        time.sleep(left + 0.05)
    if time.time() % 1 > 0.8:
        time.sleep(0.21)
