"""`twinplane explain`: what would become of a request or a stream, on the node that runs or by a declarative file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from twinplane.cli.curl_command import read_curl
from twinplane.cli.enabling import enabled_plugins, plugins_of
from twinplane.cli.errors import StartError
from twinplane.cli.explained import worded
from twinplane.cli.health import node_client
from twinplane.node.explain import BadQuestionError, RouterOfFile, core_question
from twinplane.settings import NodeSettings, load_node_settings

EXIT_NO_ROUTE = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `twinplane explain`."""
    parser.add_argument(
        "url",
        nargs="?",
        help="what is asked for, as in https://api.example.com/orders?x=1 or tls://db.example.com:9443",
    )
    parser.add_argument("-X", "--method", metavar="METHOD", help="method (default: GET)")
    parser.add_argument("-H", "--header", action="append", default=[], metavar="NAME: VALUE", help="a header; repeats")
    parser.add_argument(
        "--request", type=Path, metavar="FILE", help="the request as JSON, or a recording (HAR); - reads stdin"
    )
    parser.add_argument("--entry", type=int, default=1, metavar="N", help="which request of a recording (default: 1)")
    parser.add_argument("--curl", metavar="COMMAND", help="the request as a command of curl; - reads stdin")
    parser.add_argument("--sni", metavar="NAME", help="server name of the TLS handshake (default: the host)")
    parser.add_argument("--client-ip", metavar="ADDRESS", help="address of the client (default: 127.0.0.1)")
    parser.add_argument("--listener-port", type=int, metavar="PORT", help="port of the listener (default: 80 or 443)")
    parser.add_argument("--protocol", metavar="NAME", help="of a stream: tcp, tls, tls_passthrough or udp")
    parser.add_argument("--source", metavar="ADDRESS:PORT", help="the client's end, in place of --client-ip")
    parser.add_argument("--destination", metavar="ADDRESS:PORT", help="the listener's end, in place of --listener-port")
    parser.add_argument("--consumer", metavar="NAME", help="consumer that plugins would find, by id or username")
    parser.add_argument("--http2", action="store_true", help="the request comes over HTTP/2")
    parser.add_argument("--considered", type=int, metavar="N", help="how many lost routes are told (default: 20)")
    parser.add_argument("-f", "--file", type=Path, metavar="FILE", help="a declarative file in place of the node")
    parser.add_argument("-c", "--conf", type=Path, metavar="FILE", help="kong.conf of the node")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 where a route matches, 3 where none does. Raises StartError and SettingsError."""
    try:
        asked = _asked(options)
        question = core_question(asked)
    except BadQuestionError as error:
        raise StartError(*error.mistakes) from error
    own = {} if options.file is None else {"KONG_ROLE": "traditional", "KONG_DECLARATIVE_CONFIG_STRING": "{}"}
    settings = load_node_settings(options.conf, {**environ, **own})
    if options.file is None:
        try:
            told = node_client(settings["status_listen"]).call("POST", "/explain", asked)
        except OSError as error:
            raise StartError(f"the node does not answer on its status port: {error}") from error
    else:
        plugins = enabled_plugins(*plugins_of(settings))
        with RouterOfFile(settings, declared_table(options.file, settings), plugins) as router:
            told = router.ask(question)
    print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() if options.json else worded(told))
    return 0 if told["route"] is not None else EXIT_NO_ROUTE


def declared_table(path: Path, settings: NodeSettings) -> bytes:
    """A declarative file as a node runs it. Raises StartError with everything that is wrong."""
    from twinplane.node.declared import read_declared  # noqa: PLC0415
    from twinplane.node.errors import NodeStartError  # noqa: PLC0415

    try:
        return read_declared(path, None, settings["router_flavor"]).stored.table
    except NodeStartError as error:
        raise StartError(*error.problems) from error


def _recorded(path: Path, entry: int) -> dict[str, Any]:
    """A request as JSON; of a recording the one that is asked for. Raises StartError."""
    try:
        asked = orjson.loads(sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise StartError(f"{path}: {error}") from error
    if not isinstance(asked, dict):
        raise StartError(f"{path}: expected a JSON object")
    log = asked.get("log")
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        return asked
    if not 1 <= entry <= len(entries):
        raise StartError(f"{path}: there are {len(entries)} requests in it, and no number {entry}")
    return {"log": {"entries": [entries[entry - 1]]}}


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if options.request is not None:
        asked = _recorded(options.request, options.entry)
    elif options.curl is not None:
        asked = read_curl(sys.stdin.read() if options.curl == "-" else options.curl)
    elif options.url is None and options.protocol is None:
        raise StartError("what is asked for? Give a URL, --protocol, --curl or --request")
    headers = []
    for header in options.header:
        name, colon, value = header.partition(":")
        if not colon:
            raise StartError(f"--header '{header}': expected NAME: VALUE")
        headers.append({"name": name.strip(), "value": value.strip()})
    given = {
        "url": options.url,
        "method": options.method,
        "headers": headers or None,
        "sni": options.sni,
        "client_ip": options.client_ip,
        "listener_port": options.listener_port,
        "protocol": options.protocol,
        "source": options.source,
        "destination": options.destination,
        "consumer": options.consumer,
        "http2": options.http2 or None,
        "considered": options.considered,
    }
    return asked | {name: value for name, value in given.items() if value is not None}
