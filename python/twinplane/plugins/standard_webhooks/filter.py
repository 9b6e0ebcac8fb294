"""`standard-webhooks`: lets a webhook through whose sender holds the secret, and that is not an old one sent again."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time

from twinplane.pdk import Answer, BodyTooLarge, Context, Plugin, Request
from twinplane.plugins.standard_webhooks.schema import Config
from twinplane.plugins.standard_webhooks.schema import StandardWebhooks as Declared

_ENCODED_PREFIX = "whsec_"
_BODY_BYTES_MAX = 8 * 1024 * 1024
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class StandardWebhooks(Plugin[Config]):
    """Checks the signature of incoming webhooks."""

    name = Declared.name
    version = Declared.version
    priority = Declared.priority
    config_class = Config
    body_bytes_max = _BODY_BYTES_MAX

    def access(self, request: Request, ctx: Context, config: Config) -> Answer | None:
        """Refuse what is not signed, not signed rightly, or too old."""
        problem = _problem(request, config)
        if problem is None:
            return None
        ctx.log.debug("webhook_refused reason=%s", problem)
        return ctx.exit(400, {"message": problem})


def _problem(request: Request, config: Config) -> str | None:
    headers = request.headers
    sender = headers.get("webhook-id")
    signatures = headers.get("webhook-signature")
    timestamp = headers.get("webhook-timestamp")
    if not (sender and signatures and timestamp):
        return "missing webhook-id, webhook-timestamp or webhook-signature"
    if not _TIMESTAMP.fullmatch(timestamp):
        return "webhook-timestamp is not a number of seconds"
    if abs(time.time() - int(timestamp)) > config.tolerance_second:
        return "webhook-timestamp is out of tolerance"
    try:
        body = request.body
    except BodyTooLarge:
        return "the body is too large to be checked"
    signed = b".".join([sender.encode("latin-1"), timestamp.encode(), body])
    made = base64.b64encode(hmac.digest(_key(config.secret_v1), signed, hashlib.sha256)).decode()
    given = (one.partition(",") for one in signatures.split(" "))
    # Every one is compared, each in constant time.
    matches = [
        hmac.compare_digest(signature.encode("latin-1"), made.encode()) for kind, _, signature in given if kind == "v1"
    ]
    return None if any(matches) else "no signature matches"


def _key(secret: str) -> bytes:
    """The secret as it is; behind `whsec_` it is written in base64."""
    if secret.startswith(_ENCODED_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_ENCODED_PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


PLUGIN = StandardWebhooks
