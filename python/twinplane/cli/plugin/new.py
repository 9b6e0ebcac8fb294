"""`twinplane plugin new`: a folder with a plugin that runs, is tested and can be installed as it is."""

from __future__ import annotations

import re
from pathlib import Path

from twinplane.cli.errors import StartError

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

_PYPROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "twinplane-plugin-{name}"
version = "0.1.0"
description = "A plugin of twinplane."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["twinplane"]

[project.entry-points."twinplane.plugins"]
{name} = "{module}:{title}"

[tool.setuptools]
py-modules = ["{module}"]
"""

_PLUGIN = '''"""The plugin `{name}`: say here what it is for."""

from __future__ import annotations

from typing import Annotated

from twinplane.pdk import Answer, Config, Context, Plugin, Request, Response


class {title}Config(Config):
    """The configuration of {name}."""

    header: Annotated[str, "Header that the upstream is told in."] = "X-{header}"
    blocked: Annotated[list[str] | None, "Clients that are refused, by address."] = None


class {title}(Plugin[{title}Config]):
    """Say here in one sentence what the plugin does."""

    name = "{name}"
    version = "0.1.0"
    priority = 900
    config_class = {title}Config

    def access(self, request: Request, ctx: Context, config: {title}Config) -> Answer | None:
        """Refuse clients that are blocked, tell the upstream of the others."""
        if request.client_ip in (config.blocked or ()):
            return ctx.exit(403, {{"message": "You shall not pass"}})
        request.headers[config.header] = request.client_ip
        return None

    def header_filter(self, response: Response, ctx: Context, config: {title}Config) -> None:
        """Mark the response."""
        response.headers["X-Plugin"] = self.name
'''

_TEST = '''"""{name} through a real gateway."""

from {module} import {title}
from twinplane.testing import gateway

ROUTES = [{{"paths": ["/"]}}]


def test_the_upstream_is_told_of_the_client() -> None:
    with gateway(ROUTES, plugins=[{title}]) as gw:
        answer = gw.get("/")
        assert answer.json()["headers"]["X-{header}"] == "127.0.0.1"
        assert answer.header("X-Plugin") == "{name}"


def test_a_blocked_client_is_refused() -> None:
    with gateway(ROUTES, plugins=[{title}], configs={{"{name}": {{"blocked": ["127.0.0.1"]}}}}) as gw:
        assert gw.get("/").status == 403
        assert not gw.upstream.arrivals
'''

_README = """# {name}

A plugin of twinplane, written in Python.

    twinplane plugin test          # its tests, through a real gateway
    twinplane plugin run           # serve it on http://127.0.0.1:8000 and follow edits
    pip install .                  # on each node and each control plane, then: plugins = bundled,{name}

Configured like any other plugin:

```yaml
plugins:
  - name: {name}
    config:
      header: X-{header}
```
"""


def run(name: str, directory: Path | None) -> int:
    """Make the folder. Raises StartError."""
    if not _NAME.fullmatch(name):
        raise StartError(f"'{name}' is no name of a plugin: lower-case words joined by hyphens")
    folder = directory or Path(name)
    if folder.exists() and any(folder.iterdir()):
        raise StartError(f"{folder} is there and not empty")
    words = {
        "name": name,
        "module": name.replace("-", "_"),
        "title": "".join(word.capitalize() for word in name.split("-")),
        "header": "-".join(word.capitalize() for word in name.split("-")),
    }
    texts = {
        "pyproject.toml": _PYPROJECT,
        f"{words['module']}.py": _PLUGIN,
        f"tests/test_{words['module']}.py": _TEST,
        "README.md": _README,
    }
    try:
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text.format(**words), encoding="utf-8")
    except OSError as error:
        raise StartError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error
    print(f"made {folder}; next: cd {folder} && twinplane plugin run")
    return 0
