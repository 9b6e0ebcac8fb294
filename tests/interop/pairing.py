"""Pairs twinplane with a real Kong, in both directions and both versions of the link, and says what works.

Everything runs on loopback in a temporary folder; nothing of the installation is changed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.certificates import Leaf
from tests.integration.installation import Client, Upstream, eventually, free_ports, run_twinplane
from tests.integration.planes import Planes
from tests.interop.kong import Kong, Unusable, find

SECONDS = 60.0
DIRECTIONS = ("kong-node", "kong-control-plane")
_STEPS = (
    "kong-node: a Kong node joins our control plane, serves and follows what is configured, comes back after a loss",
    "kong-control-plane: a node of ours joins a Kong control plane and does the same (needs --database)",
)


@dataclass(frozen=True)
class Pair:
    """Both ends as they run: where to configure, and where what is configured is served."""

    admin: Client
    proxy: Client
    upstream: Upstream
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 where all that was tried works, 1 where something does not, 2 where nothing could be tried."""
    options = _parser().parse_args(arguments)
    try:
        kong = find(options.kong)
        database = _database(options.database) if options.database else None
    except Unusable as error:
        print(f"interop: {error}", file=sys.stderr)
        return 2
    print(f"kong {kong.version} at {kong.program}")
    failures, tried = 0, 0
    with tempfile.TemporaryDirectory(prefix="twinplane-interop-") as folder, Upstream() as upstream:
        for direction in options.only or DIRECTIONS:
            for version in options.link or ("1", "2"):
                name = f"{direction}, version {version}"
                if direction == "kong-control-plane" and database is None:
                    print(f"skipped  {name}: a Kong control plane needs --database")
                    continue
                if version == "2" and kong.is_enterprise:
                    print(f"skipped  {name}: how enterprise nodes tell versions is not public")
                    continue
                tried += 1
                directory = Path(folder) / f"{direction}-{version}"
                directory.mkdir()
                setting = _kong_node if direction == "kong-node" else _kong_control_plane
                failures += _try(name, setting, kong, database, directory, upstream, version, options.seconds)
    if not tried:
        return 2
    return 1 if failures else 0


Setting = Callable[[Kong, "dict[str, object] | None", Path, Upstream, str, float], Any]


def _try(
    name: str,
    setting: Setting,
    kong: Kong,
    database: dict[str, object] | None,
    directory: Path,
    upstream: Upstream,
    version: str,
    seconds: float,
) -> int:
    """Run one pairing; 1 where it fails."""
    try:
        with setting(kong, database, directory, upstream, version, seconds) as checks:
            for told, check in checks:
                check()
                print(f"ok       {name}: {told}")
    except (AssertionError, OSError, Unusable) as error:
        print(f"FAILED   {name}: {error}")
        for log in sorted(directory.glob("*.log")):
            print(f"--- {log.name}, its end:\n{log.read_bytes()[-2000:].decode(errors='replace')}")
        return 1
    return 0


Checks = list[tuple[str, Callable[[], Any]]]


def _traffic(pair: Pair) -> Checks:
    """What is the same in both directions."""

    def put(path: str, body: dict[str, Any]) -> None:
        answer = pair.admin("PUT", path, body)
        assert answer.status in {200, 201}, f"PUT {path}: {answer.status} {answer.body[:200]!r}"

    def answers(path: str, status: int, **headers: str) -> None:
        eventually(lambda: pair.proxy("GET", path, headers=headers).status == status, seconds=pair.seconds)

    def serves() -> None:
        put("/services/s", {"url": f"http://127.0.0.1:{pair.upstream.port}/"})
        put("/services/s/routes/r", {"paths": ["/one"]})
        answers("/one", 200)

    def changes() -> None:
        put("/services/s/routes/r", {"paths": ["/two"]})
        answers("/two", 200)
        answers("/one", 404)

    def asks_for_keys() -> None:
        put("/consumers/ada", {"username": "ada"})
        answer = pair.admin("POST", "/consumers/ada/key-auth", {"key": "k"})
        assert answer.status == 201, answer.body[:200]
        answer = pair.admin("POST", "/services/s/plugins", {"name": "key-auth"})
        assert answer.status == 201, answer.body[:200]
        answers("/two", 401)
        answers("/two", 200, apikey="k")

    def switches_off() -> None:
        put("/services/off", {"url": f"http://127.0.0.1:{pair.upstream.port}/", "enabled": False})
        put("/services/off/routes/off", {"paths": ["/off"]})
        put("/services/s/routes/last", {"paths": ["/last"]})
        answers("/last", 401)
        answers("/off", 404)

    def deletes() -> None:
        assert pair.admin("DELETE", "/routes/r").status == 204
        answers("/two", 404)

    return [
        ("a route is served", serves),
        ("a change arrives", changes),
        ("a plugin and a credential work", asks_for_keys),
        ("what is switched off is not served", switches_off),
        ("a deletion arrives", deletes),
    ]


@contextmanager
def _kong_node(
    kong: Kong,
    _database: dict[str, object] | None,
    directory: Path,
    upstream: Upstream,
    version: str,
    seconds: float,
) -> Iterator[Checks]:
    """A Kong node on our control plane, by the `kong.conf` that we write for nodes."""
    planes = Planes(directory)
    planes.control_plane_environ = {"TWINPLANE_CLUSTER_RPC_SYNC": "on"} if version == "2" else {}
    planes.start_control_plane()
    try:
        planes.join()
        lines = (planes.node_directory / "kong.conf").read_text().splitlines()
        written = dict(line.split(" = ", 1) for line in lines if " = " in line and not line.startswith("#"))
        (proxy,) = free_ports(1)
        settings: dict[str, object] = written | {
            "proxy_listen": f"127.0.0.1:{proxy}",
            "status_listen": f"127.0.0.1:{planes.ports.status}",
            "admin_listen": "off",
            "vitals": "off",
            "cluster_rpc": "on" if version == "2" else "off",
            "cluster_rpc_sync": "on" if version == "2" else "off",
        }
        with kong.running(directory / "kong", settings):
            pair = Pair(planes.admin, Client(proxy), upstream, seconds)
            yield [("it joins", lambda: _joins(planes, seconds)), *_traffic(pair), *_returns(planes, pair, version)]
    finally:
        planes.stop()


def _row(planes: Planes) -> dict[str, Any]:
    nodes = planes.api("GET", f"/v2/control-planes/{planes.control_plane_id}/nodes").json()["items"]
    return dict(nodes[0]) if nodes else {}


def _joins(planes: Planes, seconds: float) -> None:
    eventually(lambda: _row(planes), seconds=seconds)


def _returns(planes: Planes, pair: Pair, version: str) -> Checks:
    def is_in_sync() -> None:
        if version == "1":
            eventually(planes.in_sync, seconds=pair.seconds)
        else:
            eventually(lambda: int(_row(planes)["config_hash"], 16) > 0, seconds=pair.seconds)

    def survives() -> None:
        planes.kill(planes.control_plane)
        assert pair.proxy("GET", "/last").status == 401
        planes.start_control_plane()
        assert planes.admin("PUT", "/services/s/routes/late", {"paths": ["/late"]}).status == 200
        eventually(lambda: pair.proxy("GET", "/late").status == 401, seconds=pair.seconds)

    return [("its row says what it runs", is_in_sync), ("it comes back after a loss", survives)]


@contextmanager
def _kong_control_plane(
    kong: Kong,
    database: dict[str, object] | None,
    directory: Path,
    upstream: Upstream,
    version: str,
    seconds: float,
) -> Iterator[Checks]:
    """A node of ours on a Kong control plane, in shared mode."""
    assert database is not None
    shared = Leaf.self_signed("kong_clustering")
    (directory / "shared.pem").write_text(shared.certificate)
    (directory / "shared.key").write_text(shared.key)
    (directory / "shared.key").chmod(0o600)
    link, admin, proxy, status, secure = free_ports(5)
    rpc = "on" if version == "2" else "off"
    certificates: dict[str, object] = {
        "cluster_mtls": "shared",
        "cluster_cert": directory / "shared.pem",
        "cluster_cert_key": directory / "shared.key",
    }
    settings: dict[str, object] = {
        **database,
        **certificates,
        "role": "control_plane",
        "database": "postgres",
        "admin_listen": f"127.0.0.1:{admin}",
        "admin_gui_listen": "off",
        "cluster_listen": f"127.0.0.1:{link}",
        "cluster_rpc": rpc,
        "cluster_rpc_sync": rpc,
    }
    kong.migrate(directory, settings)
    node: dict[str, object] = {
        **certificates,
        "role": "data_plane",
        "database": "off",
        "prefix": directory / "node",
        "cluster_control_plane": f"127.0.0.1:{link}",
        "proxy_listen": f"127.0.0.1:{proxy}, 127.0.0.1:{secure} ssl",
        "status_listen": f"127.0.0.1:{status}",
        "incremental_sync": rpc,
    }
    conf = directory / "node.conf"
    conf.write_text("".join(f"{name} = {value}\n" for name, value in node.items()))
    with kong.running(directory / "kong", settings):
        eventually(lambda: Client(admin)("GET", "/status").status == 200, seconds=seconds)
        process = run_twinplane("data-plane", "-c", str(conf))
        try:
            pair = Pair(Client(admin), Client(proxy), upstream, seconds)
            joins = lambda: eventually(  # noqa: E731 - one call
                lambda: Client(admin)("GET", "/clustering/data-planes").json()["data"], seconds=seconds
            )
            yield [("it joins", joins), *_traffic(pair)]
        finally:
            process.terminate()
            process.communicate()


def _database(url: str) -> dict[str, object]:
    """Settings of Kong for a database. Raises Unusable."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or not parts.hostname or not parts.path.strip("/"):
        raise Unusable("--database: expected postgres://user:password@host:port/name")
    return {
        "pg_host": parts.hostname,
        "pg_port": parts.port or 5432,
        "pg_user": unquote(parts.username or "kong"),
        "pg_password": unquote(parts.password or ""),
        "pg_database": parts.path.strip("/"),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tests/interop/run",
        description="Pair twinplane with a real Kong on this machine.",
        epilog=" | ".join(_STEPS),
    )
    parser.add_argument("--kong", type=Path, required=True, help="a Kong installation: its folder, or the program")
    parser.add_argument(
        "--database", help="an empty database for Kong's control plane: postgres://user:password@host/name"
    )
    parser.add_argument("--only", action="append", choices=DIRECTIONS, help="one direction; default: both")
    parser.add_argument("--link", action="append", choices=("1", "2"), help="one version of the link; default: both")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long to wait for each thing")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
