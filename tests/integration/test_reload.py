"""A node that reads its settings again under load: listeners, certificates and limits change, no request is lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from tests.certificates import Leaf
from tests.integration.installation import Client, Upstream, eventually, free_ports, run_twinplane
from tests.integration.stream_peers import TcpPeer, ask, connect, route, service

RELOADS = 5
DECLARED_REFUSED = "declarative_config_refused"


class Node:
    """A node with a declarative file and a conf file that tests write anew."""

    def __init__(self, directory: Path, upstream: int) -> None:
        self.directory, self.conf = directory, directory / "kong.conf"
        self.plain, self.secure, self.spare, self.other, status = free_ports(5)
        self.status = Client(status)
        service = {"name": "s", "url": f"http://127.0.0.1:{upstream}", "routes": [{"name": "r", "paths": ["/"]}]}
        (directory / "kong.json").write_text(json.dumps({"_format_version": "3.0", "services": [service]}))
        self.settings: dict[str, object] = {
            "role": "traditional",
            "prefix": directory / "prefix",
            "declarative_config": directory / "kong.json",
            "status_listen": f"127.0.0.1:{status}",
            "admin_listen": "off",
            "nginx_worker_processes": 2,
        }
        self.certify("one")
        self.write(proxy_listen=self.listens())
        self.process = self.started()

    def started(self) -> subprocess.Popen[bytes]:
        # The file alone says where the Admin API is, before and after it was written anew.
        return run_twinplane("data-plane", "-c", str(self.conf), before=("env", "-u", "KONG_ADMIN_LISTEN"))

    def listens(self, *more: int, http2: str = "") -> str:
        extra = "".join(f", 127.0.0.1:{port}" for port in more)
        return f"127.0.0.1:{self.plain}, 127.0.0.1:{self.secure} ssl {http2}{extra}"

    def certify(self, name: str, setting: str = "ssl_cert") -> None:
        leaf = Leaf.self_signed(name)
        for kind, text in (("crt", leaf.certificate), ("key", leaf.key)):
            (self.directory / f"{name}.{kind}").write_text(text)
        self.settings[setting] = self.directory / f"{name}.crt"
        self.settings[f"{setting}_key"] = self.directory / f"{name}.key"

    def write(self, **changed: object) -> None:
        self.settings |= changed
        self.conf.write_text("".join(f"{name} = {value}\n" for name, value in self.settings.items()))

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def conditions(self) -> list[str]:
        """What it says is not as it should be."""
        return [each["message"] for each in self.status("GET", "/status").json()["conditions"]]

    def common_name(self, port: int = 0) -> str:
        """Whose certificate a TLS port shows, that of the proxy unless another one is given."""
        pem = ssl.get_server_certificate(("127.0.0.1", port or self.secure), timeout=20)
        subject = x509.load_pem_x509_certificate(pem.encode()).subject
        return str(subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)

    def ended(self) -> str:
        self.process.terminate()
        output = self.process.communicate(timeout=60)[0].decode()
        assert self.process.returncode == 0, output
        return output


@contextmanager
def running(directory: Path) -> Iterator[Node]:
    with Upstream() as upstream:
        node = Node(directory, upstream.port)
        try:
            eventually(lambda: node.status("GET", "/status/ready").status == 200, seconds=60)
            yield node
        finally:
            if node.process.poll() is None:
                node.process.kill()
            node.process.communicate()


def _plain(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=30)


def _secure(port: int) -> http.client.HTTPConnection:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)


class Load:
    """Callers without pause: some keep their connection, some take a new one for each request."""

    def __init__(self, callers: list[tuple[Callable[[int], http.client.HTTPConnection], int, bool]]) -> None:
        self.asked, self.failures = 0, list[str]()
        self._lock, self._done = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._call, args=caller) for caller in callers]
        for thread in self._threads:
            thread.start()

    def _call(self, connect: Callable[[int], http.client.HTTPConnection], port: int, keeps: bool) -> None:
        connection = connect(port)
        while not self._done.is_set():
            try:
                connection.request("GET", "/", headers={} if keeps else {"Connection": "close"})
                answer = connection.getresponse()
                answer.read()
                problem = "" if answer.status == 200 else str(answer.status)
            except (OSError, http.client.HTTPException) as error:
                problem = repr(error)
                connection.close()
            with self._lock:
                self.asked += 1
                if problem:
                    self.failures.append(problem)
        connection.close()

    def ended(self) -> list[str]:
        self._done.set()
        for thread in self._threads:
            thread.join(60)
        return self.failures


def _answers(port: int) -> bool:
    return Client(port)("GET", "/").status == 200


def _is_closed(port: int) -> bool:
    try:
        Client(port)("GET", "/")
    except ConnectionRefusedError:
        return True
    return False


def test_five_reloads_under_load_lose_no_request(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        callers = [(_plain, node.plain, True), (_plain, node.plain, False)]
        load = Load([*callers, (_secure, node.secure, True), (_secure, node.secure, False)])
        for number in range(RELOADS):
            port, before = (node.spare, node.other) if number % 2 == 0 else (node.other, node.spare)
            node.certify(f"c{number}")
            node.write(
                proxy_listen=node.listens(port, http2="http2" if number % 2 else ""),
                headers="off" if number % 2 else "server_tokens",
                ssl_protocols="TLSv1.3" if number % 2 else "TLSv1.2 TLSv1.3",
                nginx_http_client_max_body_size=f"{number + 1}k",
            )
            asked = load.asked
            node.reload()
            eventually(lambda port=port: _answers(port), seconds=60)
            eventually(lambda before=before: _is_closed(before), seconds=60)
            eventually(lambda number=number: node.common_name() == f"c{number}", seconds=60)
            eventually(lambda asked=asked: load.asked > asked + 20, seconds=60)
        assert load.ended() == []
        body = b"x" * (RELOADS * 1024)
        assert Client(node.plain)("POST", "/", body).status == 200
        assert Client(node.plain)("POST", "/", body + b"x").status == 413
        output = node.ended()
    assert output.count("listeners_changed") == RELOADS
    assert output.count("settings_reread") == RELOADS
    assert "settings_refused" not in output


def test_a_wrong_file_changes_nothing_and_all_of_it_is_told(tmp_path: Path) -> None:
    with running(tmp_path) as node, socket.create_server(("127.0.0.1", 0)) as held:
        right, taken = dict(node.settings), held.getsockname()[1]
        wrong: list[tuple[dict[str, object], list[str]]] = [
            ({"proxy_listen": "nowhere", "log_level": "loud"}, ["proxy_listen: ", "log_level: "]),
            ({"proxy_listen": node.listens(node.spare), "ssl_cert": "/none"}, ["/none: cannot be read"]),
            # The one that is free is taken back where another one is not.
            ({"proxy_listen": node.listens(node.spare, taken)}, ["the port is in use"]),
        ]
        for changed, told in wrong:
            node.settings = dict(right)
            node.write(headers="off", **changed)
            node.reload()

            def is_told(told: list[str] = told) -> bool:
                found = node.status("GET", "/status").json()["conditions"]
                texts = [each["message"] for each in found if each["code"] == "settings_refused"]
                return any(all(part in text for part in told) for text in texts)

            eventually(is_told, seconds=60)
            assert _is_closed(node.spare)
            assert "Via" in Client(node.plain)("GET", "/").headers
        node.settings = dict(right)
        node.write(proxy_listen=node.listens(node.other), nginx_worker_processes=1, router_flavor="expressions")
        node.reload()
        eventually(lambda: _answers(node.other), seconds=60)
        eventually(lambda: node.status("GET", "/status").json()["conditions"] == [], seconds=60)
        output = node.ended()
    needed = [line.rsplit("=", 1)[1] for line in output.splitlines() if "setting_needs_restart" in line]
    assert needed == ["nginx_worker_processes", "router_flavor"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        pytest.param({"services": [{"name": "s"}]}, "required field missing", id="a mistake of the schema"),
        pytest.param(
            {"plugins": [{"name": "datadog", "config": {"host": "{vault://env/nobody-has-this}"}}]},
            "leads nowhere",
            id="a mistake that the node alone can see",
        ),
    ],
)
def test_a_wrong_document_keeps_settings_from_changing(tmp_path: Path, wrong: dict[str, object], told: str) -> None:
    with running(tmp_path) as node:
        document = tmp_path / "kong.json"
        right = document.read_text()
        document.write_text(json.dumps({"_format_version": "3.0", **wrong}))
        node.write(headers="off", proxy_listen=node.listens(node.spare))
        node.reload()

        def conditions() -> list[tuple[str, str]]:
            return [(each["code"], each["message"]) for each in node.status("GET", "/status").json()["conditions"]]

        eventually(
            lambda: [(code, told in text) for code, text in conditions()] == [(DECLARED_REFUSED, True)], seconds=60
        )
        assert "Via" in Client(node.plain)("GET", "/").headers
        assert _is_closed(node.spare)
        document.write_text(right)
        node.reload()
        eventually(lambda: _answers(node.spare), seconds=60)
        eventually(lambda: conditions() == [], seconds=60)
        assert "Via" not in Client(node.plain)("GET", "/").headers
        node.ended()


def test_a_document_that_comes_alone_is_built_once(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        document = tmp_path / "kong.json"
        right = json.loads(document.read_text())

        def hidden(path: str, **changed: object) -> None:
            right["services"][0]["routes"][0]["paths"] = [path]
            document.write_text(json.dumps(right))
            node.write(**changed)
            node.reload()
            eventually(lambda: Client(node.plain)("GET", "/").status == 404, seconds=60)
            eventually(lambda: Client(node.plain)("GET", path).status == 200, seconds=60)

        hidden("/alone")
        # A mistake that building alone can show leaves everything as it was.
        wrong = {"plugins": [{"name": "datadog", "config": {"host": "{vault://env/nobody-has-this}"}}]}
        document.write_text(json.dumps({"_format_version": "3.0", **wrong}))
        node.reload()
        eventually(lambda: any("leads nowhere" in told for told in node.conditions()), seconds=60)
        assert Client(node.plain)("GET", "/alone").status == 200
        hidden("/alone-again")
        hidden("/with-settings", headers="off")
        assert "Via" not in Client(node.plain)("GET", "/with-settings").headers
        eventually(lambda: node.conditions() == [], seconds=60)
        output = node.ended()
    assert output.count("config_rehearsed") == 1
    assert "settings_refused" not in output


def test_files_behind_names_that_stay_are_read_again(tmp_path: Path) -> None:
    form = tmp_path / "error.json"
    client = {name: tmp_path / f"client.{name}" for name in ("crt", "key")}

    def put(word: str) -> None:
        form.write_text(f'{{"{word}": "%s"}}')

    def refused() -> str:
        answer = Client(node.plain)("POST", "/", b"x" * 2048, {"Accept": "application/json"})
        assert answer.status == 413
        return ",".join(answer.json())

    with running(tmp_path) as node:
        put("one")
        leaf = Leaf.self_signed("client")
        client["crt"].write_text(leaf.certificate)
        client["key"].write_text(leaf.key)
        node.write(
            nginx_http_client_max_body_size="1k",
            error_template_json=form,
            client_ssl="on",
            client_ssl_cert=client["crt"],
            client_ssl_cert_key=client["key"],
        )
        node.reload()
        eventually(lambda: Client(node.plain)("POST", "/", b"x" * 2048).status == 413, seconds=60)
        assert refused() == "one"
        put("two")
        node.reload()
        eventually(lambda: refused() == "two", seconds=60)
        # What is wrong with such a file is told, and the one before serves on.
        put("three")
        client["key"].write_text(Leaf.self_signed("other").key)
        node.reload()

        def told() -> list[str]:
            return [each["message"] for each in node.status("GET", "/status").json()["conditions"]]

        eventually(lambda: any("client_ssl_cert_key" in each for each in told()), seconds=60)
        assert refused() == "two"
        client["key"].write_text(leaf.key)
        node.reload()
        eventually(lambda: refused() == "three", seconds=60)
        eventually(lambda: told() == [], seconds=60)
        assert "settings_not_reread" not in node.ended()


def test_a_log_file_is_opened_anew_when_it_was_moved_away(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        node.write(proxy_error_log="logs/node.log notice")
        assert node.ended() != ""
        node.process = node.started()
        kept, moved = tmp_path / "prefix/logs/node.log", tmp_path / "prefix/logs/node.log.1"
        eventually(lambda: "node_started" in kept.read_text(), seconds=60)
        for signum, told in ((signal.SIGUSR1, "logs_reopened"), (signal.SIGHUP, "settings_reread")):
            kept.rename(moved)
            node.process.send_signal(signum)
            eventually(lambda told=told: told in kept.read_text(), seconds=60)
            assert told not in moved.read_text()
        assert node.ended() == ""
        assert "node_stopping" in kept.read_text()


def test_a_log_that_nobody_reads_holds_up_no_node(tmp_path: Path) -> None:
    with running(tmp_path) as node:

        def lost() -> float:
            text = node.status("GET", "/metrics").body.decode()
            name = "twinplane_log_lines_lost_total "
            return next(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))

        assert lost() == 0
        right = dict(node.settings)
        # A line for each, far more than the pipe and the node hold.
        node.write(**{f"unknown_{number}": 1 for number in range(40_000)}, proxy_listen=node.listens(node.spare))
        node.reload()
        eventually(lambda: _answers(node.spare), seconds=60)
        assert lost() > 0
        # Once somebody reads, the next line that there is room for comes behind how many were lost.
        assert node.process.stdout is not None
        output, text = node.process.stdout.fileno(), bytearray()
        os.set_blocking(output, False)
        node.settings = right
        node.write()

        def is_told() -> bool:
            with contextlib.suppress(BlockingIOError):
                while part := os.read(output, 65_536):
                    text.extend(part)
            node.reload()
            return b"log_lines_lost count=" in text

        eventually(is_told, seconds=120)
        os.set_blocking(output, True)
        node.ended()


@pytest.mark.parametrize("is_wrong", [False, True], ids=["right", "wrong"])
def test_the_command_reloads_the_node_of_a_prefix(tmp_path: Path, is_wrong: bool) -> None:
    with running(tmp_path) as node:
        listens = "nowhere" if is_wrong else node.listens(node.spare)
        node.write(proxy_listen=listens)
        reload = run_twinplane("reload", "-c", str(node.conf))
        told = reload.communicate(timeout=60)[0].decode()
        if is_wrong:
            assert reload.returncode == 2
            assert "proxy_listen: " in told
        else:
            assert reload.returncode == 0, told
            eventually(lambda: _answers(node.spare), seconds=60)
        node.ended()
        node.write(proxy_listen=node.listens())
        again = run_twinplane("reload", "-c", str(node.conf))
        assert "no node works there" in again.communicate(timeout=60)[0].decode()
        assert again.returncode == 1


def _is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_status_port_moves_while_it_serves(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        first, second, secure = node.status.port, node.other, node.spare
        kept = http.client.HTTPConnection("127.0.0.1", first, timeout=30)

        def asked() -> tuple[int, str | None]:
            kept.request("GET", "/status/ready")
            answer = kept.getresponse()
            answer.read()
            return answer.status, answer.headers["Connection"]

        assert asked() == (200, "keep-alive")
        node.certify("status-one", "status_ssl_cert")
        node.write(status_listen=f"127.0.0.1:{second}, 127.0.0.1:{secure} ssl")
        node.reload()
        node.status = Client(second)
        eventually(lambda: node.status("GET", "/status/ready").status == 200, seconds=60)
        eventually(lambda: _is_refused(first), seconds=60)
        assert node.common_name(secure) == "status-one"
        # Who was connected is answered once more, and told that this was the last time.
        assert asked() == (200, "close")
        # One that stays takes other certificates, and other flags.
        node.certify("status-two", "status_ssl_cert")
        node.write(status_listen=f"127.0.0.1:{second} ssl, 127.0.0.1:{secure} ssl backlog=64")
        node.reload()
        eventually(lambda: node.common_name(secure) == "status-two", seconds=60)
        eventually(lambda: node.common_name(second) == "status-two", seconds=60)
        node.write(status_listen=f"127.0.0.1:{first}")
        node.reload()
        node.status = Client(first)
        eventually(lambda: node.status("GET", "/status/ready").status == 200, seconds=60)
        eventually(lambda: _is_refused(second) and _is_refused(secure), seconds=60)
        output = node.ended()
    assert "settings_refused" not in output
    assert "setting_needs_restart" not in output


def test_the_admin_api_comes_and_goes_while_the_node_serves(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        admin, token = Client(node.spare), "a-token-of-some-length"

        def named() -> list[str]:
            return [each["name"] for each in admin("GET", "/services").json()["data"]]

        node.write(admin_listen=f"127.0.0.1:{node.spare}")
        node.reload()
        eventually(lambda: admin("GET", "/services").status == 200, seconds=60)
        assert named() == ["s"]
        # Callers are asked for something else from the next request on.
        node.write(admin_token=token)
        node.reload()
        eventually(lambda: admin("GET", "/services").status == 401, seconds=60)
        assert admin("GET", "/services", headers={"Kong-Admin-Token": token}).status == 200
        node.certify("admin", "admin_ssl_cert")
        node.write(admin_listen=f"127.0.0.1:{node.other} ssl", admin_token="")
        node.reload()
        eventually(lambda: node.common_name(node.other) == "admin", seconds=60)
        eventually(lambda: _is_refused(node.spare), seconds=60)
        node.write(admin_listen="off")
        node.reload()
        eventually(lambda: _is_refused(node.other), seconds=60)
        # What is configured while it is away is shown once it is back.
        document = json.loads((tmp_path / "kong.json").read_text())
        document["services"][0]["name"] = "renamed"
        (tmp_path / "kong.json").write_text(json.dumps(document))
        node.write(admin_listen=f"127.0.0.1:{node.spare}")
        node.reload()
        eventually(lambda: named() == ["renamed"], seconds=60)
        output = node.ended()
    assert "settings_refused" not in output
    assert "setting_needs_restart" not in output


def _echoes(port: int) -> bool:
    with connect(port) as stream:
        return ask(stream, b"any") == b"any"


def test_streams_live_on_while_their_ports_change(tmp_path: Path) -> None:
    peer = TcpPeer()
    try:
        with running(tmp_path) as node:
            old, new = node.spare, node.other
            document = json.loads((tmp_path / "kong.json").read_text())
            routes = (route("old", old), route("new", new))
            document["services"].append(service("echo", peer.port, *routes))
            (tmp_path / "kong.json").write_text(json.dumps(document))
            node.write(stream_listen=f"127.0.0.1:{old}")
            node.reload()
            # The port is there a moment before the configuration that has a route for it.
            eventually(lambda: _echoes(old), seconds=60)
            stream = connect(old)
            assert ask(stream, b"before") == b"before"
            node.write(stream_listen=f"127.0.0.1:{new} reuseport")
            node.reload()
            eventually(lambda: _echoes(new), seconds=60)
            eventually(lambda: _is_refused(old), seconds=60)
            assert ask(stream, b"after") == b"after"
            stream.close()
            output = node.ended()
        # What the last reload did may have no line yet; what the one before it did has one.
        assert "stream_listening" in output
        assert "settings_refused" not in output
    finally:
        peer.close()


@pytest.mark.parametrize("setting", ["stream_listen", "status_listen", "admin_listen"])
def test_a_port_that_is_taken_refuses_all_of_a_reload(tmp_path: Path, setting: str) -> None:
    with running(tmp_path) as node, socket.create_server(("127.0.0.1", 0)) as held:
        taken, right = held.getsockname()[1], dict(node.settings)
        node.write(proxy_listen=node.listens(node.spare), headers="off")
        # Beside the one that is taken each asks for one that is free, which is given back.
        for name in ("stream_listen", "status_listen", "admin_listen"):
            node.write(**{name: f"127.0.0.1:{taken}, 127.0.0.1:{node.other}"} if name == setting else {})
        node.reload()
        eventually(lambda: any(f"{taken}: " in told and "in use" in told for told in node.conditions()), seconds=60)
        assert _is_refused(node.other)
        assert _is_closed(node.spare)
        assert "Via" in Client(node.plain)("GET", "/").headers
        node.settings = right
        node.write(proxy_listen=node.listens(node.spare))
        node.reload()
        eventually(lambda: _answers(node.spare), seconds=60)
        eventually(lambda: node.conditions() == [], seconds=60)
        node.ended()
