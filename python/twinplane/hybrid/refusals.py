"""Why a node is not let in: stable codes for logs and counters. Peers are told less."""

from __future__ import annotations

from typing import Final

NO_CERTIFICATE: Final = "no_certificate"
CERTIFICATE_MALFORMED: Final = "certificate_malformed"
CERTIFICATE_UNKNOWN: Final = "certificate_unknown"
CERTIFICATE_EXPIRED: Final = "certificate_expired"
CERTIFICATE_REVOKED: Final = "certificate_revoked"
COMMON_NAME_REFUSED: Final = "common_name_refused"
REVOCATION_UNKNOWN: Final = "revocation_unknown"
NAME_DISAGREES: Final = "server_name_disagrees"
SHARED_MODE_OFF: Final = "shared_mode_off"
