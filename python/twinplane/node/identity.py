"""Who a node is: its id, and the keys that what it keeps on disk may be sealed with."""

from __future__ import annotations

import contextlib
import logging
import uuid
from pathlib import Path

from twinplane.node.authority import write_whole
from twinplane.node.errors import NodeStartError
from twinplane.node.renewal import read_pem
from twinplane.node.seal import Keyring, read_keyring
from twinplane.settings import NodeSettings

log = logging.getLogger("node")


def node_keyring(settings: NodeSettings) -> Keyring | None:
    """The keys that what is on disk may be sealed with; None for a node without a certificate."""
    if not settings["cluster_cert_key"]:
        return None
    try:
        return read_keyring(
            [read_pem(each) for each in (settings["cluster_cert_key"], *(settings["cache_encryption_old_keys"] or ()))]
        )
    except OSError as error:
        raise NodeStartError(f"{error.filename}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NodeStartError(f"cluster_cert_key, cache_encryption_old_keys: cannot be used: {error}") from error


def node_id(settings: NodeSettings, prefix: Path) -> str:
    """The identity of the node: given, or made once and kept in the prefix."""
    if settings["node_id"]:
        return str(settings["node_id"])
    path = prefix / "kong.id"
    with contextlib.suppress(OSError, ValueError):
        return str(uuid.UUID(path.read_text().strip()))
    made = str(uuid.uuid4())
    try:
        write_whole(path, made.encode(), 0o644)
    except OSError as error:
        log.warning("node_id_not_kept detail=%s", error)
    return made
