"""Restriction, Rule and TokenRules: which messages are restricted, and how."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter
from typing import Protocol


class Restriction(StrEnum):
    """What happens to a message that a rule matches. In order of precedence."""

    DROP_EVENT = "drop_event"
    REDIRECT_TO_DLQ = "redirect_to_dlq"
    FORCE_OVERFLOW = "force_overflow"


_BY_RANK: tuple[Restriction | None, ...] = (*Restriction, None)
_RANK = {restriction: rank for rank, restriction in enumerate(Restriction)}
_BY_SELECTIVITY = (3, 1, 0, 2)
"""Indexes in Headers, the most selective header first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One restriction of one token. A message matches if each of the four sets is empty or has the message's value.

    A message that lacks a header is matched only if the set for it is empty.
    """

    restriction: Restriction
    token: str
    distinct_ids: frozenset[str] = frozenset()
    session_ids: frozenset[str] = frozenset()
    event_names: frozenset[str] = frozenset()
    event_uuids: frozenset[str] = frozenset()

    @property
    def kinds(self) -> tuple[frozenset[str], frozenset[str], frozenset[str], frozenset[str]]:
        """The sets, in the order of Headers."""
        return self.distinct_ids, self.session_ids, self.event_names, self.event_uuids

    def matches(self, headers: "Headers") -> bool:
        distinct_id, session_id, event_name, event_uuid = headers
        return (
            (not self.distinct_ids or distinct_id in self.distinct_ids)
            and (not self.session_ids or session_id in self.session_ids)
            and (not self.event_names or event_name in self.event_names)
            and (not self.event_uuids or event_uuid in self.event_uuids)
        )


Headers = tuple[str | None, str | None, str | None, str | None]
"""The headers that rules look at: distinct id, session id, event name, event uuid."""


class TokenRules:
    """All rules of one token, indexed by the values they name: a message is compared with the few that may match it."""

    __slots__ = ("_always", "_by_value", "kinds")

    def __init__(self, rules: Iterable[Rule]) -> None:
        ranked = sorted(((_RANK[rule.restriction], rule) for rule in rules), key=itemgetter(0))
        # a rule that matches every message makes those after it useless
        self._always = next((rank for rank, rule in ranked if not any(rule.kinds)), len(_RANK))
        asked = [(rank, rule) for rank, rule in ranked if rank < self._always]
        self.kinds: tuple[int, ...] = tuple(kind for kind in range(4) if any(rule.kinds[kind] for _, rule in asked))
        """Indexes in Headers of the headers that the rules look at. Messages alike in these are treated alike."""
        self._by_value: dict[int, dict[str, list[tuple[int, Rule]]]] = {}
        for rank, rule in asked:
            kind = next(kind for kind in _BY_SELECTIVITY if rule.kinds[kind])
            values = self._by_value.setdefault(kind, {})
            for value in rule.kinds[kind]:
                values.setdefault(value, []).append((rank, rule))

    def match(self, headers: Headers) -> Restriction | None:
        """Return the restriction of the matching rule with the highest precedence, or None."""
        found = self._always
        for kind, values in self._by_value.items():
            for rank, rule in values.get(headers[kind] or "", ()):
                if rank >= found:
                    break
                if rule.matches(headers):
                    found = rank
                    break
        return _BY_RANK[found]


def rules_by_token(rules: Iterable[Rule]) -> dict[str, TokenRules]:
    """Group the rules by their tokens, without doubles."""
    tokens: dict[str, list[Rule]] = {}
    for rule in dict.fromkeys(rules):
        tokens.setdefault(rule.token, []).append(rule)
    return {token: TokenRules(group) for token, group in tokens.items()}


class RestrictionService(Protocol):
    """Gives the restrictions in force. Never blocks: stores are refreshed in the background."""

    def current(self) -> Mapping[str, TokenRules]:
        """Return token → its rules. Tokens without rules are left out."""
