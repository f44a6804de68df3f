import pytest

from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.track_lib_version import TrackLibVersion
from tests.builders import batch, headers, message


@pytest.mark.parametrize(
    ("lib_version", "too_old"),
    [
        ("1.74.0", True),
        ("1.0.9", True),
        ("1.74.2-beta", True),
        ("1.75.0", False),
        ("1.255.0", False),
        ("0.3.0", False),
        ("2.1.0", False),
        ("1.74", False),
        ("1.000000074.0", True),
        ("1.0000000074.0", False),
        ("1.74.0.1", False),
        ("1.x.0", False),
        ("x.1.0", False),
        ("1..0", False),
        ("one.two.three", False),
        ("1.²4.0", False),
        ("", False),
        (None, False),
        ("1.74." + "0" * 95, True),
        ("1.74." + "0" * 96, False),
    ],
)
def test_clients_below_1_75_are_too_old(lib_version: str | None, too_old: bool) -> None:
    rows = batch(message(headers=headers(lib_version=lib_version)))
    ParseHeaders().run(rows)
    TrackLibVersion().run(rows)
    assert [warning.type for warning in rows.warnings] == ["replay_lib_version_too_old"] * too_old
    assert rows.dispositions == b"\0"


def test_the_warning_says_which_version_and_is_debounced_by_major_and_minor() -> None:
    rows = batch(message(headers=headers(lib_version="1.7.3")))
    ParseHeaders().run(rows)
    TrackLibVersion().run(rows)
    assert rows.warnings[0].details == {"libVersion": "1.7.3", "parsedVersion": {"major": 1, "minor": 7}}
    assert rows.warnings[0].debounce_key == "1.7"


def test_a_sender_that_makes_up_versions_can_have_few_warnings() -> None:
    """Each of these is a text of its own, and stands for one of 75 versions."""
    made_up = [f"1.{zeros}{minor}.{patch}" for minor in range(75) for zeros in ("", "000") for patch in range(20)]
    rows = batch(*(message(offset, headers=headers(lib_version=text)) for offset, text in enumerate(made_up)))
    ParseHeaders().run(rows)
    TrackLibVersion().run(rows)
    assert len(rows.warnings) == len(made_up)
    assert len({warning.debounce_key for warning in rows.warnings}) == 75
