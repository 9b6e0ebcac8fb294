"""Rules on crates: who may know whom, which crate names which library, and what no crate holds."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from tools.tidy.tree import ROOT, tracked

MAY_KNOW = {
    "twinplane-model": set(),
    "twinplane-engine": {"twinplane-model"},
    "twinplane-proxy": {"twinplane-model", "twinplane-engine"},
    "twinplane-plugins": {"twinplane-model", "twinplane-engine"},
    "twinplane-python": {"twinplane-model", "twinplane-engine", "twinplane-proxy", "twinplane-plugins"},
}
ONLY_IN = {
    "pyo3": "twinplane-python",
    "mimalloc": "twinplane-python",
    "tokio": "twinplane-proxy",
    "rustls": "twinplane-proxy",
    "tokio-rustls": "twinplane-proxy",
    "h2": "twinplane-proxy",
    "socket2": "twinplane-proxy",
    "hickory-resolver": "twinplane-proxy",
}
# What belongs to Python: paths of APIs, keys of kong.conf, SQL, frames of the link.
_PYTHONS = {
    "an API path": re.compile(r'"/(v2/control-planes|core-entities|schemas/|clustering)'),
    "a key of kong.conf": re.compile(
        r'"(cluster_control_plane|cluster_cert|proxy_listen|declarative_config|lua_ssl_\w+)"'
    ),
    "SQL": re.compile(r'"\s*(SELECT .+ FROM|INSERT INTO|UPDATE .+ SET|DELETE FROM) '),
    "a link frame": re.compile(r'"(basic_info|reconfigure|config_table)"'),
}
_CLOCK = re.compile(r"\b(Instant::now|SystemTime::now|std::env::|std::net::Tcp|std::fs::)")


def breaches() -> Iterator[str]:
    """Every crate and Rust file that breaks a rule of this page."""
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    for package in metadata["packages"]:
        yield from package_breaches(package)
    yield from rust_breaches()


def package_breaches(package: Mapping[str, Any]) -> Iterator[str]:
    """What a crate depends on and must not."""
    name = package["name"]
    known = {dependency["name"] for dependency in package["dependencies"] if dependency["kind"] is None}
    for other in sorted(known & MAY_KNOW.keys() - MAY_KNOW[name]):
        yield f"{name}: must not know {other}"
    for library in sorted(known & ONLY_IN.keys()):
        if ONLY_IN[library] != name:
            yield f"{name}: only {ONLY_IN[library]} may name {library}"


def rust_breaches() -> Iterator[str]:
    """What Rust files hold and must not."""
    for path in tracked(".rs"):
        if "/tests/" in f"/{path}" or "/examples/" in f"/{path}" or path.stem == "tests":
            continue
        text = _without_tests((ROOT / path).read_text(encoding="utf-8"))
        for what, pattern in _PYTHONS.items():
            if pattern.search(text):
                yield f"{path}: holds {what}; that belongs to Python"
        if str(path).startswith(("crates/engine", "crates/model", "python/twinplane/plugins")) and _CLOCK.search(text):
            yield f"{path}: deciding code reads a clock, a file, a socket or the environment"


def _without_tests(text: str) -> str:
    return text.split("#[cfg(test)]", 1)[0]
