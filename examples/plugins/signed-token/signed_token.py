"""The plugin `signed-token`: recognises consumers by tokens that another system of yours has signed."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Annotated

from twinplane.pdk import Answer, Config, Consumer, Context, Credential, Plugin, Request
from twinplane.schema import Encrypted, Referenceable

_PARTS = 3


class SignedTokenConfig(Config):
    """Who signs, and who may come without."""

    secret: Annotated[str, Referenceable(), Encrypted(), "Secret that tokens are signed with."]
    header: Annotated[str, "Header that carries the token."] = "X-Token"
    hide_credentials: Annotated[bool, "Whether the token is kept from the upstream."] = False
    anonymous: Annotated[str | None, "Consumer (id or username) that requests without a valid token go on as."] = None


class SignedToken(Plugin[SignedTokenConfig]):
    """Recognises consumers by `custom id`.`expiry`.`signature`, where the signature is HMAC-SHA256 in hexadecimal."""

    name = "signed-token"
    version = "1.0.0"
    priority = 1250
    config_class = SignedTokenConfig
    scopes = ("service", "route")

    def access(self, request: Request, ctx: Context, config: SignedTokenConfig) -> Answer | None:
        """Recognise the caller, or refuse the request."""
        if request.is_settled(config.anonymous):
            return None
        token = request.headers.get(config.header)
        found = _consumer(token, ctx, config) if token else None
        if found is None:
            refusal = ctx.exit(401, {"message": "Unauthorized"}, {"WWW-Authenticate": "SignedToken"})
            return request.unauthenticated(refusal, config.anonymous)
        request.authenticate(found, Credential(f"signed-token:{found.custom_id}", found.custom_id))
        if config.hide_credentials:
            del request.headers[config.header]
        return None


def _consumer(token: str, ctx: Context, config: SignedTokenConfig) -> Consumer | None:
    parts = token.rsplit(".", _PARTS - 1)
    if len(parts) != _PARTS or not parts[1].isdecimal() or int(parts[1]) < time.time():
        return None
    signed = ".".join(parts[:-1]).encode("latin-1")
    wanted = hmac.new(config.secret.encode(), signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted.encode(), parts[2].encode("latin-1")):
        return None
    return ctx.consumers.by_custom_id(parts[0])
