"""Text as full-text search sees it: the same words on every database, and never query syntax."""

import re
import unicodedata
from typing import Final

from diptych.errors import LimitExceeded

MAX_TEXT: Final = 1_000
MAX_WORDS: Final = 20

_ASCII: Final = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
_WORD: Final = re.compile(r"[^\W_]+")


def normalised(text: str) -> str:
    """Words of letters and digits, without case and diacritics, with blanks between them."""
    if text.isascii():
        return text.translate(_ASCII)  # a tenth of the time
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    plain = "".join(char for char in folded if not unicodedata.combining(char))
    return " ".join(_WORD.findall(plain))


def words_of(search: str) -> tuple[str, ...]:
    """The different words that are searched for.

    Raises: LimitExceeded: more than 1,000 characters or 20 words.
    """
    if len(search) > MAX_TEXT:
        raise LimitExceeded("search", limit=MAX_TEXT, unit="characters")
    words = tuple(dict.fromkeys(normalised(search).split()))
    if len(words) > MAX_WORDS:
        raise LimitExceeded("search", limit=MAX_WORDS, unit="words")
    return words
