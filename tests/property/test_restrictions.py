"""Rules found by the values they name end messages as a walk through all of them does."""

from collections import Counter

from hypothesis import event, given
from hypothesis import strategies as st

from recording_worker.lookups.restrictions.service import Headers, Restriction, Rule, rules_by_token

HEADERS: st.SearchStrategy[Headers] = st.tuples(*[st.sampled_from(["a", "b", "c", "", None])] * 4)


def kinds(rule: Rule) -> list[frozenset[str]]:
    return [rule.distinct_ids, rule.session_ids, rule.event_names, rule.event_uuids]


@st.composite
def rules_and_headers(draw: st.DrawFn) -> tuple[list[Rule], Headers]:
    """Draw a message, and rules that mostly ask about the very values it has."""
    headers = draw(HEADERS)
    wanted = []
    for value in headers:
        met = frozenset({"a" if value is None else value})
        wanted.append(st.sampled_from([met, frozenset[str](), met | {"b"}, frozenset({"c"})]))
    rule = st.builds(Rule, st.sampled_from(Restriction), st.sampled_from(["token-1", "token-2"]), *wanted)
    return draw(st.lists(rule, min_size=draw(st.sampled_from([0, 6])), max_size=12)), headers


def matches(rule: Rule, headers: Headers) -> bool:
    return all(not wanted or value in wanted for wanted, value in zip(kinds(rule), headers, strict=True))


def walked(rules: list[Rule], token: str, headers: Headers) -> Restriction | None:
    matching = {rule.restriction for rule in rules if rule.token == token and matches(rule, headers)}
    return next((restriction for restriction in Restriction if restriction in matching), None)


def test_the_index_equals_a_walk() -> None:
    examples: Counter[str] = Counter()

    def note(what: str) -> None:
        examples[what] += 1
        event(what)

    @given(rules_and_headers())
    def check(drawn: tuple[list[Rule], Headers]) -> None:
        rules, headers = drawn
        found = rules_by_token(rules)
        for token in ("token-1", "token-2"):
            expected = walked(rules, token, headers)
            assert (found[token].match(headers) if token in found else None) == expected
        matching = [rule for rule in rules if matches(rule, headers)]
        if any(sum(map(bool, kinds(rule))) >= 2 for rule in matching):
            note("a rule that asks about two kinds matches")
        if any(len({rule.restriction for rule in matching if rule.token == token}) >= 2 for token in found):
            note("rules of two restrictions match")
        if len(matching) < len(rules):
            note("a rule does not match")

    check()
    assert len(examples) == 3, examples
    assert min(examples.values()) >= 3, examples


@given(rules_and_headers(), HEADERS)
def test_messages_with_equal_relevant_headers_are_treated_alike(
    drawn: tuple[list[Rule], Headers], others: Headers
) -> None:
    rules, headers = drawn
    for token_rules in rules_by_token(rules).values():
        values = [headers[kind] if kind in token_rules.kinds else others[kind] for kind in range(4)]
        assert token_rules.match((values[0], values[1], values[2], values[3])) == token_rules.match(headers)
