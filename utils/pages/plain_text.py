"""Plain text in HTML: names of cases and runs come from anywhere."""

from html import escape

# Directional formatting characters: an override in a name would reverse the text after it.
_INVISIBLE = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd")


def safe(text: str) -> str:
    """Return plain text as HTML, for elements and for attributes in quotes."""
    return escape(text.translate(_INVISIBLE))
