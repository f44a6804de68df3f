"""Teams and restrictions from TOML files, and every token as a team."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from recording_worker.dependencies import Dependencies
from recording_worker.errors import ConfigError
from recording_worker.lookups.refreshed import Stores
from recording_worker.lookups.restrictions.service import Restriction, Rule
from recording_worker.lookups.restrictions.static import load_restrictions
from recording_worker.lookups.teams.any_token import AnyTokenTeams
from recording_worker.lookups.teams.open import open_teams
from recording_worker.lookups.teams.service import Team
from recording_worker.lookups.teams.static import load_teams
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings
from tests.builders import FakeClock


def write(folder: Path, text: str) -> Path:
    path = folder / "file.toml"
    path.write_text(text)
    return path


def test_teams(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [[team]]
        id = 1
        token = "phc_a"
        retention = "1y"
        console_logs = false

        [[team]]
        id = 2
        token = "phc_b"
        """,
    )
    assert load_teams(path) == {"phc_a": Team(1, False, "1y"), "phc_b": Team(2, True, None)}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("team = 3", "team: Input should be a valid list"),
        ("[[team]]\nid = 1", "team.0.token: Field required"),
        ('[[team]]\nid = 1\ntoken = "a"\nretention = "7d"', "team.0.retention: Input should be '30d'"),
        ('[[team]]\nid = 0\ntoken = "a"', "team.0.id: Input should be greater than 0"),
        ('[[team]]\nid = 1\ntoken = "a"\n[[team]]\nid = 2\ntoken = "a"', "token 'a' stands in two"),
        ('[[team]]\nid = 1\ntoken = "a"\ncolour = 1', "team.0.colour: Extra inputs are not permitted"),
        ("[[team", "not TOML: "),
        ("a = '\udcff'", "not UTF-8 text"),
    ],
)
def test_a_broken_team_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "teams.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError) as raised:
        load_teams(path)
    assert str(path) in str(raised.value)
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't read .*teams\.toml: No such file or directory"):
        load_teams(tmp_path / "teams.toml")


def test_restrictions(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [[restriction]]
        type = "drop_event"
        token = "phc_a"

        [[restriction]]
        type = "force_overflow"
        token = "phc_b"
        distinct_ids = ["x", "y"]
        session_ids = ["s"]
        """,
    )
    assert load_restrictions(path) == [
        Rule(Restriction.DROP_EVENT, "phc_a"),
        Rule(Restriction.FORCE_OVERFLOW, "phc_b", distinct_ids=frozenset({"x", "y"}), session_ids=frozenset({"s"})),
    ]


def test_an_unknown_restriction_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, '[[restriction]]\ntype = "forbid"\ntoken = "a"')
    with pytest.raises(ConfigError, match=r"restriction\.0\.type: Input should be 'drop_event'"):
        load_restrictions(path)


def test_a_file_of_teams_that_changes_is_read_again_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path, clock = write(tmp_path, '[[team]]\nid = 1\ntoken = "a"\nretention = "30d"\n'), FakeClock()
    stores = Stores(clock, Metrics(), interval=300, stale_after=1000)
    teams = open_teams(Settings(teams=path), stores, Dependencies(clock))

    def some_seconds_later() -> tuple[Team | None, Team | None]:
        for _ in range(2):
            clock.ms += 6_000
            for store in stores._stores:
                store.refresh_if_due()
        return teams.get("a"), teams.get("b")

    first = Team(1, True, "30d")
    assert some_seconds_later() == (first, None)
    path.write_text('[[team]]\nid = "one"')
    with capture_logs() as logs:
        assert some_seconds_later() == (first, None)
    assert "team.0.id" in logs[0]["error"]
    path.write_text('[[team]]\nid = 2\ntoken = "b"\nretention = "90d"\n')
    assert some_seconds_later() == (None, Team(2, True, "90d"))


def test_any_token_is_a_team_with_a_stable_id() -> None:
    teams = AnyTokenTeams()
    team = teams.get("phc_a")
    assert team == Team(id=teams.get("phc_a").id, console_logs=True, retention="30d")  # type: ignore[union-attr]
    assert team is not None
    assert team.id == 8_583_532_160_840_387 < 1 << 53
    assert teams.get("phc_b") != team
