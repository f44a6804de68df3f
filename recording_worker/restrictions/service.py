"""Restriction, Rule and TokenRules: what is restricted for whom."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Restriction(StrEnum):
    """What happens to a message a rule matches. In order of precedence."""

    DROP_EVENT = "drop_event"
    REDIRECT_TO_DLQ = "redirect_to_dlq"
    FORCE_OVERFLOW = "force_overflow"


@dataclass(frozen=True, slots=True)
class Rule:
    """One restriction of one token. An empty set matches all; kinds combine with AND, the values of one with OR.

    A kind that is set does not match a message that lacks the header.
    """

    restriction: Restriction
    token: str
    distinct_ids: frozenset[str] = frozenset()
    session_ids: frozenset[str] = frozenset()
    event_names: frozenset[str] = frozenset()
    event_uuids: frozenset[str] = frozenset()

    def matches(
        self, distinct_id: str | None, session_id: str | None, event_name: str | None, event_uuid: str | None
    ) -> bool:
        return (
            (not self.distinct_ids or distinct_id in self.distinct_ids)
            and (not self.session_ids or session_id in self.session_ids)
            and (not self.event_names or event_name in self.event_names)
            and (not self.event_uuids or event_uuid in self.event_uuids)
        )


class TokenRules:
    """All rules of one token, in order of precedence."""

    __slots__ = ("_rules",)

    def __init__(self, rules: Iterable[Rule]) -> None:
        precedence = list(Restriction)
        self._rules = sorted(rules, key=lambda rule: precedence.index(rule.restriction))

    def match(
        self, distinct_id: str | None, session_id: str | None, event_name: str | None, event_uuid: str | None
    ) -> Restriction | None:
        """What the first matching rule asks for, or None."""
        for rule in self._rules:
            if rule.matches(distinct_id, session_id, event_name, event_uuid):
                return rule.restriction
        return None


def rules_by_token(rules: Iterable[Rule]) -> dict[str, TokenRules]:
    """The rules in the form the step looks them up."""
    tokens: dict[str, list[Rule]] = {}
    for rule in rules:
        tokens.setdefault(rule.token, []).append(rule)
    return {token: TokenRules(group) for token, group in tokens.items()}


class RestrictionService(Protocol):
    """Gives the restrictions in force. Never blocks: a store refreshes in the background."""

    def current(self) -> Mapping[str, TokenRules]:
        """Token → its rules. Tokens without a rule are not in it."""
