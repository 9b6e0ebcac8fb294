"""What a body does wrong: a tree of texts shaped like the body, and the one line that sums it up.

Never decides what is wrong; `validate` and `checks` do. The texts are Kong's, since clients match on them.
"""

from collections.abc import Iterator
from typing import Any

ENTITY = "@entity"



class SchemaViolation(Exception):  # noqa: N818 - the word of the API
    """A body that breaks its schema. `errors` holds every violation, nested like the body; lists have None where nothing is wrong."""

    def __init__(self, errors: dict[str, Any]) -> None:
        super().__init__(errors)
        self.errors = errors

    def message(self) -> str:
        """The summary as Kong words it: `2 schema violations (name: …; port: …)`."""
        texts = list(_texts(self.errors))
        if len(texts) == 1:
            return f"schema violation ({texts[0]})"
        return f"{len(texts)} schema violations ({'; '.join(texts)})"

    def __str__(self) -> str:
        return self.message()


def _texts(errors: dict[str, Any], prefix: str = "") -> Iterator[str]:
    whole = errors.get(ENTITY)
    if whole is not None:
        yield from (prefix + text for text in ([whole] if isinstance(whole, str) else whole))
    for key in sorted(key for key in errors if key != ENTITY):
        value = errors[key]
        if isinstance(value, list):
            value = {str(place): text for place, text in enumerate(value, 1) if text is not None}
        if isinstance(value, dict):
            yield from _texts(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}: {value}"
