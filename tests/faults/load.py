"""Clients that ask a node without a pause while faults happen: every failure counts, every answer says its version."""

from __future__ import annotations

import http.client
import re
import threading
import time

from tests.faults.history import History, Probe

PACE_S = 0.005
_VERSION = re.compile(rb"version-(\d+)")


class Load:
    """Traffic to an upstream at `/flow`, and probes of the version at `/version`."""

    def __init__(self, port: int, history: History) -> None:
        self._port, self._history = port, history
        self._ends = threading.Event()
        self._away = threading.Event()
        self.answered = 0
        self.failures: list[str] = []
        self.slowest_s = 0.0
        self._threads = [
            threading.Thread(target=self._run, args=(path,), daemon=True) for path in ("/flow", "/flow", "/version")
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(30)

    def expect_failures(self, *, are_expected: bool) -> None:
        """While the node itself is killed nobody can be served."""
        if are_expected:
            self._away.set()
        else:
            self._away.clear()

    def _run(self, path: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._ends.is_set():
            begun, was_away = time.monotonic(), self._away.is_set()
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if not (was_away or self._away.is_set()):
                    self.failures.append(f"{path}: {error!r}")
                time.sleep(PACE_S)
                continue
            ended = time.monotonic()
            self.answered += 1
            self.slowest_s = max(self.slowest_s, ended - begun)
            version = _VERSION.search(body)
            if response.status != 200:
                self.failures.append(f"{path}: {response.status} {body[:80]!r}")
            elif path == "/version" and version is not None:
                self._history.probes.append(Probe(begun, ended, int(version[1])))
            time.sleep(PACE_S)
        connection.close()
