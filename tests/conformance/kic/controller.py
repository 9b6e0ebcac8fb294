"""An ingress controller's HTTP client: one TLS connection per call, a client certificate, no token."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.certificates import Leaf
from tests.integration.installation import Answer, Installation

HOST = "us.kic.api.twinplane.localhost"


@dataclass(frozen=True)
class Controller:
    """Calls `{region}.kic.api.…` below one control plane. `leaf` is None for a caller without certificate."""

    port: int
    ca: Path
    host: str
    control_plane_id: str
    leaf: Leaf | None
    folder: Path

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        name: str | None = None,
        whole: bool = False,
    ) -> Answer:
        """One call; `path` stands below the control plane unless `whole`. `name` is another server name to ask for."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if self.leaf is not None:
            certificate, key = self.folder / "tls.crt", self.folder / "tls.key"
            certificate.write_text(self.leaf.certificate)
            key.write_text(self.leaf.key)
            context.load_cert_chain(certificate, key)
        raw = socket.create_connection(("127.0.0.1", self.port), 20)
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=20)
        connection.sock = context.wrap_socket(raw, server_hostname=name or self.host)
        sent = {"Host": self.host, "User-Agent": "kong-ingress-controller/3.5", **(headers or {})}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(
                method, path if whole else f"/kic/api/control-planes/{self.control_plane_id}{path}", data, sent
            )
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def json(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """The JSON answer of a call that is answered with `status`."""
        answer = self(method, path, body)
        assert answer.status == status, f"{method} {path}: {answer.status} {answer.body[:500]!r}"
        return answer.json() if answer.body else None


def new_plane(up: Installation, **fields: Any) -> str:
    """The id of a new control plane of an ingress controller."""
    body = {"name": f"kic-{uuid.uuid4().hex[:8]}", "cluster_type": "CLUSTER_TYPE_K8S_INGRESS_CONTROLLER", **fields}
    made = up.api("POST", "/v2/control-planes", body)
    assert made.status == 201, made.body
    found: str = made.json()["id"]
    return found


def pin(up: Installation, plane: str, certificate: str) -> str:
    """Let the holder of a certificate in; its id."""
    made = up.api("POST", f"/v2/control-planes/{plane}/dp-client-certificates", {"cert": certificate})
    assert made.status == 201, made.body
    found: str = made.json()["item"]["id"]
    return found
