"""The short form of the fault suite: each kind of fault once, in three rounds, each with another kind of membership."""

import os
import random
import secrets
from collections.abc import Iterator

import pytest

from tests.faults.arena import MEMBERSHIPS, Arena, Membership
from tests.faults.kinds import KINDS
from tests.faults.run import RATE, one_fault

SEED = int(os.environ.get("FAULTS_SEED") or secrets.randbits(32))


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    arena = Arena(tmp_path_factory.mktemp("faults"), rate=RATE)
    yield arena
    arena.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("membership", MEMBERSHIPS, ids=str)
def test_every_message_is_recorded_once_through_every_fault(
    arena: Arena, membership: Membership, capsys: pytest.CaptureFixture[str]
) -> None:
    number = MEMBERSHIPS.index(membership)
    kinds = random.Random(SEED).sample([kind for kind in KINDS if not kind.takes_long], k=len(KINDS) - 1)
    chance = random.Random(f"{SEED}-{number}")
    with capsys.disabled():
        print(f"\nfaults, {membership}, FAULTS_SEED={SEED}")
    with arena.round(number, membership, chance) as current:
        for kind in kinds[number :: len(MEMBERSHIPS)]:
            outcome = one_fault(current, kind, verify=False)
            assert not outcome.wrong, (kind.name, SEED, outcome.wrong)
        assert not current.verify(), SEED
        assert not current.check_history(), SEED
