"""`recording-worker bench`: what recordings cost on this machine."""

import json
from pathlib import Path
from typing import Any

import click

from recording_worker.cli.options import MESSAGE_FILES_HELP, check_folder_of, settings_from, settings_options
from recording_worker.cli.output import print_figures, progress_bar
from recording_worker.cli.say import say
from recording_worker.errors import ConfigError

_MAX_BYTES = 64 * 1024 * 1024


@click.command(
    epilog=f"""\b
Examples:
  recording-worker bench dump.jsonl.zst --report bench.html
  recording-worker bench dump.jsonl.zst --json > before.json
  recording-worker bench dump.jsonl.zst --against before.json --report bench.html

{MESSAGE_FILES_HELP}"""
)
@click.argument(
    "files", metavar="[FILE...]", nargs=-1, type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="HTML page to write.")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON, and nothing else.")
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Compare with this older bench, which --json has printed, of the same messages.",
)
@click.option(
    "--rounds", type=click.IntRange(5, 1000), default=15, show_default=True, metavar="N", help="Turns of each case."
)
@settings_options(
    ("workers", "memory", "zstd_level"), workers="Workers at most that run at once; by default as many as cores."
)
def bench(
    files: tuple[Path, ...],
    report: Path | None,
    as_json: bool,
    against: Path | None,
    rounds: int,
    config: Path | None,
    **flags: Any,
) -> None:
    """Measure on this machine what the messages of FILES cost, or made-up ones: no Kafka, no storage.

    Decoding, the whole pipeline, codecs and levels with and without a dictionary, sizes of messages, workers, memory
    and latency. At most 64 MiB of messages are read. It takes about a minute. Nothing else should run meanwhile.
    """
    settings = settings_from(config, flags)
    older = None if against is None else _read(against)
    if report is not None:
        check_folder_of(report, "--report")
        from recording_worker.bench.report import report as page_of  # fails now, if the library for plots is missing
    from recording_worker.bench.run import Plan, compare, run
    from recording_worker.cli.signals import signals_end
    from recording_worker.private_file import write_private

    with signals_end(), progress_bar("measuring", 1.0) as advance:
        results = run(Plan(settings, files, _MAX_BYTES, rounds, settings.workers), advance)
    if older is not None:
        results["against"] = compare(results, older)
    if report is not None:
        write_private(report, [page_of(results).encode()])
    if as_json:
        say(json.dumps(results))
        return
    say(results["noise"]["text"])
    stages = {
        f"{codec}: {stage}": f"{value:.2f}" for codec, by in results["stages"].items() for stage, value in by.items()
    }
    print_figures("CPU seconds per GB of uncompressed messages", stages)
    print_figures(
        "MB/s, together", {f"{each['workers']} workers": f"{each['mb_per_s']:,.0f}" for each in results["workers"]}
    )
    if older is not None:
        say(results["against"]["text"])
        told = {
            name: f"{case['ratio']:.3f} ({case['low']:.3f} to {case['high']:.3f}) {case['verdict']}"
            for name, case in results["against"]["cases"].items()
        }
        print_figures("Now, divided by then", told)
    if report is not None:
        say(f"Written to {report}")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is not what `bench --json` prints")
    return found
