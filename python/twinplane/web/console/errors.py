"""What keeps a page from being shown, in words for the person before it."""

from __future__ import annotations

from dataclasses import dataclass

from twinplane.api.core.workers import WorkersBusy
from twinplane.control.analytics import EventStoreFailed, QueryTooLong
from twinplane.control.errors import ControlError, NotFound, StoreBusy, StoreError


@dataclass
class PageError(Exception):
    """A page that cannot be shown: what happened, and how to go on. `back` is a path and its name."""

    status: int
    title: str
    text: str
    back: tuple[str, str] = ("/", "Control planes")


def worded(error: Exception) -> PageError:
    """What a person is told of a failure. What is unknown is a fault of ours: nothing of it is shown."""
    if isinstance(error, PageError):
        return error
    if isinstance(error, NotFound):
        return PageError(404, "Not found", "It does not exist, or it was deleted in the meantime.")
    if isinstance(error, WorkersBusy | StoreBusy):
        return PageError(503, "Too busy", "More is being asked of this server than it can do. Try again in a moment.")
    if isinstance(error, EventStoreFailed):
        text = "The store of telemetry cannot be read now. Configuration and nodes are not touched by that; what nodes "
        text += "measure is kept with them until it can be stored again."
        return PageError(503, "Telemetry is away", text)
    if isinstance(error, QueryTooLong):
        text = "There is too much telemetry to be read in time. Ask for a shorter time, or for one service or route."
        return PageError(503, "That takes too long", text)
    if isinstance(error, StoreError):
        text = "The configuration store cannot be read or written now. Nodes go on serving what they have."
        return PageError(503, "The store is away", text)
    if isinstance(error, ControlError):
        return PageError(400, "That is not possible", str(error) or "The request was refused.")
    return PageError(500, "Something went wrong", "The failure is in the log of the control plane.")
