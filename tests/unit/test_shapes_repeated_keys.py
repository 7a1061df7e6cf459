"""Counting colons finds the same repeated keys as reading every pair does."""

import random

from diptych.errors import InvalidInput
from diptych.shapes.edge import _REPEATS, _refuse_repeated_keys

LEAVES = ["1", '"a"', '"a:b"', "null", "true", '"\\":"', "1e400", "99999999999999999999999"]
KEYS = ['"a"', '"b"', '"c"', '"a:"', '"\\u0061"']


def made(chance: random.Random, depth: int = 0) -> str:
    kind = chance.random()
    if depth > 3 or kind < 0.4:
        return chance.choice(LEAVES)
    inner = [made(chance, depth + 1) for _ in range(chance.randrange(4))]
    if kind < 0.6:
        return f"[{','.join(inner)}]"
    return f"{{{','.join(f'{chance.choice(KEYS)}:{each}' for each in inner)}}}"


def test_both_ways_refuse_the_same() -> None:
    chance, refused = random.Random(5), 0
    for _ in range(10_000):
        text = made(chance)
        assert is_refused(text) == is_refused_by_reading(text), text
        refused += is_refused(text)
    assert 1_000 < refused < 9_000


def is_refused(text: str) -> bool:
    try:
        _refuse_repeated_keys(text.encode())
    except InvalidInput:
        return True
    return False


def is_refused_by_reading(text: str) -> bool:
    try:
        _REPEATS.decode(text)
    except InvalidInput:
        return True
    return False
