"""The answer to `twinplane explain` in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def worded(told: Mapping[str, Any]) -> str:
    """The whole answer, a few lines for each step of the way of a request or a stream."""
    begin = _stream if "stream" in told else _request
    return "\n".join([*begin(told), *_routes(told), *_plugins(told), *_upstream(told)])


def _request(told: Mapping[str, Any]) -> Iterator[str]:
    asked = told["request"]
    query = f"?{asked['query']}" if asked["query"] is not None else ""
    yield f"{asked['method']} {asked['scheme']}://{asked['host']}{asked['path']}{query}"


def _stream(told: Mapping[str, Any]) -> Iterator[str]:
    asked = told["stream"]
    named = "" if asked["sni"] is None else f" for {asked['sni']}"
    ends = (_end(asked, "client"), _end(asked, "listener"))
    yield f"{asked['offered']}{named} from {ends[0]} to {ends[1]}"


def _end(asked: Mapping[str, Any], side: str) -> str:
    address = asked[f"{side}_ip"]
    shown = f"[{address}]" if ":" in address else address
    return f"{shown}:{asked[f'{side}_port']}" if asked[f"{side}_port"] else shown


def _routes(told: Mapping[str, Any]) -> Iterator[str]:
    yield "Routes, in the order in which they are considered:"
    if told["considered_untold"]:
        yield f"  ({told['considered_untold']} more that lack more)"
    for lost in told["considered"]:
        yield f"  {lost['place']:>4}  {_named(lost)}  lacks {', '.join(_lack(each) for each in lost['lacks'])}"
    won = told["route"]
    if won is None:
        yield "  none matches"
    else:
        yield f"  {won['place']:>4}  {_named(won)}  WINS"
    for other in told["would_match"]:
        yield f"  {other['place']:>4}  {_named(other)}  would match, but ranks lower"
    if told.get("carried") == "tls_passthrough":
        yield "TLS is passed on unread."
    elif told.get("carried") == "tls":
        yield "TLS ends here."
    for capture in told.get("captures", ()):
        yield f"  capture {capture['name']} = {capture['value']}"


def _plugins(told: Mapping[str, Any]) -> Iterator[str]:
    if not told["plugins"]:
        yield "No plugin runs."
        return
    yield "Plugins, in the order in which they run:"
    for plugin in told["plugins"]:
        scope = " + ".join(plugin["scope"]) or "global"
        yield f"  {plugin['place']:>4}  {plugin['name']}  ({scope})  {', '.join(plugin['phases'])}"
        for side in ("before", "after"):
            if plugin.get(side):
                yield f"        its ordering: {side} {', '.join(plugin[side])}"
        if plugin["skipped"] is not None:
            yield f"        SKIPPED, its condition lacks {plugin['skipped']}"


def _upstream(told: Mapping[str, Any]) -> Iterator[str]:
    closed = told.get("closed")
    if closed is not None:
        yield f"Closed by the gateway: {closed['message']}"
    answer = told.get("answered")
    if answer is not None:
        message = f" {answer['message']}" if answer["message"] else ""
        yield f"Answered by the gateway, if no plugin does: {answer['status']}{message}"
    upstream = told["upstream"]
    if upstream is None:
        return
    service = told["service"]
    yield f"Service {service['name'] or service['id']}"
    yield f"  goes to  {upstream['uri']}"
    if "host_header" in upstream:
        yield f"  Host     {upstream['host_header']}"
    target = upstream["target"] or {}
    if "peers" in target:
        picked = target["picked"]
        chosen = f"{picked['host']} ({picked['ip']}:{picked['port']})" if picked else "none"
        yield f"  target   {chosen}, by {target['algorithm']} of {len(target['peers'])} in {target['upstream']}"
    elif target:
        yield f"  target   {target.get('socket') or '{ip}:{port}'.format(**target)}"
    if upstream["problem"] is not None:
        yield f"  problem  {upstream['problem']['status']} {upstream['problem']['message']}"


def _named(route: Mapping[str, Any]) -> str:
    paths = f" {' '.join(route['paths'])}" if route["paths"] else ""
    return f"{route['name'] or route['id']}{paths}"


def _lack(unmet: Mapping[str, Any]) -> str:
    return unmet["part"] if unmet["detail"] is None else f"{unmet['part']} {unmet['detail']}"
