"""Plugins written for Kong's Python PDK, run as they are. The names are Kong's, the code is our own."""

from twinplane.pdk.kong.calls import CALLS, UnsupportedCall, WrongPhase
from twinplane.pdk.kong.modules import lend_modules
from twinplane.pdk.kong.plugin import adapted, is_kong_plugin

__all__ = ["CALLS", "UnsupportedCall", "WrongPhase", "adapted", "is_kong_plugin", "lend_modules"]
