"""A Kong installation as it lies on this machine: its version, and a process of it in a prefix of its own."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_VERSION_SECONDS = 30
_STOP_SECONDS = 30


class Unusable(Exception):
    """What was given is no Kong that can be paired with."""


@dataclass(frozen=True)
class Kong:
    """An installation."""

    program: Path
    version: str

    @property
    def is_enterprise(self) -> bool:
        """Whether its version has four numbers."""
        return self.version.count(".") == 3

    @contextlib.contextmanager
    def running(self, prefix: Path, settings: Mapping[str, object]) -> Iterator[Path]:
        """Kong in the foreground with these settings, until the block ends. Gives the file of its output."""
        prefix.mkdir(parents=True)
        conf = prefix.with_suffix(".conf")
        conf.write_text("".join(f"{name} = {value}\n" for name, value in {**settings, "prefix": prefix}.items()))
        conf.chmod(0o600)
        output = prefix.with_suffix(".log")
        with output.open("wb") as log:
            process = subprocess.Popen(
                [str(self.program), "start", "-c", str(conf)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**_environ(), "KONG_NGINX_DAEMON": "off"},
            )
            try:
                yield output
            finally:
                process.terminate()
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def migrate(self, directory: Path, settings: Mapping[str, object]) -> None:
        """Make the tables of a control plane. Raises Unusable where the database cannot be used."""
        conf = directory / "migrations.conf"
        conf.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        conf.chmod(0o600)
        done = subprocess.run(
            [str(self.program), "migrations", "bootstrap", "-c", str(conf)],
            capture_output=True,
            env=_environ(),
            check=False,
        )
        if done.returncode != 0:
            raise Unusable(f"the database cannot be used: {done.stderr.decode(errors='replace').strip()[-300:]}")


def find(path: Path) -> Kong:
    """The installation at a path: the program itself, or a folder that holds it. Raises Unusable."""
    candidates = [path, path / "kong", path / "bin" / "kong", path / "usr" / "local" / "bin" / "kong"]
    program = next((each for each in candidates if each.is_file() and os.access(each, os.X_OK)), None)
    if program is None:
        raise Unusable(f"{path}: no program called kong is there, nor in its bin folder")
    try:
        done = subprocess.run(
            [str(program), "version"], capture_output=True, env=_environ(), timeout=_VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unusable(f"{program}: cannot be run: {error}") from error
    found = re.search(r"\b(\d+(?:\.\d+){2,3})\b", done.stdout.decode(errors="replace"))
    if done.returncode != 0 or found is None:
        raise Unusable(f"{program}: does not say its version")
    if not found[1].startswith("3."):
        raise Unusable(f"{program}: is version {found[1]}; version 3 is what can be paired with")
    return Kong(program.absolute(), found[1])


def _environ() -> dict[str, str]:
    # Settings of a Kong that runs here otherwise are none of ours.
    return {name: value for name, value in os.environ.items() if not name.startswith(("KONG_", "TWINPLANE_"))}
