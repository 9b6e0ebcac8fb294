"""What a browser sends back from a form: bounded, decoded, and put away for the time of a sign-in.

Only `application/x-www-form-urlencoded`; files are pasted as text. Nothing here decides what a field means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

BODY_BYTES_MAX = 2_097_152
PUT_AWAY_BODY_BYTES_MAX = 3 * BODY_BYTES_MAX + 65_536
"""Of a sign-in, whose form carries another one as text: at most three bytes for one, and its own fields."""

FIELDS_MAX = 10_000
TOKEN_FIELD = "form_token"  # noqa: S105 - the name of a field
INDEX_DIGITS_MAX = 15


def read_index(text: str) -> int | None:
    """A count or place from an address, as ASCII digits; None where it is no number, or beyond what any list has."""
    is_index = len(text) <= INDEX_DIGITS_MAX and text.isascii() and text.isdecimal()
    return int(text) if is_index else None


class FormInvalid(Exception):
    """The body of a request is no form, or beyond a limit. `status` is what to answer with."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Form:
    """The fields of one form, in order; a name may come several times."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    @classmethod
    def read(cls, content_type: str, body: bytes) -> Form:
        """Decode a body. Raises FormInvalid."""
        if not body:
            return cls([])
        if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
            raise FormInvalid(415, "forms are read as application/x-www-form-urlencoded only")
        try:
            pairs = parse_qsl(
                body.decode("ascii"),
                keep_blank_values=True,
                strict_parsing=True,
                errors="strict",
                max_num_fields=FIELDS_MAX,
            )
        except (ValueError, UnicodeDecodeError) as error:
            raise FormInvalid(400, "the form cannot be read") from error
        # Browsers end the lines of a text area with CR LF.
        return cls([(name, value.replace("\r\n", "\n")) for name, value in pairs])

    def get(self, name: str, default: str = "") -> str:
        """The first value of a field."""
        return next((value for key, value in self._pairs if key == name), default)

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for key, value in self._pairs if key == name]

    def below(self, prefix: str) -> Mapping[str, str]:
        """Fields whose names begin with a prefix, without it; several values of one name are lines of one text."""
        found: dict[str, str] = {}
        for key, value in self._pairs:
            if key.startswith(prefix):
                name = key.removeprefix(prefix)
                found[name] = f"{found[name]}\n{value}" if found.get(name) else value
        return found

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self._pairs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """What was typed: all fields but the form's own token."""
        return ((key, value) for key, value in self._pairs if key != TOKEN_FIELD)
