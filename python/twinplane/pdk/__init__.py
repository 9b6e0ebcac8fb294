"""The plugin development kit: what a plugin in Python is written with. Reads no request and no setting by itself."""

from twinplane.pdk.answer import Answer
from twinplane.pdk.cache import Cache
from twinplane.pdk.plugin import PHASES, Config, Outcome, Plugin
from twinplane.pdk.views import BodyTooLarge, Chunk, Consumer, Context, Request, Response, Route, Service, Visit

__all__ = [
    "PHASES",
    "Answer",
    "BodyTooLarge",
    "Cache",
    "Chunk",
    "Config",
    "Consumer",
    "Context",
    "Outcome",
    "Plugin",
    "Request",
    "Response",
    "Route",
    "Service",
    "Visit",
]
