#!/usr/bin/env python3
"""A plugin as people write them for Kong's Python PDK: reads, guards, tells, logs. Nothing in it is of this gateway."""

import json
import os

import kong_pdk.pdk.kong as kong

Schema = (
    {"message": {"type": "string", "default": "hello", "description": "What to say."}},
    {"blocked": {"type": "array", "elements": {"type": "string"}}},
    {
        "limits": {
            "type": "record",
            "required": True,
            "fields": ({"bytes": {"type": "integer", "default": 10, "between": [1, 100]}},),
        }
    },
    {"secret": {"type": "string", "referenceable": True}},
)
version = "1.2.0"
priority = 700
lines = []


class Plugin(object):  # noqa: UP004 - as they are written
    def __init__(self, config):
        self.config = config
        if config.get("message") == "unusable":
            raise ValueError("that message cannot be said")

    def access(self, kong: kong.kong):
        host, err = kong.request.get_header("host")
        if err:
            kong.log.err("no host: ", err)
        agent, _ = kong.request.get_header("user-agent")
        if agent in self.config.get("blocked", []):
            kong.response.exit(403, {"message": "blocked"}, {"X-Blocked": "yes"})
            raise AssertionError("exit ends the phase")
        wish, _ = kong.request.get_path()
        if wish == "/facts":
            self._facts(kong)
        if wish == "/change":
            kong.service.request.set_header("X-Many", ["1", "2"])
            kong.service.request.clear_header("X-Gone")
            kong.service.request.set_query({"b": [1, 2], "a": "x y", "c": True})
            kong.service.request.set_method("PUT")
            kong.service.request.set_raw_body(json.dumps(kong.request.get_body()[0]).upper())
        if wish == "/who":
            consumer, _ = kong.client.load_consumer("bob", True)
            kong.client.authenticate(consumer, {"id": "c-1", "key": "shown"})
        if wish == "/late":
            kong.cluster.get_id()
        if wish == "/wrong-phase":
            kong.response.get_raw_body()
        kong.ctx.shared.set("from", "tell-and-guard")
        kong.response.set_header("x-hello-from-python", "Python says %s to %s" % (self.config["message"], host))  # noqa: UP031
        kong.response.set_header("x-python-pid", str(os.getpid()))

    def _facts(self, kong):
        names = [
            "get_scheme",
            "get_host",
            "get_port",
            "get_method",
            "get_raw_path",
            "get_path_with_query",
            "get_raw_query",
        ]
        names += ["get_query", "get_http_version", "get_forwarded_scheme", "get_forwarded_host", "get_uri_captures"]
        told = {name: getattr(kong.request, name)()[0] for name in names}
        told["arg"] = kong.request.get_query_arg("a")[0]
        told["var"] = [kong.nginx.get_var(name)[0] for name in ("request_method", "arg_a", "http_x_one", "server_port")]
        told["ip"] = [kong.client.get_ip()[0], kong.client.get_forwarded_ip()[0], kong.ip.is_trusted("127.0.0.1")[0]]
        told["route"], told["service"] = kong.router.get_route()[0]["name"], kong.router.get_service()[0]["host"]
        told["node"] = len(kong.node.get_id()[0])
        told["secret"] = self.config.get("secret")
        told["limits"] = self.config.get("limits")
        told["headers"] = kong.request.get_headers()[0]["x-one"]
        missing, err = kong.vault.get("{vault://env/not-there}")
        told["vault"] = [missing, "NOT_THERE" in err]
        kong.response.exit(200, told)

    def log(self, kong: kong.kong):
        status, _ = kong.response.get_status()
        entry, _ = kong.log.serialize()
        path, _ = kong.request.get_path()
        agent, _ = kong.request.get_header("User-Agent")
        lines.append((path, status, agent, json.loads(entry)["request"]["method"]))


# add below section to allow this plugin optionally be running in a dedicated process
if __name__ == "__main__":
    from kong_pdk.cli import start_dedicated_server

    start_dedicated_server("tell-and-guard", Plugin, version, priority, Schema)
