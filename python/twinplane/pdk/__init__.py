"""The plugin development kit: what a plugin in Python is written with. Reads no request and no setting by itself."""

from twinplane.pdk.answer import Answer
from twinplane.pdk.cache import Cache
from twinplane.pdk.config import Config
from twinplane.pdk.context import Consumers, Context
from twinplane.pdk.entities import Consumer, Credential, Route, Service
from twinplane.pdk.http import Http, HttpFailed, HttpResponse, HttpResponseTooLarge
from twinplane.pdk.meter import Meter
from twinplane.pdk.plugin import PHASES, Outcome, Plugin
from twinplane.pdk.request import BodyTooLarge, Request
from twinplane.pdk.response import Chunk, Response, WholeResponse
from twinplane.pdk.surroundings import Surroundings
from twinplane.pdk.tasks import every
from twinplane.pdk.visit import Visit

__all__ = [
    "PHASES",
    "Answer",
    "BodyTooLarge",
    "Cache",
    "Chunk",
    "Config",
    "Consumer",
    "Consumers",
    "Context",
    "Credential",
    "Http",
    "HttpFailed",
    "HttpResponse",
    "HttpResponseTooLarge",
    "Meter",
    "Outcome",
    "Plugin",
    "Request",
    "Response",
    "Route",
    "Service",
    "Surroundings",
    "Visit",
    "WholeResponse",
    "every",
]
