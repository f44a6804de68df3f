import random

import pytest

from recording_worker.backoff import Backoff


@pytest.mark.parametrize(
    ("failures", "pause"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (6, 16), (7, 30), (20, 30), (5000, 30)]
)
def test_pauses_double_up_to_a_limit_give_or_take_half(failures: int, pause: float) -> None:
    random.seed(failures)
    pauses = [Backoff(0.5, 30).pause(failures) for _ in range(1000)]
    assert 0.5 * pause <= min(pauses) < 0.55 * pause
    assert 1.45 * pause < max(pauses) <= 1.5 * pause
