"""The short form of the fault suite: each kind of fault once, in three rounds, each with another kind of membership.

And a round with faults of a key store.
"""

import os
import random
import secrets
from collections.abc import Iterator

import pytest

from tests.faults.arena import Arena, Round
from tests.faults.bursts import one_burst
from tests.faults.kinds import KINDS, Kind, Where
from tests.faults.run import RATE
from tests.faults.surroundings import MEMBERSHIPS, Membership, Surroundings

SEED = int(os.environ.get("FAULTS_SEED") or secrets.randbits(32))


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    arena = Arena(tmp_path_factory.mktemp("faults"), rate=RATE)
    yield arena
    arena.close()


IN_SHORT = [kind for kind in KINDS if kind.where in (Where.ANYWHERE, Where.ONE_BROKER) and not kind.takes_long]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("membership", MEMBERSHIPS, ids=str)
def test_every_message_is_recorded_once_through_every_fault(
    arena: Arena, membership: Membership, capsys: pytest.CaptureFixture[str]
) -> None:
    number = MEMBERSHIPS.index(membership)
    kinds = random.Random(SEED).sample(IN_SHORT, k=len(IN_SHORT))[number :: len(MEMBERSHIPS)]
    chance = random.Random(f"{SEED}-{number}")
    with capsys.disabled():
        print(f"\nfaults, {membership}, FAULTS_SEED={SEED}")
    with arena.round(number, Surroundings(membership), chance) as current:
        missed = [kind for kind in kinds if not has_hit(current, kind)]
        assert all(has_hit(current, kind) for kind in missed), (missed, SEED)
        assert not current.verify(), SEED
        assert not current.check_history(), SEED


@pytest.mark.timeout(900)
def test_nothing_is_lost_or_in_the_clear_through_faults_of_the_key_store(arena: Arena) -> None:
    surroundings = Surroundings(MEMBERSHIPS[0], keys="postgres")
    with arena.round(len(MEMBERSHIPS), surroundings, random.Random(SEED)) as current:
        assert all(has_hit(current, kind) for kind in KINDS if kind.where is Where.KEYS), SEED
        assert not current.verify(), SEED
        assert not current.check_history(), SEED


def has_hit(current: Round, kind: Kind) -> bool:
    """Inject a fault, and see that no message is lost or doubled. Return whether it has hit anything."""
    outcomes, misses = one_burst(current, [kind], "")
    for outcome in outcomes:
        assert not outcome.wrong, (kind.name, SEED, outcome.wrong)
    return not misses
