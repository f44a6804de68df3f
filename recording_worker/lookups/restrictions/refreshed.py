"""RefreshedRestrictions: restrictions that are refreshed in the background."""

from collections.abc import Mapping, Sequence
from itertools import chain

from recording_worker.lookups.refreshed import Refreshed
from recording_worker.lookups.restrictions.service import Rule, TokenRules, rules_by_token


class RefreshedRestrictions:
    """The rules of several stores, as they were read last, in one mapping. For one thread."""

    def __init__(self, stores: Sequence[Refreshed[Sequence[Rule]]]) -> None:
        self._stores = stores
        self._read = [store.value for store in stores]
        self._rules = rules_by_token(chain.from_iterable(self._read))

    def current(self) -> Mapping[str, TokenRules]:
        read = [store.value for store in self._stores]
        if any(now is not before for now, before in zip(read, self._read, strict=True)):
            self._read = read
            self._rules = rules_by_token(chain.from_iterable(read))
        return self._rules
