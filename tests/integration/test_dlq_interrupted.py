"""`recording-worker dlq redrive`, stopped, killed and fenced: the next run continues, nothing is sent twice."""

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.proxy import Api, Mode, Proxy, Side
from tests.integration.dlq_stage import DlqStage
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer

LETTERS = 400


@pytest.fixture
def stage(kafka: KafkaServer, new_topic: NewTopic, tmp_path: Path) -> DlqStage:
    return DlqStage(kafka.bootstrap_servers, new_topic, tmp_path)


@contextmanager
def redriving(stage: DlqStage, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a redrive that has sent its first message. Kill it at the end if it still runs."""
    with stage.start("redrive", *arguments) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("redriven: ")
            yield process
        finally:
            process.kill()


def rest_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for the end; return the rest of standard output and error."""
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = process.stdout.read(), process.stderr.read()
    process.wait()
    return out, err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_redrive_stops_on_a_signal_and_the_next_one_continues(
    stage: DlqStage, number: signal.Signals, code: int
) -> None:
    stage.letters(LETTERS)
    with redriving(stage, "--rate", "20") as process:
        process.send_signal(number)
        out, err = rest_of(process)
    assert (process.returncode, err) == (code, "")
    sent = out.count("redriven: ") + 1
    assert out.splitlines()[-2:] == ["stopped: the rest is left for next time", f"{sent} messages redriven"]
    assert 0 < sent < LETTERS
    assert stage.sent_back().total() == sent == len(stage.audited())
    rest = LETTERS - sent
    assert f"{rest} messages redriven; {sent} redriven before" in stage.done("redrive")
    assert stage.sent_back() == dict.fromkeys(range(LETTERS), 1)


def test_a_redrive_killed_again_and_again_sends_everything_once(stage: DlqStage) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    letters = 3 * LETTERS
    stage.letters(letters)
    killed = 0
    # not counted by `dlq list`: it refuses while a killed redrive has left a transaction open on the audit topic
    while killed < 8 and len(stage.audited()) < letters - LETTERS // 2:
        with redriving(stage, "--rate", "100") as process:
            time.sleep(chance.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
    assert killed > 2
    assert 0 < stage.sent_back().total() < letters
    stage.done("redrive")
    assert stage.sent_back() == dict.fromkeys(range(letters), 1)
    assert len(stage.audited()) == letters
    assert stage.numbers() == []


def test_a_second_redrive_ends_the_first_and_continues(stage: DlqStage) -> None:
    stage.letters(LETTERS)
    with redriving(stage, "--rate", "20") as first:
        second = stage.done("redrive")
        out, err = rest_of(first)
    assert first.returncode == 1
    assert f"another redrive or drop of {stage.dlq} has begun" in err
    assert out.count("redriven: ") + 1 + second.count("redriven: ") == LETTERS
    assert stage.sent_back() == dict.fromkeys(range(LETTERS), 1)
    assert len(stage.audited()) == LETTERS


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KafkaServer, Proxy]]:
    proxy = Proxy()
    try:
        folder = tmp_path_factory.mktemp("kafka")
        with KafkaServer(folder, advertised={"PROXY": f"127.0.0.1:{proxy.port}"}) as server:
            proxy.connect_to(server.ports["PROXY"])
            yield server, proxy
    finally:
        proxy.close()


@pytest.fixture
def proxied(behind_proxy: tuple[KafkaServer, Proxy], tmp_path: Path, request: pytest.FixtureRequest) -> DlqStage:
    """A stage whose commands reach the broker through the proxy."""
    server, proxy = behind_proxy
    numbers = iter(range(10))

    def new_topic(partitions: int) -> str:
        name = f"{abs(hash(request.node.name))}-{next(numbers)}"
        server.create_topic(name, partitions)
        return name

    stage = DlqStage(server.bootstrap_servers, new_topic, tmp_path)
    stage.use(f"127.0.0.1:{proxy.port}")
    return stage


@pytest.mark.parametrize(
    ("api", "side", "counts"),
    [
        (Api.PRODUCE, Side.REQUEST, False),
        (Api.PRODUCE, Side.RESPONSE, False),
        (Api.END_TXN, Side.REQUEST, False),
        (Api.END_TXN, Side.RESPONSE, True),
    ],
    ids=["before anything", "after the messages", "before the commit", "after the commit"],
)
def test_a_redrive_killed_inside_its_transaction(
    proxied: DlqStage, behind_proxy: tuple[KafkaServer, Proxy], api: Api, side: Side, *, counts: bool
) -> None:
    _, proxy = behind_proxy
    proxied.letters(20)
    trap = proxy.trap(api, side=side)
    with proxied.start("redrive") as process:
        caught = trap.wait()
        process.kill()
        process.wait()
        caught.cut(0.0)
    before = 20 if counts else 0
    assert f"{20 - before} message" in (text := proxied.done("redrive"))
    assert (f"; {before} redriven before" in text) == counts
    assert proxied.sent_back() == dict.fromkeys(range(20), 1)
    assert len(proxied.audited()) == 20


def test_lost_answers_and_a_silent_broker_double_nothing(
    proxied: DlqStage, behind_proxy: tuple[KafkaServer, Proxy]
) -> None:
    _, proxy = behind_proxy
    proxied.letters(LETTERS)
    with redriving(proxied, "--rate", "50") as process:
        proxy.catch(Api.END_TXN, side=Side.RESPONSE, seconds=30).cut(0.0)
        proxy.catch(Api.PRODUCE, side=Side.RESPONSE, seconds=30).cut(0.0)
        proxy.set_mode(Mode.SILENT)
        time.sleep(3)
        proxy.set_mode(Mode.OPEN)
        _, err = rest_of(process)
    assert process.returncode == 0, err
    assert proxied.sent_back() == dict.fromkeys(range(LETTERS), 1)
    assert len(proxied.audited()) == LETTERS


def test_a_redrive_can_be_stopped_while_the_broker_does_not_answer(
    proxied: DlqStage, behind_proxy: tuple[KafkaServer, Proxy]
) -> None:
    _, proxy = behind_proxy
    proxied.letters(LETTERS)
    with redriving(proxied, "--rate", "20") as process:
        caught = proxy.catch(Api.END_TXN, side=Side.REQUEST, seconds=30)
        proxy.set_mode(Mode.SILENT)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            proxy.set_mode(Mode.OPEN)
            caught.cut(0.0)
    assert process.returncode == 143
    proxied.done("redrive")
    assert proxied.sent_back() == dict.fromkeys(range(LETTERS), 1)
