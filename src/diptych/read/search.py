"""Text as full-text search sees it: the same words on every database, and never query syntax."""

import re
import unicodedata
from typing import Final

from diptych.errors import LimitExceeded

MAX_TEXT: Final = 1_000
MAX_WORDS: Final = 20
LONGEST_WORD: Final = 200
"""What is looked for of a word; PostgreSQL keeps no more of one than 2 kB."""
_MOST_INDEXED: Final = 500_000
"""Bytes of one row's words that PostgreSQL finds it by, of the 1 MB that it would take."""

_ASCII: Final = bytes(ord(chr(n).lower()) if chr(n).isalnum() else 32 for n in range(128)) * 2
_WORD: Final = re.compile(r"[^\W_]+")


def normalised(text: str) -> str:
    """Words of letters and digits, without case and diacritics, with blanks between them."""
    if text.isascii():
        return text.encode("ascii").translate(_ASCII).decode("ascii")  # a fiftieth of the time
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    plain = "".join(char for char in folded if not unicodedata.combining(char))
    return " ".join(_WORD.findall(plain))


def words_of(search: str) -> tuple[str, ...]:
    """The different words that are searched for.

    Raises: LimitExceeded: more than 1,000 characters or 20 words.
    """
    if len(search) > MAX_TEXT:
        raise LimitExceeded("search", limit=MAX_TEXT, unit="characters")
    found = normalised(search).split()
    words = tuple(dict.fromkeys(word[:LONGEST_WORD] for word in found))
    if len(words) > MAX_WORDS:
        raise LimitExceeded("search", limit=MAX_WORDS, unit="words")
    return words


def indexed(text: str) -> str:
    """The different words of normalised text, cut to `LONGEST_WORD`, with one blank between."""
    words = " ".join(dict.fromkeys(text.split()))
    if len(words) <= LONGEST_WORD:
        return words
    words = " ".join(dict.fromkeys(word[:LONGEST_WORD] for word in words.split()))
    data = words.encode()
    if len(data) <= _MOST_INDEXED:
        return words
    return data[:_MOST_INDEXED].rpartition(b" ")[0].decode()
