"""`bench`: what can be said about rounds, how messages are cut, and what the report holds."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recording_worker.bench import cases as bench_cases
from recording_worker.bench import load as bench_load
from recording_worker.bench import processes, turns
from recording_worker.bench import run as bench_run
from recording_worker.bench.load import cut, read_load
from recording_worker.bench.report import report
from recording_worker.bench.run import Plan, Results, compare, run
from recording_worker.bench.turns import Case, interval, measure, ratio_interval, spread
from recording_worker.cli.bench import bench
from recording_worker.errors import ConfigError
from recording_worker.settings.model import Settings
from tests.sample import SAMPLE
from tests.unit.test_extras import run_without_extras

MAX_BYTES = 1 << 26


@pytest.fixture(scope="module")
def results() -> Results:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "_STEADY_SECONDS", 0.5)
        patch.setattr(processes, "_SECONDS", 0.1)
        patch.setattr(bench_cases, "LEVELS", (1, 9))
        patch.setattr(bench_run, "SIZES", (4_000, 256_000))
        patch.setattr(turns, "_TURN_SECONDS", 0.001)
        done: list[float] = []
        plan = Plan(Settings(), [SAMPLE], MAX_BYTES, rounds=5, workers=1)
        found = run(plan, lambda share, _: done.append(share))
    assert sum(done) == pytest.approx(1)
    return found


def test_the_sample_has_a_figure_for_everything(results: Results) -> None:
    assert results["data"]["recorded"] == results["data"]["messages"] == 82
    assert set(results["stages"]["zstd"]) == set(bench_run.STAGES)
    assert results["no_dictionary"] == ""
    names = {each["name"] for each in results["codecs"]}
    assert {"snappy", "zstd 1", "zstd 1 dictionary"} <= names <= results["cases"].keys()
    assert all(0 < each["stored_share"] < 1 for each in results["codecs"])
    shares = {each["name"]: each["stored_share"] for each in results["codecs"]}
    assert shares["zstd 9"] < shares["zstd 1"] < shares["snappy"]
    assert [each["workers"] for each in results["workers"]] == [1]
    assert results["steady"]["memory_mb"]
    json.dumps(results)


def test_a_bench_is_no_different_from_itself(results: Results) -> None:
    cases = compare(results, results)["cases"]
    assert {case["verdict"] for case in cases.values()} == {"no difference seen"}
    assert {case["ratio"] for case in cases.values()} == {1}


def changed(results: Results, factor: float, **noise: Any) -> Results:
    """The results with each round of all cases but the yardstick times a factor, and with quiet rounds."""
    copy: Results = json.loads(json.dumps(results))
    copy["noise"] |= {"spread": 0.01, "too_noisy": False} | noise
    for name, case in copy["cases"].items():
        median = case["cpu_s_per_gb"] * (1 if name == "yardstick" else factor)
        case["cpu_s_per_gb"] = median
        case["rounds"] = [median * (1 + step / 1000) for step in (-2, -1, 0, 1, 2)]
    return copy


def test_what_is_slower_is_said_to_be_slower(results: Results) -> None:
    found = compare(changed(results, 1.05), changed(results, 1))
    assert {case["verdict"] for case in found["cases"].values()} == {"slower"}
    assert {case["verdict"] for case in compare(changed(results, 0.95), changed(results, 1))["cases"].values()} == {
        "faster"
    }
    assert "equally fast" in found["text"]


def test_nothing_is_said_of_a_noisy_machine(results: Results) -> None:
    found = compare(changed(results, 1.05, too_noisy=True), changed(results, 1))
    assert {case["verdict"] for case in found["cases"].values()} == {"differs, or the machine does"}
    assert found["text"].startswith("Nothing can be said for sure")


def test_benches_of_other_messages_are_not_compared(results: Results) -> None:
    other = results | {"data": results["data"] | {"fingerprint": "another"}}
    with pytest.raises(ConfigError, match="of other messages"):
        compare(results, other)
    with pytest.raises(ConfigError, match="no result of"):
        compare(results, {})


def test_the_report_is_one_small_file_that_needs_no_network(results: Results) -> None:
    page = report(results | {"against": compare(results, results)})
    assert len(page) < 2_000_000
    assert page.count("<svg") == 6
    linked = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert not re.search(r"<script|<link|<img|src=|@import|url\((?!#)|https?://(?!purl\.org|www\.w3)", linked)
    assert not re.search(r"#0102\d\d", page), "a colour that does not follow light and dark"
    assert "prefers-color-scheme: dark" in page


def test_names_from_outside_are_escaped(results: Results) -> None:
    data = results["data"] | {"files": ["<script>alert(1)</script>"]}
    assert "<script" not in report(results | {"data": data})


def test_noise_is_named() -> None:
    assert spread([1, 1, 1, 1, 1]) == 0
    assert spread([1, 1.2, 1.1, 0.9, 1]) == pytest.approx(0.1)


def test_intervals_hold_the_median() -> None:
    low, high = interval([1.0, 1.1, 1.2, 1.3, 5.0])
    assert 1.0 <= low <= 1.2 <= high
    low, high = ratio_interval([2.0, 2.0, 2.1], [1.0, 1.0, 1.05])
    assert low <= 2 <= high


def test_each_case_has_a_turn_in_each_round() -> None:
    ran: list[str] = []

    def turn_of(name: str) -> Callable[[], None]:
        def run() -> None:
            ran.append(name)
            sum(range(300_000))

        return run

    cases = [Case(name, turn_of(name), 1) for name in "ab"]
    found = measure(cases, 5, lambda: ran.append("-"))
    assert {name: len(rounds) for name, rounds in found.items()} == {"a": 5, "b": 5}
    assert re.fullmatch(r"ab(a+b+-){5}", "".join(ran))


def test_messages_are_cut_to_about_one_size() -> None:
    load = read_load([SAMPLE], MAX_BYTES)
    small, large = cut(load.messages, 4_000), cut(load.messages, 64_000)
    assert small
    assert all(len(message.value or b"") <= 4_000 for message in small)
    assert all(len(message.value or b"") <= 64_000 for message in large)
    assert len(small) > len(large) > 1
    assert cut([small[0]._replace(value=b"no JSON")], 4_000) == []


def test_only_so_many_bytes_are_read() -> None:
    assert read_load([SAMPLE], 1).left_out == 81


def test_without_files_the_same_traffic_is_made_up_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_load, "_MADE_UP_MESSAGES", 50)
    made = read_load([], MAX_BYTES)
    assert len(made.messages) == 50
    assert made.fingerprint == read_load([], MAX_BYTES).fingerprint


def test_a_file_that_is_no_bench_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("no JSON")
    done = CliRunner().invoke(bench, [str(SAMPLE), "--against", str(tmp_path / "old.json")])
    assert isinstance(done.exception, ConfigError)
    assert "is not what `bench --json` prints" in str(done.exception)


def test_a_report_without_a_folder_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    done = CliRunner().invoke(bench, ["--report", str(tmp_path / "none/report.html")])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == f"--report {tmp_path}/none/report.html: there is no folder {tmp_path}/none"


def test_a_report_in_a_read_only_folder_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # to root all folders are writable
    done = CliRunner().invoke(bench, ["--report", str(tmp_path / "report.html")])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == f"--report {tmp_path}/report.html: can't write to the folder {tmp_path}"


def test_a_missing_library_for_plots_is_named_before_anything_is_measured(tmp_path: Path) -> None:
    done = run_without_extras("bench", SAMPLE, "--report", tmp_path / "report.html")
    assert "needs matplotlib, which is not installed: pip install 'recording-worker[bench]'" in done.stderr
    assert done.returncode == ConfigError.exit_code
