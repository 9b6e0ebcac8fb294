"""What a twinplane node is sent next follows from what it said, and is never older than what it has."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from twinplane.hybrid.progress import Ahead, Change, Nothing, TwinProgress, Wait, Whole
from twinplane.hybrid.wire import Applied, Fault

OLD, NEW = "1764000000000-aabbccdd", "1764000000001-aabbccdd"


@dataclass(frozen=True)
class Published:
    """A publication, as far as it matters."""

    revision: int
    epoch: str = OLD
    text: str = ""

    @property
    def key(self) -> tuple[str, int]:
        return self.epoch, self.revision

    @property
    def config_hash(self) -> str:
        return f"h{self.text or self.revision}"

    @property
    def digest(self) -> str:
        return f"d{self.text or self.revision}"


def has(publication: Published, *, rows: bool = True) -> Applied:
    """What a node says that serves it."""
    digest = publication.digest if rows else None
    return Applied(publication.config_hash, publication.revision, publication.epoch, digest=digest)


@pytest.mark.parametrize(
    ("applied", "published", "expected"),
    [
        (None, Published(5), Whole()),
        (Applied("0" * 32, None, None), Published(5), Whole()),
        (has(Published(3)), Published(5), Change(3)),
        (has(Published(3), rows=False), Published(5), Whole()),
        (has(Published(5)), Published(5), Nothing()),
        (has(Published(5), rows=False), Published(5), Nothing()),
        (has(Published(5, text="other")), Published(5), Whole()),
        (has(Published(6)), Published(5), Ahead(OLD, 6)),
        (has(Published(6)), Published(5, NEW), Whole()),
        (has(Published(1, NEW)), Published(5, OLD), Ahead(NEW, 1)),
        (has(Published(5, "of another form")), Published(5), Whole()),
    ],
)
def test_what_comes_next(applied: Applied | None, published: Published, expected: object) -> None:
    progress = TwinProgress()
    if applied is not None:
        progress.note_applied(applied)
    assert progress.next(published) == expected


def test_one_frame_is_under_way_until_it_is_answered() -> None:
    progress = TwinProgress()
    progress.note_applied(has(Published(1)))
    progress.note_sent(Published(2))
    assert progress.next(Published(3)) == Wait()
    progress.note_applied(has(Published(1)))
    assert progress.next(Published(3)) == Wait()
    progress.note_refused(Fault("n", "s", "another", "m"))
    assert progress.next(Published(3)) == Wait()
    progress.note_applied(has(Published(2)))
    assert progress.next(Published(3)) == Change(2)


def test_after_a_refusal_the_next_change_leads_on_from_what_is_served() -> None:
    progress = TwinProgress()
    progress.note_applied(has(Published(1)))
    progress.note_sent(Published(2))
    progress.note_refused(Fault("n", "s", Published(2).config_hash, "m"))
    assert progress.next(Published(3)) == Change(1)


def test_a_node_that_wants_the_whole_gets_nothing_else_until_it_has_rows_again() -> None:
    progress = TwinProgress()
    progress.note_applied(has(Published(1)))
    progress.note_sent(Published(2))
    progress.note_resync()
    progress.note_applied(has(Published(1), rows=False))
    assert progress.next(Published(3)) == Whole()
    progress.note_sent(Published(3))
    progress.note_applied(has(Published(3)))
    assert progress.next(Published(4)) == Change(3)


@pytest.mark.parametrize("seed", range(20))
def test_a_node_is_never_taken_back_and_always_arrives(seed: int) -> None:
    """A model of both ends: frames are lost, refused, late; publications come as they like."""
    chooser = random.Random(seed)
    progress, newest, served = TwinProgress(), Published(1), Published(0, "0000000000001-aabbccdd")
    progress.note_applied(has(served))
    for step in range(400):
        is_calm = step > 380
        if not is_calm and chooser.random() < 0.4:
            later = chooser.random() < 0.05
            epoch = f"{1764000000000 + step:013d}-aabbccdd" if later else newest.epoch
            newest = Published(newest.revision + 1 if not later else 1, epoch)
        following = progress.next(newest)
        if isinstance(following, Change):
            assert (served.epoch, served.revision) == (newest.epoch, following.base)
        if isinstance(following, Change | Whole):
            assert served.key != newest.key
            progress.note_sent(newest)
            fate = "taken" if is_calm else chooser.choice(["taken", "taken", "refused", "resync", "lost"])
            if fate == "taken":
                assert newest.key > served.key
                served = newest
                progress.note_applied(has(served))
            elif fate == "refused":
                progress.note_refused(Fault("n", "s", newest.config_hash, "m"))
                newest = Published(newest.revision + 1, newest.epoch)
            elif fate == "resync":
                progress.note_resync()
                progress.note_applied(has(served, rows=False))
            else:
                assert progress.next(newest) == Wait()
                progress.give_up()
    assert served == newest
