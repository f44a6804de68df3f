"""Rules found by the values they name end messages as a walk through all of them does."""

from hypothesis import given
from hypothesis import strategies as st

from recording_worker.lookups.restrictions.service import Headers, Restriction, Rule, rules_by_token

VALUES = st.sampled_from(["", "a", "b", "c"])
RULES = st.builds(
    Rule,
    st.sampled_from(Restriction),
    st.sampled_from(["token-1", "token-2"]),
    *[st.frozensets(VALUES, max_size=2)] * 4,
)
HEADERS: st.SearchStrategy[Headers] = st.tuples(*[st.none() | VALUES] * 4)


def walked(rules: list[Rule], token: str, headers: Headers) -> Restriction | None:
    matching = {
        rule.restriction
        for rule in rules
        if rule.token == token
        and all(
            not wanted or value in wanted
            for wanted, value in zip(
                [rule.distinct_ids, rule.session_ids, rule.event_names, rule.event_uuids], headers, strict=True
            )
        )
    }
    return next((restriction for restriction in Restriction if restriction in matching), None)


@given(st.lists(RULES, max_size=8), HEADERS)
def test_the_index_equals_a_walk(rules: list[Rule], headers: Headers) -> None:
    found = rules_by_token(rules)
    for token in ("token-1", "token-2"):
        expected = walked(rules, token, headers)
        assert (found[token].match(headers) if token in found else None) == expected


@given(st.lists(RULES, max_size=8), HEADERS, HEADERS)
def test_messages_alike_in_what_the_rules_ask_about_end_alike(
    rules: list[Rule], headers: Headers, others: Headers
) -> None:
    for token_rules in rules_by_token(rules).values():
        values = [headers[kind] if kind in token_rules.kinds else others[kind] for kind in range(4)]
        assert token_rules.match((values[0], values[1], values[2], values[3])) == token_rules.match(headers)
