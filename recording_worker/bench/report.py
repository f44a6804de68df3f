"""The report of a bench: one HTML file without links to anything."""

from html import escape
from importlib.resources import files

from recording_worker.bench.plots import plots
from recording_worker.bench.run import Results

_PLOTS = {
    "stages": (
        "Where the time goes",
        """All CPU time of a worker for each GB, by stage. One CPU second per GB is one core for 1 GB a second.
        Zstd unpacks what the client packed, snappy leaves it.""",
    ),
    "codecs": (
        "Time against bytes",
        """Each block holds one message, as most do on a busy topic. Numbers are zstd levels. Down and to the left is
        better. The dictionary is trained on other sessions of the same files. If the sessions are much alike, it looks
        better than it will be.""",
    ),
    "sizes": ("Size of messages", "The same events in messages of equal sizes. Small messages cost as messages."),
    "workers": (
        "Workers",
        "Each worker reads from memory and stores nothing. If both lines bend together, the machine is the limit.",
    ),
    "memory": ("Memory over time", "One worker at full speed, with flushes to a storage that takes no time."),
    "latency": (
        "Latency",
        "How long a poll and a flush of that worker take. They share one core, so each waits for the other.",
    ),
}


def report(results: Results) -> str:
    """Return the page."""
    drawn = plots(results)
    data, machine = results["data"], results["machine"]
    whole = {codec: sum(stages.values()) for codec, stages in results["stages"].items()}
    facts = {
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['instructions']}, {machine['system']}",
        "version": f"recording-worker {machine['recording_worker']}, Python {machine['python']}",
        "messages": f"{data['recorded']:,} of {data['messages']:,} recorded, {data['bytes'] / 1e6:,.1f} MB",
        "files": ", ".join(data["files"]),
        "measured": results["made"],
    }
    style = files("recording_worker.bench").joinpath("assets/report.css").read_text(encoding="utf-8")
    noise = results["noise"]
    sections = "".join(
        f"<section><h2>{escape(title)}</h2><p>{escape(text)}</p>{drawn[name]}</section>"
        for name, (title, text) in _PLOTS.items()
    )
    cards = "".join(
        f"<div><b>{seconds:.2f}</b> CPU s per GB"
        f"<small>with {codec}: one core takes {1000 / seconds:,.0f} MB/s</small></div>"
        for codec, seconds in whole.items()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>recording-worker bench</title><style>{style}</style>"
        "<header><h1>What recordings cost on this machine</h1>"
        f"<dl>{''.join(f'<div><dt>{name}</dt><dd>{escape(str(text))}</dd></div>' for name, text in facts.items())}</dl>"
        f'<p class="{"warning" if noise["too_noisy"] else "fine"}">{escape(noise["text"])}</p></header>'
        f'<div class="cards">{cards}</div>{_against(results)}<main>{sections}</main>{_table(results)}</html>'
    )


def _against(results: Results) -> str:
    if "against" not in results:
        return ""
    against = results["against"]
    rows = "".join(
        f'<tr class="{escape(case["verdict"].split()[0])}"><td>{escape(name)}<td>{case["ratio"]:.3f}'
        f"<td>{case['low']:.3f} to {case['high']:.3f}<td>{escape(case['verdict'])}"
        for name, case in against["cases"].items()
    )
    return (
        f"<section><h2>Against the bench of {escape(against['made'])}</h2><p>{escape(against['text'])}"
        " Below 1 is faster now. The interval holds the true ratio with 95 % probability, if only chance differs.</p>"
        '<div class="scroll"><table><tr><th>case<th>now / then<th>95 % interval<th>verdict'
        f"{rows}</table></div></section>"
    )


def _table(results: Results) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}<td>{case['cpu_s_per_gb']:.3f}<td>{case['low']:.3f} to {case['high']:.3f}"
        f"<td>{1000 / case['cpu_s_per_gb']:,.0f}"
        for name, case in results["cases"].items()
    )
    missing = f"<p>{escape(results['no_dictionary'])}</p>" if results["no_dictionary"] else ""
    return (
        f"<section><details><summary>All figures</summary>{missing}<div class=scroll><table>"
        f"<tr><th>case<th>CPU s per GB<th>95 % interval<th>MB/s{rows}</table></div></details></section>"
    )
