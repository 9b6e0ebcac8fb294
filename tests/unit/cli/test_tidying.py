"""What has expired is forgotten once a minute, but not on the word of a clock that has just jumped."""

from __future__ import annotations

import pytest

from twinplane.cli.tidying import Tidying

YEAR_2038 = 2**31 + 86_400.0


class Store:
    """Counts how often it was tidied."""

    def __init__(self) -> None:
        self.tidied = self.forgotten = 0

    def tidy_up(self) -> None:
        self.tidied += 1

    def forget_old(self) -> int:
        self.forgotten += 1
        return 0


class World:
    """A store, its tidying, and two clocks."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_767_225_600.0, 10.0
        self.store = Store()
        self.tidying = Tidying([self.store], [self.store], wall=lambda: self.wall, monotonic=lambda: self.monotonic)

    async def pass_minutes(self, count: int) -> None:
        for _ in range(count):
            self.wall += 60
            self.monotonic += 60
            await self.tidying.tidy()


async def test_a_minute_and_an_hour() -> None:
    world = World()
    await world.pass_minutes(120)
    assert (world.store.tidied, world.store.forgotten) == (120, 2)


@pytest.mark.parametrize("target", [3600.0, 86_400.0, YEAR_2038 - 1_767_225_600])
async def test_a_jump_forward_and_back_forgets_nothing(target: float) -> None:
    world = World()
    await world.pass_minutes(5)
    world.wall += target
    await world.pass_minutes(55)
    assert world.store.tidied == 5
    world.wall -= target
    await world.pass_minutes(5)
    assert world.store.tidied == 10


async def test_a_jump_that_stays_is_believed_after_an_hour() -> None:
    world = World()
    world.wall += 86_400
    await world.pass_minutes(59)
    assert world.store.tidied == 0
    await world.pass_minutes(10)
    assert world.store.tidied > 0


@pytest.mark.parametrize("target", [-3600.0, -86_400.0])
async def test_a_jump_back_hinders_nothing(target: float) -> None:
    world = World()
    world.wall += target
    await world.pass_minutes(5)
    assert world.store.tidied == 5
