"""The engine runs the plugins of the plain statement, in its order."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import ordering
from tests.reference.deciding import Engine

BUNDLED = [
    ("cors", 2000),
    ("key-auth", 1250),
    ("acl", 950),
    ("twin-of-acl", 950),
    ("limit", 910),
    ("log", 12),
    ("last", -1),
]
ROUTES = {"r1": "s1", "r2": "s1", "r3": "s2", "r4": None}
CONSUMERS = ["c1", "c2"]


def row(index: int, name: str, scope: dict[str, str | None], finds: str | None, answers: bool) -> dict[str, Any]:
    """A configured plugin."""
    config = {"finds": finds, "answers": answers}
    return {"id": f"p{index}", "name": name, "config": config, "protocols": ["http"], "enabled": True, **scope}


SCOPES = st.fixed_dictionaries(
    {
        "consumer": st.none() | st.sampled_from(CONSUMERS),
        "route": st.none() | st.sampled_from(sorted(ROUTES)),
        "service": st.none() | st.sampled_from(["s1", "s2"]),
    }
)
PLUGINS = st.lists(
    st.tuples(
        st.sampled_from([name for name, _ in BUNDLED]),
        SCOPES,
        st.none() | st.sampled_from(CONSUMERS),
        st.sampled_from([False] * 9 + [True]),
    ),
    max_size=25,
    # One configuration per plugin and scope, as the control plane sees to it.
    unique_by=lambda plugin: (plugin[0], *plugin[1].values()),
).map(lambda plugins: [row(index, *plugin) for index, plugin in enumerate(plugins)])


def table(plugins: list[dict[str, Any]]) -> str:
    """The whole configuration."""
    route = {
        "protocols": ["http"], "https_redirect_status_code": 426, "strip_path": True, "preserve_host": False,
        "request_buffering": True, "response_buffering": True, "paths": ["/"],
    }  # fmt: skip
    service = {"protocol": "http", "host": "a.test", "port": 80, "enabled": True}
    return json.dumps(
        {
            "services": [{"id": each, **service} for each in ("s1", "s2")],
            "routes": [{"id": each, "service": of, **route} for each, of in ROUTES.items()],
            "consumers": [{"id": each, "username": each} for each in CONSUMERS],
            "plugins": plugins,
        }
    )


@settings(settings.get_profile("reference"), max_examples=400)
@given(PLUGINS, st.none() | st.sampled_from(sorted(ROUTES)))
def test_plugins_run_as_the_plain_statement_says(
    engine: Engine, plugins: list[dict[str, Any]], route: str | None
) -> None:
    answer = engine.decide("plugins", bundled=BUNDLED, table=table(plugins), route=route)
    service = ROUTES[route] if route else None
    wanted = ordering.course(BUNDLED, plugins, route, service)
    assert answer == {"ran": wanted.ran, "filtered": wanted.filtered}
