"""`recording-worker run` on the embedded broker: what comes in is recorded, whatever happens to its processes."""

import os
import signal
import time
from pathlib import Path

from recording_worker.kafka.embedded import EmbeddedBroker
from tests.integration.conftest import PARTITIONS, StartService
from tests.integration.service import Traffic, is_alive, read_topic, recorded
from tests.notify_socket import NotifySocket
from tests.waiting import wait_for


def test_a_worker_killed_in_the_middle_loses_nothing(
    broker: EmbeddedBroker, start: StartService, traffic: Traffic
) -> None:
    # small enough that batches wait for flushes in flight
    service = start(poll_messages=20, max_batch_bytes=10_000)
    service.wait_until_ready()
    traffic.send(600)
    wait_for(lambda: recorded(service.storage).total() > 0, "a first file")
    traffic.send(600)
    os.kill(service.worker_pids()[0], signal.SIGKILL)
    traffic.send(600)
    wait_for(lambda: service.counts("worker_restarts_total") == {'{reason="killed"}': 1.0}, "the worker's restart")
    traffic.send(600)
    traffic.wait_until_committed()
    wait_for(lambda: set(service.metric("lag_messages").values()) == {0.0}, "no lag")
    until = service.metric("recorded_until_timestamp_seconds").values()
    assert len(until) == PARTITIONS
    commits = service.metric("worker_commit_timestamp_seconds")
    assert commits.keys() == {'{worker="0"}', '{worker="1"}'}
    assert all(time.time() - 300 < at <= time.time() for at in commits.values())
    assert time.time() - 300 < min(until) <= max(until) <= time.time()
    assert service.metric("latency_seconds_count")['{since="received"}'] >= 1200, "those after the kill, at the least"
    assert service.stop() == 0
    assert recorded(service.storage).keys() == set(range(traffic.sent))
    metadata = read_topic(broker.bootstrap_servers, "clickhouse_session_replay_events")
    # a worker that is killed between a file and its metadata leaves blocks that no metadata leads to
    led_to = sum(block["event_count"] for block in metadata)
    assert traffic.sent <= led_to <= recorded(service.storage).total()


def test_messages_that_are_read_again_after_a_kill_are_counted_once(start: StartService, traffic: Traffic) -> None:
    service = start(workers=1, max_batch_age=600.0, max_batch_bytes="8MiB")
    service.wait_until_ready()
    traffic.send(3_600)

    def processed() -> float:
        return sum(service.metric("messages_processed_total").values())

    wait_for(lambda: processed() == 3_600, "all to be read")
    assert service.counts("messages_total") == {}
    os.kill(service.worker_pids()[0], signal.SIGKILL)
    wait_for(lambda: processed() == 7_200, "all to be read again")
    traffic.send(12, "x" * 1_000_000)  # which is over the size of a batch
    wait_for(lambda: processed() == 7_212, "these to be read")
    wait_for(lambda: sum(service.counts("messages_total").values()) >= 3_600, "the flush")
    assert service.counts("messages_total").keys() == {'{disposition="ok",reason=""}'}
    [delivered] = service.counts("messages_total").values()
    assert delivered <= traffic.sent
    assert sum(service.metric("messages_received_total").values()) == 2 * 3_600 + 12
    assert sum(service.metric("partition_messages_total").values()) == delivered
    assert service.metric("events_total") == {"": delivered}
    assert service.stop() == 0


def test_stopping_flushes_and_commits_what_was_read_and_the_next_run_goes_on_there(
    start: StartService, traffic: Traffic
) -> None:
    first = start("first", max_batch_age=600.0)
    first.wait_until_ready()
    traffic.send(300)
    wait_for(lambda: sum(first.metric("messages_processed_total").values()) == 300, "all to be read")
    assert recorded(first.storage).total() == 0
    assert first.stop() == 0
    assert recorded(first.storage) == dict.fromkeys(range(300), 1)
    assert traffic.committed() == traffic.ends()
    assert not [pid for pid in first.worker_pids().values() if is_alive(pid)]

    traffic.send(120)
    second = start("second", poll_messages=20, max_batch_bytes=10_000)
    traffic.wait_until_committed()
    assert second.stop() == 0
    assert recorded(second.storage) == dict.fromkeys(range(420), 1)


def test_latest_begins_at_the_end_and_ctrl_c_is_a_clean_stop(
    start: StartService, traffic: Traffic, tmp_path: Path
) -> None:
    traffic.send(60)
    with NotifySocket(tmp_path / "notify") as systemd:
        environment = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "1000000"}
        service = start(start_from="latest", environment=environment)
        service.wait_until_ready()
        traffic.wait_until_committed()
        traffic.send(60)
        traffic.wait_until_committed()
        assert service.interrupt() == 0
    assert [line for line in systemd.lines if line in ("READY=1", "STOPPING=1")] == ["READY=1", "STOPPING=1"]
    assert {"STATUS=ready", "WATCHDOG=1"} <= set(systemd.lines)
    assert recorded(service.storage) == dict.fromkeys(range(60, 120), 1)


def test_a_second_host_takes_its_part_and_gives_it_back(start: StartService, traffic: Traffic) -> None:
    first = start("first")
    first.wait_until_ready()
    traffic.send(300)
    second = start("second")
    wait_for(lambda: len(first.partitions()) == len(second.partitions()) == PARTITIONS // 2, "an even split")
    assert not first.partitions() & second.partitions()
    traffic.send(300)
    traffic.wait_until_committed()
    traffic.send(300)
    assert second.stop() == 0
    wait_for(lambda: len(first.partitions()) == PARTITIONS, "the first host to have all again")
    traffic.send(300)
    traffic.wait_until_committed()
    assert first.stop() == 0
    # that each is there once is shown on Apache Kafka: the embedded broker may refuse the commit of a revoke
    assert recorded(first.storage).keys() == set(range(traffic.sent))


def test_a_stuck_worker_is_killed_and_its_partitions_go_on(start: StartService, traffic: Traffic) -> None:
    service = start(progress_deadline=5.0)  # a worker that stops must also be gone within it
    service.wait_until_ready()
    wait_for(lambda: set(service.metric("lag_messages").values()) == {0.0}, "the ends of the logs to be known")
    os.kill(service.worker_pids()[1], signal.SIGSTOP)
    traffic.send(120)
    wait_for(lambda: service.status()["workers"][1]["lag_messages"] > 0, "the lag of a worker that says nothing")
    traffic.wait_until_committed()
    assert service.counts("worker_restarts_total") == {'{reason="stuck"}': 1.0}
    assert service.stop() == 0
    assert recorded(service.storage).keys() == set(range(120))


def test_workers_do_not_outlive_their_supervisor(start: StartService) -> None:
    service = start()
    service.wait_until_ready()
    workers = service.worker_pids().values()
    service.process.kill()
    wait_for(lambda: not any(is_alive(pid) for pid in workers), "the workers' end", seconds=5)


HANGING_LOOP = """
import pathlib, selectors, signal, time
later, select = signal.setitimer, selectors.PollSelector.select
def hang_once_told(*arguments):
    while pathlib.Path(__file__).with_name("hang").exists():
        time.sleep(0.1)
    return select(*arguments)
selectors.PollSelector.select = hang_once_told
signal.setitimer = lambda which, seconds: later(which, seconds / 100)
"""
"""What Python runs at its start: waiting for workers may take for ever, and a hundred times less is too long."""


def test_a_supervisor_whose_loop_hangs_ends_and_its_workers_with_it(start: StartService, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HANGING_LOOP)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    service = start(environment={"PYTHONPATH": path})
    service.wait_until_ready()
    (tmp_path / "hang").touch()
    assert service.process.wait(20) == 14
    assert "in hang_once_told" in service.log_file.read_text(), "the stacks"
    wait_for(lambda: not any(map(is_alive, service.worker_pids().values())), "the workers' end", seconds=5)


def test_a_worker_that_is_still_starting_does_not_hold_up_a_stop(start: StartService) -> None:
    service = start(workers=1, drain_deadline=120.0)
    wait_for(lambda: service.logged("worker started"), "a worker")
    assert service.stop(60) == 0, "it does not wait for the deadline"
    assert service.logged("stopped: all that was read is flushed")


def test_a_second_signal_exits_at_once(start: StartService) -> None:
    service = start(drain_deadline=120.0)
    service.wait_until_ready()
    for pid in service.worker_pids().values():
        os.kill(pid, signal.SIGSTOP)  # so that no flush ends
    service.signal(signal.SIGINT)
    wait_for(lambda: service.logged("stopping"), "the first signal to be taken")
    assert service.stop(60) == 1, "it does not wait for the deadline"
    assert not [pid for pid in service.worker_pids().values() if is_alive(pid)]


def test_the_consumer_group_protocol_of_kip_848(start: StartService, traffic: Traffic) -> None:
    service = start(group_protocol="consumer", kafka_consumer={})
    service.wait_until_ready()
    traffic.send(60)
    traffic.wait_until_committed()
    assert service.stop() == 0
    assert recorded(service.storage) == dict.fromkeys(range(60), 1)


def test_what_waited_too_long_is_recorded_by_the_group_of_the_backfill_topic(
    start: StartService, traffic: Traffic
) -> None:
    traffic.send(120, age=3_600)
    traffic.send(120)
    live = start("live", lag_shed_after=600.0)
    traffic.wait_until_committed()
    assert recorded(live.storage) == dict.fromkeys(range(120, 240), 1)
    shed = live.metric("messages_total")
    assert shed['{disposition="redirect",reason="lag_shed"}'] == 120
    backfill = start(
        "backfill", topic="session_recording_snapshot_item_backfill", group_id="backfill", lag_shed_after=600.0
    )
    wait_for(lambda: sum(backfill.metric("flushed_events_total").values()) == 120, "the backfill")
    assert recorded(live.storage) == dict.fromkeys(range(240), 1)
    assert (live.stop(), backfill.stop()) == (0, 0)


def test_what_is_redirected_is_recorded_by_the_group_of_the_overflow_topic_and_goes_no_further(
    start: StartService, traffic: Traffic, tmp_path: Path
) -> None:
    rules = tmp_path / "restrictions.toml"
    rules.write_text('[[restriction]]\ntype = "force_overflow"\ntoken = "token-1"\nsession_ids = ["session-0"]\n')
    redirecting = {"restrictions": str(rules), "hot_session_bytes_per_minute": 2_000}
    live = start("live", **redirecting)
    live.wait_until_ready()
    traffic.send(120)  # three messages of each session, some 300 bytes each
    traffic.sessions = 1
    traffic.send(10)
    traffic.sessions = 120
    traffic.send(2, str(os.urandom(2_000)))
    traffic.wait_until_committed()
    redirected = live.metric("messages_total")
    assert redirected['{disposition="redirect",reason="overflow_forced"}'] == 13
    assert redirected['{disposition="redirect",reason="overflow_hot_session"}'] == 2
    assert recorded(live.storage).total() == traffic.sent - 15
    overflow = start("overflow", topic="session_recording_snapshot_item_overflow", group_id="overflow", **redirecting)
    wait_for(lambda: sum(overflow.metric("flushed_events_total").values()) == 15, "the overflow")
    assert recorded(live.storage) == dict.fromkeys(range(traffic.sent), 1)
    assert (live.stop(), overflow.stop()) == (0, 0)
