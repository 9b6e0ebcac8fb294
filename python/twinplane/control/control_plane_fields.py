"""Rules on what a control plane may be called, labelled and set to. Pure; every violation at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from twinplane.control.errors import InvalidParameter, InvalidParameters

CLUSTER_TYPES = (
    "CLUSTER_TYPE_CONTROL_PLANE",
    "CLUSTER_TYPE_K8S_INGRESS_CONTROLLER",
    "CLUSTER_TYPE_CONTROL_PLANE_GROUP",
    "CLUSTER_TYPE_SERVERLESS",
    "CLUSTER_TYPE_KAFKA_NATIVE_EVENT_PROXY",
    "CLUSTER_TYPE_SERVERLESS_V1",
)
AUTH_TYPES = ("pinned_client_certs", "pki_client_certs")
ROUTER_FLAVORS = ("traditional_compatible", "traditional", "expressions")
LABELS_MAX = 50
PROXY_URLS_MAX = 5

# Compared as they are: `KONGCTL-…` is a label that clients write.
RESERVED_LABEL_PREFIXES = ("kong", "konnect", "insomnia", "mesh", "kic", "kuma", "_")

_LABEL = re.compile(r"[a-z0-9A-Z]([a-z0-9A-Z\-._]*[a-z0-9A-Z])?")
_LABEL_LENGTH_MAX = 63
_CHANGEABLE = ("name", "description", "labels", "auth_type", "proxy_urls", "router_flavor")
_CREATABLE = (*_CHANGEABLE, "cluster_type", "cloud_gateway")

Violations = list[InvalidParameter]


def check_creation(fields: Mapping[str, object]) -> dict[str, Any]:
    """The given fields of a new control plane, checked. Raises InvalidParameters."""
    wrong = _unknown(fields, _CREATABLE)
    if fields.get("name") is None:
        wrong.append(InvalidParameter("name", "required", "is a required field"))
    return _checked({name: fields[name] for name in _CREATABLE if fields.get(name) is not None}, wrong)


def check_change(fields: Mapping[str, object]) -> dict[str, Any]:
    """The given fields of a change, checked. A label of None is one to remove. Raises InvalidParameters."""
    wrong = _unknown(fields, _CHANGEABLE)
    given = {name: value for name, value in fields.items() if name in _CHANGEABLE}
    if given.get("labels", given) is None:
        given["labels"] = {}
    for name in ("name", "description", "auth_type", "proxy_urls", "router_flavor"):
        if name in given and given[name] is None:
            wrong.append(InvalidParameter(name, "type", "must not be null"))
            del given[name]
    return _checked(given, wrong, labels_may_go=True)


def _unknown(fields: Mapping[str, object], known: tuple[str, ...]) -> Violations:
    return [
        InvalidParameter(name, "unknown_property", "is not a known property") for name in fields if name not in known
    ]


def _checked(fields: Mapping[str, object], wrong: Violations, *, labels_may_go: bool = False) -> dict[str, Any]:
    for name, check in _CHECKS.items():
        if name in fields:
            wrong += check(name, fields[name])
    if "labels" in fields:
        wrong += _label_violations(fields["labels"], may_go=labels_may_go)
    if wrong:
        raise InvalidParameters(wrong)
    return dict(fields)


def _text(length_min: int, length_max: int) -> Callable[[str, object], Violations]:
    def check(name: str, value: object) -> Violations:
        if not isinstance(value, str):
            return [InvalidParameter(name, "is_string", "must be a string")]
        if len(value) < length_min:
            reason = f"must have at least {length_min} characters"
            return [InvalidParameter(name, "min_length", reason, extra={"minimum": length_min})]
        if len(value) > length_max:
            reason = f"must not have more than {length_max} characters"
            return [InvalidParameter(name, "max_length", reason, extra={"maximum": length_max})]
        return []

    return check


def _choice(choices: tuple[str, ...]) -> Callable[[str, object], Violations]:
    def check(name: str, value: object) -> Violations:
        if value in choices:
            return []
        reason = f"must be one of {', '.join(choices)}"
        return [InvalidParameter(name, "enum", reason, extra={"choices": list(choices)})]

    return check


def _boolean(name: str, value: object) -> Violations:
    return [] if isinstance(value, bool) else [InvalidParameter(name, "is_boolean", "must be a boolean")]


def _proxy_urls(name: str, value: object) -> Violations:
    if not isinstance(value, list | tuple):
        return [InvalidParameter(name, "is_array", "must be an array")]
    if len(value) > PROXY_URLS_MAX:
        reason = f"must not have more than {PROXY_URLS_MAX} items"
        return [InvalidParameter(name, "max_items", reason, extra={"maximum": PROXY_URLS_MAX})]
    wrong: Violations = []
    for position, url in enumerate(value):
        at = f"{name}.{position}"
        if not isinstance(url, Mapping):
            wrong.append(InvalidParameter(at, "is_object", "must be an object"))
            continue
        wrong += [
            InvalidParameter(f"{at}.{field}", "required", "is a required field")
            for field in ("host", "port", "protocol")
            if field not in url
        ]
        wrong += [
            InvalidParameter(f"{at}.{field}", "unknown_property", "is not a known property")
            for field in url
            if field not in ("host", "port", "protocol")
        ]
        if "host" in url:
            wrong += _text(1, 120)(f"{at}.host", url["host"])
        if "protocol" in url:
            wrong += _text(1, 32)(f"{at}.protocol", url["protocol"])
        if "port" in url:
            wrong += _port(f"{at}.port", url["port"])
    return wrong


def _port(name: str, value: object) -> Violations:
    if not isinstance(value, int) or isinstance(value, bool):
        return [InvalidParameter(name, "is_integer", "must be an integer")]
    if value < 1:
        return [InvalidParameter(name, "min", "must be at least 1", extra={"minimum": 1})]
    if value > 65535:
        return [InvalidParameter(name, "max", "must be at most 65535", extra={"maximum": 65535})]
    return []


def _label_violations(value: object, *, may_go: bool) -> Violations:
    if not isinstance(value, Mapping):
        return [InvalidParameter("labels", "is_object", "must be an object")]
    if len(value) > LABELS_MAX:
        reason = f"must not have more than {LABELS_MAX} items"
        return [InvalidParameter("labels", "max_items", reason, extra={"maximum": LABELS_MAX})]
    wrong: Violations = []
    for key, text in value.items():
        at = f"labels.{key}"
        if not _is_label(key):
            wrong.append(InvalidParameter(at, "is_label", "is not a valid label key"))
        elif key.startswith(RESERVED_LABEL_PREFIXES):
            reason = f"must not start with one of {', '.join(RESERVED_LABEL_PREFIXES)}"
            wrong.append(InvalidParameter(at, "is_label", reason))
        if not (_is_label(text) or (may_go and text is None)):
            wrong.append(InvalidParameter(at, "is_label", "is not a valid label value"))
    return wrong


def _is_label(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LABEL_LENGTH_MAX and _LABEL.fullmatch(value) is not None


_CHECKS: dict[str, Callable[[str, object], Violations]] = {
    "name": _text(2, 256),
    "description": _text(0, 2048),
    "cluster_type": _choice(CLUSTER_TYPES),
    "auth_type": _choice(AUTH_TYPES),
    "router_flavor": _choice(ROUTER_FLAVORS),
    "cloud_gateway": _boolean,
    "proxy_urls": _proxy_urls,
}
