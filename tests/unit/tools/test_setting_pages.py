"""Each setting of a node is written about, once, in words that say something."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from tools.generate import setting_pages

from twinplane.settings import NODE, Setting
from twinplane.settings.directives import IDLE_DIRECTIVES
from twinplane.settings.kong import IN_KONG

PAGES = setting_pages.files()


def test_each_setting_has_one_section_at_its_place() -> None:
    headings = Counter(
        (path.removeprefix("docs/reference/"), name)
        for path, text in PAGES.items()
        for name in re.findall(r"^## (\w+)$", text, re.MULTILINE)
    )
    assert set(headings.values()) == {1}
    assert {f"{path}#{name}" for path, name in headings} == {setting_pages.place(setting) for setting in NODE}


@pytest.mark.parametrize("setting", NODE, ids=[setting.name for setting in NODE])
def test_what_is_said_of_a_setting_says_something(setting: Setting) -> None:
    assert len(setting.doc.split()) >= 3
    assert setting.doc.rstrip("`)").endswith((".", "md")), setting.doc
    assert setting.kind.name


def test_what_is_told_of_kong_is_about_settings_that_there_are() -> None:
    assert set(IN_KONG) <= {setting.name for setting in NODE}


def test_directives_that_change_nothing_are_listed_with_those_that_count() -> None:
    page = PAGES["docs/reference/settings/requests-and-connections.md"]
    assert all(f"| `{name}` |" in page for name in IDLE_DIRECTIVES)
    assert "`KONG_NGINX_HTTP_CLIENT_MAX_BODY_SIZE`" in page
    assert "`nginx_proxy_client_max_body_size`" in page
