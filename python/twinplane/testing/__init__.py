"""A kit for tests of plugins: a whole node on loopback, in the test's own process, with an upstream that echoes."""

from twinplane.testing.gateway import Answer, Gateway, GatewayRefused, gateway
from twinplane.testing.upstream import Arrival, EchoUpstream

__all__ = ["Answer", "Arrival", "EchoUpstream", "Gateway", "GatewayRefused", "gateway"]
