"""Real recordings with random damage from a fixed seed: the native decoder gives what the reference gives."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import settings

from tests.decoders import assert_same, decode_native, decode_reference
from tests.inputs import Input, input_of
from tests.property.mutate import damage_data, damage_text, damage_value
from tests.sample import sample_messages

ROUNDS = 8 * settings().max_examples
"""By the hypothesis profile: 800 in the default one."""


def small_sample() -> list[Input]:
    """Return the messages whose values have at most 20 KB, so that many can be tried."""
    return [input_of(message) for message in sample_messages() if message.value and len(message.value) <= 20_000]


@pytest.mark.parametrize("damage", [damage_value, damage_text, damage_data], ids=["value", "text", "data"])
def test_mutated_sample(damage: Callable[[Input, random.Random], Input]) -> None:
    chance = random.Random(20_260_101)
    rows = small_sample()
    seen: Counter[str] = Counter()
    for number in range(ROUNDS // 8):
        damaged = [damage(chance.choice(rows), chance) for _ in range(8)]
        reference = decode_reference(damaged, unpack=number % 2 == 1)
        assert_same(decode_native(damaged, unpack=number % 2 == 1), reference)
        seen.update(row.reason.label for row in reference.rows)
    assert len(seen) >= 2, seen
