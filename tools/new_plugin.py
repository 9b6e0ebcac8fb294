"""`python -m tools.new_plugin NAME`: a plugin folder with its six files, ready to be filled in.

What it writes passes the house rules and does nothing yet: a filter of the access phase that lets every request go on.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = ROOT / "python" / "twinplane" / "plugins"

SCHEMA = '''"""The configuration of `{name}`."""

from typing import Annotated

from twinplane.schema import Plugin, Record
from twinplane.schema.shared import HttpProtocols


class Config(Record):
    """The configuration."""

    enabled_for: Annotated[list[str] | None, "Say here what this field is for."] = None


class {title}(Plugin, name="{name}", version="0.1.0", priority=500, phases=("access",)):
    """Say here in one sentence what the plugin does."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = {title}
'''
FILTER = """//! `{name}`: say here what it does to a request.
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{{Filter, Flow, Phases}};

use super::config::Config;

/// One configured instance.
pub(crate) struct {title} {{
    config: Config,
}}

impl Filter for {title} {{
    fn phases(&self) -> Phases {{
        Phases::ACCESS
    }}

    fn access(&self, _x: &mut Exchange) -> Flow {{
        Flow::Continue
    }}
}}
"""
README = """# {name}

Why and when to use it, in a few sentences.

```yaml
_format_version: "3.0"
services:
  - name: example
    url: http://127.0.0.1:9100
    routes:
      - name: example
        paths: [/example]
    plugins:
      - name: {name}
```

## Parity
- [ ] each field of the configuration, with what it does
"""
TEST = '''"""`{name}` through a real gateway: one test for each promise of the README."""
'''
VECTORS = """# Requests, configurations and outcomes of `{name}`, in a form that can be replayed against a real node.
"""


def main() -> int:
    """Write the folder, or say why not."""
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        print("usage: make new-plugin NAME=my-plugin (lower case, words joined by -)", file=sys.stderr)
        return 2
    module = name.replace("-", "_")
    folder = PLUGINS / module
    if folder.exists():
        print(f"{folder.relative_to(ROOT)} is there already", file=sys.stderr)
        return 1
    folder.mkdir()
    title = "".join(word.capitalize() for word in name.split("-"))
    files = {
        "schema.py": SCHEMA,
        "filter.rs": FILTER,
        "README.md": README,
        f"test_{module}.py": TEST,
        "vectors.toml": VECTORS,
    }
    for file, text in files.items():
        (folder / file).write_text(text.format(name=name, title=title), encoding="utf-8")
    print(f"{folder.relative_to(ROOT)}: fill it in, then make generate and make check")
    return 0


raise SystemExit(main())
