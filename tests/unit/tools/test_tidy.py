"""House rules catch what they are for, and let the tree as it stands pass."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.tidy import cargo, lines, links, network_page, tree


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of its own that the rules look at."""
    for rule in (tree, cargo, lines, links):
        monkeypatch.setattr(rule, "ROOT", tmp_path)

    def tracked(*suffixes: str) -> tuple[Path, ...]:
        found = (path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
        return tuple(path for path in found if path.suffix in suffixes)

    for rule in (tree, cargo, lines, links):
        monkeypatch.setattr(rule, "tracked", tracked)
    return tmp_path


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("name", "text", "breach"),
    [
        ("python/twinplane/utils.py", '"""Doc."""\n', "name of its concept"),
        ("python/twinplane/a.py", "x = 1\n", "without a docstring"),
        ("python/twinplane/a.py", '"""Doc."""\nimport os\nos.environ["X"]\n', "reads the environment"),
        ("python/twinplane/a.py", '"""Doc."""\n' + "x = 1\n" * 901, "more than 900 lines"),
        ("crates/engine/src/a.rs", "fn a() {}\n", "without a line that says"),
    ],
)
def test_files_that_break_a_rule_are_named(root: Path, name: str, text: str, breach: str) -> None:
    put(root, name, text)
    found = list(tree.breaches())
    assert len(found) == 1
    assert found[0].startswith(name)
    assert breach in found[0]


@pytest.mark.parametrize(
    ("line", "breach"),
    [
        ('const A: &str = "/v2/control-planes";', "an API path"),
        ('const A: &str = "proxy_listen";', "a key of kong.conf"),
        ('const A: &str = "SELECT id FROM t";', "SQL"),
        ('const A: &str = "reconfigure";', "a link frame"),
        ("let now = Instant::now();", "reads a clock"),
    ],
)
def test_crates_hold_nothing_that_is_pythons(root: Path, line: str, breach: str) -> None:
    put(root, "crates/engine/src/a.rs", f"//! Doc.\n{line}\n")
    found = list(cargo.rust_breaches())
    assert len(found) == 1
    assert breach in found[0]


def test_tests_in_crates_may_say_anything(root: Path) -> None:
    put(root, "crates/engine/src/a.rs", '//! Doc.\n#[cfg(test)]\nmod tests { const A: &str = "basic_info"; }\n')
    assert list(cargo.rust_breaches()) == []


def test_a_crate_that_knows_too_much_is_named() -> None:
    package = {
        "name": "twinplane-engine",
        "dependencies": [{"name": name, "kind": None} for name in ("tokio", "twinplane-proxy", "bytes")],
    }
    found = list(cargo.package_breaches(package))
    assert found == [
        "twinplane-engine: must not know twinplane-proxy",
        "twinplane-engine: only twinplane-proxy may name tokio",
    ]


def test_lines_are_counted_by_language_without_tests(root: Path) -> None:
    put(root, "python/twinplane/control/a.py", '"""Doc."""\n\nx = 1\n')
    put(root, "python/twinplane/control/test_a.py", "x = 1\n")
    put(root, "crates/engine/src/a.rs", "//! Doc.\n#[cfg(test)]\nmod tests {\n}\n")
    assert lines.counts() == {"Python": {"control": 2}, "Rust": {"engine": 1}}
    assert lines.share() == pytest.approx(2 / 3)


def test_the_network_page_says_what_the_constants_say() -> None:
    assert list(network_page.breaches()) == []


def test_pointers_that_lead_nowhere_are_named(root: Path) -> None:
    links._targets.cache_clear()
    put(root, "Makefile", "up: core\n\techo\n")
    put(root, "docs/other.md", '# Two words\n\n## `cache`: why?\n\n<a id="by-hand"></a>\n')
    fine = (
        "[a](docs/other.md#two-words) [b](docs/other.md#cache-why) [c](docs/other.md#by-hand) [d](#here) [e](https://x)"
    )
    put(root, "README.md", f"# Here\n{fine}\n`docs/other.md`, `make up`, `[no](link)`\n```\nmake up\n[no](link)\n```\n")
    put(root, "python/a.py", 'PAGE = "docs/other.md#by-hand"\n')
    assert list(links.breaches()) == []
    put(root, "README.md", "[a](docs/none.md) [b](docs/other.md#three) [c](#gone) `docs/none.md` `make down`\n")
    put(root, "python/a.py", 'PAGE = "docs/other.md#none"\n')
    found = list(links.breaches())
    assert len(found) == 6, found
    links._targets.cache_clear()
