from collections.abc import Iterator

import pytest

from tests.unit.worker_bench import Bench


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A worker; parametrized indirectly with the arguments of Bench."""
    made = Bench(**getattr(request, "param", {}))
    yield made
    made.close()
