"""The settings of a data plane node, by the names of `kong.conf`.

A table, never code: what a name does is decided where its value is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twinplane.settings.admin import ADMIN, admin_mistakes
from twinplane.settings.answers import ANSWERS
from twinplane.settings.audit import AUDIT_NODE
from twinplane.settings.balancing import BALANCING
from twinplane.settings.conf_file import SEARCHED, read_conf_file, read_environment
from twinplane.settings.directives import DIRECTIVES, idle_directive, is_injected, next_warnings
from twinplane.settings.forward_proxy import read_proxy_server
from twinplane.settings.idle import IDLE
from twinplane.settings.link import LINK
from twinplane.settings.listeners import LISTENERS, PORT_MAPS, STREAM_LISTENERS
from twinplane.settings.listening import LISTENING
from twinplane.settings.log_format import BUILT_IN
from twinplane.settings.logs import LOGS
from twinplane.settings.process import PROCESS
from twinplane.settings.python_plugins import PYTHON_PLUGINS
from twinplane.settings.references import is_reference, resolved_references
from twinplane.settings.reloading import merged
from twinplane.settings.serving import port_maps, serving_mistakes, serving_warnings, tls_choice
from twinplane.settings.setting import UNUSABLE, Mistake, Setting, SettingsError, read_values
from twinplane.settings.tls import TlsChoice
from twinplane.settings.upstreams import UPSTREAMS

GROUPS: Mapping[str, tuple[Setting, ...]] = {
    "The process": PROCESS,
    "The control plane": LINK,
    "Audit lines": AUDIT_NODE,
    "Ports": LISTENING,
    "Admin API": ADMIN,
    "Requests and connections": DIRECTIVES,
    "Routing and answers": ANSWERS,
    "Upstreams": UPSTREAMS,
    "Names and targets": BALANCING,
    "Deliveries of log plugins": LOGS,
    "Plugins in Python": PYTHON_PLUGINS,
    "Accepted and without effect": IDLE,
}
"""Every setting of a node, by what it is about."""

SETTINGS: tuple[Setting, ...] = tuple(setting for group in GROUPS.values() for setting in group)

_BY_NAME = {name: setting for setting in SETTINGS for name in setting.given_by}
_LABEL = re.compile(r"[a-z0-9]([\w.:-]{0,61}[a-z0-9])?", re.IGNORECASE)
_RESERVED_LABELS = ("kong", "konnect", "insomnia", "mesh", "kic")
LABELS_MAX = 10
MASK = "******"


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """The checked settings of one node, by name, and what was odd about the texts they came from."""

    values: Mapping[str, Any]
    warnings: tuple[str, ...]
    path: Path | None
    hidden: frozenset[str] = frozenset()
    """Names of settings that a reference was given for: what it leads to is a secret."""

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def labels(self) -> dict[str, str]:
        """The node's labels."""
        return dict(label.split(":", 1) for label in self.values["cluster_dp_labels"] or ())

    @property
    def port_maps(self) -> tuple[tuple[int, int], ...]:
        """Pairs of a port that clients see and the one that is listened on."""
        return port_maps(self.values)

    @property
    def vault_env_prefix(self) -> str | None:
        """What the names of variables begin with that references lead to; None where references are turned off."""
        return (self["vault_env_prefix"] or "") if {"bundled", "env"} & set(self["vaults"]) else None

    @property
    def tls(self) -> TlsChoice:
        """What is spoken with clients."""
        return tls_choice(self.values)

    def taking(self, found: NodeSettings) -> NodeSettings:
        """These settings with what of others can be taken into use while a node serves.

        Raises SettingsError where that is at odds with what needs a restart.
        """
        hidden = self.hidden | found.hidden
        values = merged(self.values, found.values)
        why = "what it disputes needs a restart"
        mistakes = [
            replace(each, problem=UNUSABLE if each.name in hidden else f"{each.problem} ({why})")
            for each in _contradictions(values, {})
        ]
        if mistakes:
            raise SettingsError(mistakes)
        return NodeSettings(values, found.warnings, found.path, hidden)

    def masked(self) -> dict[str, Any]:
        """Every value as it may be shown to others: secrets as asterisks."""
        return {
            name: MASK if name in self.hidden else _shown(_BY_NAME[name], value)
            for name, value in self.values.items()
            if value is not None
        }

    def typed(self) -> dict[str, Any]:
        """Every value as Kong's Admin API has it: lists as arrays, switches as booleans; secrets as asterisks."""
        return {name: _typed(_BY_NAME[name], value) for name, value in self.values.items() if value is not None}


# What Kong hands to nginx as it was written.
_DIRECTIVES = frozenset({"ssl_protocols", "ssl_prefer_server_ciphers", "ssl_session_tickets", "real_ip_recursive"})


def _typed(setting: Setting, value: Any) -> Any:
    if not setting.secret:
        if setting.name in _DIRECTIVES or setting.name.startswith("nginx_"):
            if isinstance(value, frozenset):
                return " ".join(sorted(map(str, value)))
            return " ".join(map(str, value)) if isinstance(value, tuple) else str(_shown(setting, value))
        if setting.kind in (LISTENERS, STREAM_LISTENERS):
            return [each.shown for each in value] or ["off"]
        if setting.kind is PORT_MAPS:
            return [f"{seen}:{listening}" for seen, listening in value]
        if isinstance(value, tuple):
            return [str(each) for each in value]
        if isinstance(value, bool):
            return value
    return _shown(setting, value)


def _shown(setting: Setting, value: Any) -> Any:
    if setting.secret:
        return MASK
    if setting.kind is LISTENERS:
        return ", ".join(each.shown for each in value) or "off"
    if setting.kind is PORT_MAPS:
        return ", ".join(f"{seen}:{listening}" for seen, listening in value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if isinstance(value, int | float) else str(value)


def load_node_settings(path: Path | None, environ: Mapping[str, str]) -> NodeSettings:
    """Read `path` (or the usual places) and `KONG_*`, which win. Raises `SettingsError` with every mistake."""
    mistakes: list[Mistake] = []
    found = path or next((each for each in SEARCHED if each.exists()), None)
    given = read_conf_file(found, mistakes) if found else {}
    given.update(read_environment(environ))
    warnings: list[str] = []
    own = _under_own_names(given)
    hidden = frozenset(name for name, (text, _) in own.items() if is_reference(text))
    own = resolved_references(own, environ, mistakes)
    strict = own.get("strict_conf", ("", ""))[0].lower() in {"on", "true"}
    for name, (text, place) in given.items():
        problem = _oddity(name, text)
        if problem is None:
            continue
        if strict and "unknown" in problem:
            mistakes.append(Mistake(place, name, problem))
        else:
            warnings.append(f"{place}: {name}: {problem}")
    values = read_values(SETTINGS, own, mistakes, hidden=hidden)
    places = {name: place for name, (_, place) in own.items()}
    mistakes.extend(
        Mistake(each.place, each.name, UNUSABLE) if each.name in hidden else each
        for each in _contradictions(values, places)
    )
    if mistakes:
        raise SettingsError(mistakes)
    warnings += serving_warnings(values)
    if values["role"] == "data_plane" and own.get("admin_listen", ("off", ""))[0] not in ("", "off"):
        place = own["admin_listen"][1]
        warnings.append(
            f"{place}: admin_listen: has no effect: the Admin API of this node is that of its control plane"
        )
    name = "nginx_proxy_proxy_next_upstream"
    if name in own and name not in hidden:
        warnings += [f"{own[name][1]}: {name}: {warning}" for warning in next_warnings(own[name][0])]
    return NodeSettings(values, tuple(warnings), found, hidden)


def _under_own_names(given: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """What was given, each by the one name of its setting; of several of its names the last one counts."""
    found = {name: text for name, text in given.items() if name not in _BY_NAME}
    for setting in SETTINGS:
        for name in setting.given_by:
            if name in given:
                found[setting.name] = given[name]
    return found


def _oddity(name: str, text: str) -> str | None:
    setting = _BY_NAME.get(name)
    if setting is None:
        idle = idle_directive(name)
        if idle is not None:
            return f"has no effect: {idle}"
        return "unknown directive, not obeyed" if is_injected(name) else "unknown setting, ignored"
    # To turn off what a node does not do is no mistake: files written for Kong do so with listeners they leave out.
    is_idle = not setting.acted_on and not (name.endswith("_listen") and text == "off")
    return f"has no effect: {setting.doc}" if is_idle else None


def _contradictions(values: Mapping[str, Any], places: Mapping[str, str]) -> list[Mistake]:
    """What single values do not show: settings that need or forbid one another."""

    def mistake(name: str, problem: str) -> None:
        found.append(Mistake(places.get(name, "settings"), name, problem))

    found: list[Mistake] = []
    if values["database"] != "off":
        mistake("database", "must be off: a node keeps its configuration in memory")
    if values["role"] == "data_plane":
        for name in ("cluster_cert", "cluster_cert_key"):
            if not values[name]:
                mistake(name, "is required with role = data_plane")
    elif not any(values[name] for name in ("declarative_config", "declarative_config_string", "admin_listen")):
        mistake("declarative_config", "is required without a control plane, where admin_listen = off")
    if values["role"] != "data_plane" and values["cluster_dp_labels"]:
        mistake("cluster_dp_labels", "is only allowed with role = data_plane")
    unknown_vaults = sorted(set(values["vaults"] or ()) - {"bundled", "env", "off"})
    if unknown_vaults:
        mistake("vaults", f"unknown vault {', '.join(unknown_vaults)}; there is env")
    if values["cluster_use_proxy"] and not values["proxy_server"]:
        mistake("proxy_server", "is required with cluster_use_proxy = on")
    if values["proxy_server"]:
        try:
            read_proxy_server(values["proxy_server"])
        except ValueError as error:
            mistake("proxy_server", str(error))
    access, log_format = values["proxy_access_log"], values["nginx_http_log_format"]
    if access is not None and access.format not in (*BUILT_IN, log_format.name if log_format else None):
        mistake("proxy_access_log", f"there is no format '{access.format}': nginx_http_log_format defines one")
    for name, problem in (*serving_mistakes(values), *admin_mistakes(values)):
        mistake(name, problem)
    found.extend(_fallback_mistakes(values, places))
    found.extend(_label_mistakes(values["cluster_dp_labels"] or (), places.get("cluster_dp_labels", "settings")))
    return found


def _fallback_mistakes(values: Mapping[str, Any], places: Mapping[str, str]) -> list[Mistake]:
    problems: list[tuple[str, str]] = []
    for name in ("cluster_fallback_config_import", "cluster_fallback_config_export"):
        if values[name] and not values["cluster_fallback_config_storage"]:
            problems.append((name, "needs cluster_fallback_config_storage"))
        if values[name] and values["role"] != "data_plane":
            problems.append((name, "is only allowed with role = data_plane"))
    return [Mistake(places.get(name, "settings"), name, problem) for name, problem in problems]


def _label_mistakes(labels: tuple[str, ...], place: str) -> list[Mistake]:
    problems = [f"at most {LABELS_MAX} labels are allowed"] if len(labels) > LABELS_MAX else []
    for label in labels:
        key, colon, value = label.partition(":")
        if not colon or not _LABEL.fullmatch(key) or not _LABEL.fullmatch(value):
            problems.append(f"'{label}' is not a label of the form key:value (1 to 63 letters, digits, - _ . : each)")
        elif key.lower().startswith(_RESERVED_LABELS):
            problems.append(f"the key '{key}' starts with a reserved word ({', '.join(_RESERVED_LABELS)})")
    return [Mistake(place, "cluster_dp_labels", problem) for problem in problems]
