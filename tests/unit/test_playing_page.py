"""The page, its server, and the player it needs."""

import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPMessage
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from recording_worker.errors import BootError, WorkerError
from recording_worker.formats.rrweb import EventType, NodeType, Source
from recording_worker.playing import player
from recording_worker.playing.page import in_html, served_page, whole_page
from recording_worker.playing.player import Player
from recording_worker.playing.server import PlayServer, recording_pages
from recording_worker.playing.session import Recording, Window

PLAYER = Player("var rrwebReplay;", ".replayer-mouse {}")


@pytest.fixture
def recording() -> Recording:
    window = Window("</script>", 1.0, 2.0, 2, 1.0, lines=[b'["w",{"a":"</script><!--"}]', b'["w",\r{}]'])
    return Recording("<b>&session", 1, "user", files=1, bytes=10, windows=[window])


def data_in(html: str, name: str) -> str:
    [found] = re.findall(rf'<script type="[^"]+" id="{name}">(.*?)</script>', html, re.DOTALL)
    assert isinstance(found, str)
    return found


def test_the_whole_page_holds_the_recording_escaped(recording: Recording) -> None:
    html = "".join(whole_page(PLAYER, recording))
    assert json.loads(data_in(html, "recording"))["session"] == "<b>&session"
    lines = data_in(html, "window-0")
    assert "<" not in lines
    assert [json.loads(line) for line in lines.split("\n")] == [["w", {"a": "</script><!--"}], ["w", {}]]
    assert html.count("<script") == 3
    assert "connect-src 'none'" in html


def test_text_put_into_the_page_is_not_searched_for_places(recording: Recording) -> None:
    recording.session_id = "{{script}} {{nowhere}}"
    assert (
        json.loads(data_in("".join(whole_page(PLAYER, recording)), "recording"))["session"] == "{{script}} {{nowhere}}"
    )


def test_the_stage_has_the_numbers_of_rrweb() -> None:
    script = resources.files("recording_worker.playing").joinpath("assets", "stage.js").read_text("utf-8")
    for numbers, names in ((EventType, "META"), (Source, "MUTATION"), (NodeType, "ELEMENT")):
        [line] = re.findall(rf"const (.*\b{names} = .*);", script)
        assert len(assigned := dict(re.findall(r"(\w+) = (\d+)", line))) > 1
        assert {name: int(number) for name, number in assigned.items()} == {name: numbers[name] for name in assigned}


def test_lines_in_html() -> None:
    assert in_html('["</script>\\u003c"]\n[\r1]') == '["\\u003c/script>\\u003c"]\n[ 1]'


def test_the_policy_allows_only_the_pages_own_scripts() -> None:
    policy = served_page(PLAYER).policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"('sha256-[\w+/=]{44}' ?){3}", rules["script-src"])
    assert {name: rules[name] for name in ("img-src", "font-src", "media-src", "frame-src")} == dict.fromkeys(
        ("img-src", "font-src", "media-src", "frame-src"), "data:"
    )
    assert "recording" not in data_tags(served_page(PLAYER).html)


def data_tags(html: str) -> list[str]:
    return re.findall(r'<script type="[^"]+" id="(\w+)"', html)


@pytest.fixture
def server(recording: Recording) -> Iterator[PlayServer]:
    server = PlayServer(recording_pages(served_page(PLAYER), recording), 0)
    yield server
    server.close()


def ask(url: str, host: str = "", method: str = "GET") -> tuple[int, HTTPMessage, bytes]:
    """Return the status, the headers and the body. `host`: what to say instead of the URL's host."""
    address = urlsplit(url)
    connection = HTTPConnection(address.netloc, timeout=10)
    connection.request(method, address.path, headers={"Host": host} if host else {})
    response = connection.getresponse()
    with closing(connection), response:
        return response.status, response.msg, response.read()


def test_the_server_gives_page_and_data(server: PlayServer, recording: Recording) -> None:
    status, headers, body = ask(server.url)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"<title>" in body
    assert headers["Content-Security-Policy"].endswith("frame-ancestors 'none'")
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
    assert ask(f"{server.url}recording.json")[2].decode() == recording.as_json()
    assert ask(f"{server.url}windows/0.jsonl")[2] == b"\n".join(recording.windows[0].lines)
    status, headers, body = ask(server.url, method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 1_000


@pytest.mark.parametrize(
    ("path", "host", "method", "status"),
    [
        ("../", "", "GET", 404),
        ("../recording.json", "", "GET", 404),
        ("../Secret/recording.json", "", "GET", 404),
        ("windows/1.jsonl", "", "GET", 404),
        ("windows/../", "", "GET", 404),
        ("", "", "POST", 405),
        ("", "rebound.test:{port}", "GET", 421),
        ("recording.json", "127.0.0.1:1", "GET", 421),
    ],
)
def test_the_server_gives_nothing_else(server: PlayServer, path: str, host: str, method: str, status: int) -> None:
    root, secret, _ = server.url.rsplit("/", 2)
    path = path.replace("../", "", 1) if path.startswith("../") else f"{secret}/{path}"
    answered, headers, body = ask(f"{root}/{path}", host.format(port=urlsplit(root).port), method)
    assert answered == status
    assert headers["Content-Type"].startswith("text/plain")
    assert len(body) < 50


def test_a_taken_port_is_an_error(recording: Recording) -> None:
    first = PlayServer(recording_pages(served_page(PLAYER), recording), 0)
    port = int(first.url.split(":")[2].split("/")[0])
    with pytest.raises(BootError, match=rf"can't listen on 127.0.0.1:{port}: Address already in use"):
        PlayServer(recording_pages(served_page(PLAYER), recording), port)
    first.close()


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_a_missing_player_says_what_to_run(caches: Path) -> None:
    with pytest.raises(BootError, match=r"make player.*python -m recording_worker\.playing\.player"):
        player.load()
    assert list(caches.iterdir()) == []


def test_without_npm_it_says_so(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(caches))
    with pytest.raises(WorkerError, match="needs npm"):
        player.fetch()


def fake_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Make a program called npm; `$5` is the folder for the package."""
    npm = folder / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")


def test_a_package_that_was_changed_is_not_used(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(caches, monkeypatch, 'echo "something else" > "$5/replay.tgz"')
    with pytest.raises(WorkerError, match="not the package that this version knows"):
        player.fetch()
    assert not player.folder().exists()


def test_what_npm_says_is_in_the_error(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(caches, monkeypatch, "echo no network >&2; exit 1")
    with pytest.raises(WorkerError, match=r"could not be fetched: .*: no network"):
        player.fetch()


def test_it_is_fetched_once(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = caches / "content"
    content.write_text("content")
    with tarfile.open(caches / "good.tgz", "w") as archive:
        for name in (player._SCRIPT, player._STYLE):
            archive.add(content, name)
    fake_npm(caches, monkeypatch, f'cp {caches}/good.tgz "$5" && echo >> {caches}/calls')
    player.folder().parent.mkdir()  # as an earlier version has left it
    monkeypatch.setattr(player, "check_integrity", lambda _archive: None)
    monkeypatch.setattr(player, "_HASHES", dict.fromkeys(player._HASHES, player._hash(b"content")))
    player.fetch()
    player.fetch()
    assert player.load() == Player("content", "content")
    assert (caches / "calls").read_text() == "\n"
    assert sorted(path.name for path in (caches / "recording-worker").iterdir()) == [player.folder().name]


@pytest.mark.usefixtures("caches")
@pytest.mark.parametrize("changed", ["replay.min.js", "style.min.css"])
def test_a_player_that_was_changed_in_the_cache_is_not_used(monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    monkeypatch.setattr(player, "_HASHES", dict.fromkeys(player._HASHES, player._hash(b"content")))
    player.folder().mkdir(parents=True)
    for name in ("replay.min.js", "style.min.css"):
        (player.folder() / name).write_text("content")
    assert player.load() == Player("content", "content")
    (player.folder() / changed).write_text("content ")
    for use in (player.load, player.fetch):
        with pytest.raises(BootError, match=f"the player in {player.folder()} was changed: remove this folder"):
            use()
