"""Which regions an installation has, which of them this process serves, and where the data of each lies. Pure.

A region's data lies in a store of its own, unless the installation has one region only; organizations, users and tokens
are global: in the store of `global`, or behind the address of a process that serves it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twinplane.settings.network import GLOBAL
from twinplane.settings.setting import PATH, TEXT, Kind, Mistake, Setting, SettingsError

REGIONS_MAX = 32


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything lies. `regions` are all of the installation's, `stores` those that are served here.

    `global_store` is None where global data is asked for at `global_url`.
    """

    regions: tuple[str, ...]
    stores: Mapping[str, Path]
    serves_global: bool
    global_store: Path | None
    global_url: str | None = None

    @property
    def served(self) -> tuple[str, ...]:
        """The regions that this process serves."""
        return tuple(self.stores)

    @property
    def is_single(self) -> bool:
        """Whether one region and everything global lie in one store and are served from it."""
        return len(self.regions) == 1 and self.serves_global and [*self.stores.values()] == [self.global_store]

    @property
    def directories(self) -> tuple[Path, ...]:
        """Every directory that belongs to this process alone."""
        mine = [self.global_store] if self.serves_global and self.global_store is not None else []
        return tuple(dict.fromkeys([*mine, *self.stores.values()]))

    def regions_at(self, directory: Path | None) -> tuple[str, ...]:
        """The regions whose data lies in one directory."""
        return tuple(region for region, store in self.stores.items() if store == directory)


def _read_regions(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    wrong = [name for name in names if not re.fullmatch("[a-z]{2,6}", name)]
    if wrong or not names or len(names) > REGIONS_MAX:
        raise ValueError(f"expected at most {REGIONS_MAX} regions of 2 to 6 lower-case letters, got '{text}'")
    return names


def _read_stores(text: str) -> Mapping[str, Path]:
    stores: dict[str, Path] = {}
    for part in (part.strip() for part in text.split(",") if part.strip()):
        region, equals, path = part.partition("=")
        if not equals or not path or not re.fullmatch("[a-z]{2,6}", region) or region in stores:
            raise ValueError(f"expected region=directory, each region once, got '{part}'")
        stores[region] = Path(path)
    return stores


_REGIONS: Kind[tuple[str, ...]] = Kind("list of regions", _read_regions)
_STORES: Kind[Mapping[str, Path]] = Kind("list of region=directory", _read_stores)

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "regions", _REGIONS, "us", "All regions of the installation, such as `au,eu,in,me,us`. `global` always is."
    ),
    Setting(
        "serve",
        _REGIONS,
        "",
        "Regions that this process serves, `global` among them or not. Empty: all of `regions`, and `global`.",
    ),
    Setting(
        "region-data",
        _STORES,
        "",
        "Store of each region, as `eu=/srv/eu,us=/srv/us`. Otherwise `regions/{region}` in `data`, or `data` itself"
        " where the installation has one region.",
    ),
    Setting(
        "global-data",
        TEXT,
        "",
        "Where organizations, users and tokens lie: a directory, or the https address of a process that serves"
        " `global`. Empty: `data`.",
    ),
    Setting("global-ca", PATH, "", "Authority (PEM) of the certificate at the address in `global-data`."),
)


def read_layout(values: Mapping[str, Any]) -> Layout:
    """The layout that settings describe. Raises SettingsError with every mistake."""
    mistakes = list(layout_mistakes(values, {}))
    if mistakes:
        raise SettingsError(mistakes)
    data: Path = values["data"].absolute()
    regions = tuple(region for region in values["regions"] if region != GLOBAL)
    wanted = values["serve"] or (*regions, GLOBAL)
    named: Mapping[str, Path] = values["region-data"] or {}
    usual = {region: data if len(regions) == 1 else data / "regions" / region for region in regions}
    stores = {
        region: (named[region].absolute() if region in named else usual[region])
        for region in regions
        if region in wanted
    }
    place = values["global-data"] or ""
    url = place.rstrip("/") if "://" in place else None
    store = None if url else Path(place).absolute() if place else data
    return Layout(regions, stores, GLOBAL in wanted, store, url)


def layout_mistakes(values: Mapping[str, Any], places: Mapping[str, str]) -> Iterable[Mistake]:
    """Everything that does not fit together."""

    def mistake(name: str, problem: str) -> Mistake:
        return Mistake(places.get(name, "settings"), name, problem)

    regions = [region for region in values["regions"] if region != GLOBAL]
    wanted = values["serve"] or (*regions, GLOBAL)
    named: Mapping[str, Path] = values["region-data"] or {}
    place: str = values["global-data"] or ""
    if not regions:
        yield mistake("regions", "must name at least one region beside global")
    for region in wanted:
        if region not in regions and region != GLOBAL:
            yield mistake("serve", f"{region} is not one of regions")
    for region in named:
        if region not in regions:
            yield mistake("region-data", f"{region} is not one of regions")
    stores = [path.absolute() for path in named.values()]
    if len(set(stores)) != len(stores):
        yield mistake("region-data", "each region must have a directory of its own")
    if "://" in place:
        yield from (mistake("global-data", problem) for problem in _address_problems(place, wanted))
    if values.get("admin-port") is not None and not set(wanted) - {GLOBAL}:
        yield mistake("admin-port", "is of a control plane, and this process serves no region")
    if values.get("admin-port") is not None and "://" in place:
        yield mistake("admin-port", "cannot be served where organizations are asked for at another address")


def _address_problems(place: str, wanted: Iterable[str]) -> Iterable[str]:
    parts = urlsplit(place)
    if parts.scheme != "https" or not parts.hostname or parts.path.strip("/") or parts.query:
        yield f"expected a directory or https://host[:port], got '{place}'"
    if GLOBAL in wanted:
        yield "must be a directory where this process serves global itself"
