"""Brokers: one or three of them, the network between them, and which of them a fault has in hand."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults.processes import connections
from tests.faults.proxy import Mode, Proxy
from tests.servers.kafka import KafkaCluster, KafkaServer

_DOORS = ("BROKERS", "CONTROLLER")
"""Listeners at which other brokers, and no clients, connect."""


class Brokers:
    """The brokers of the suite, behind the hosts' proxies and, if there are several, behind proxies of their own."""

    def __init__(
        self, folder: Path, size: int, proxies: Mapping[str, Proxy], settings: Mapping[str, str | int]
    ) -> None:
        """`proxies`: each host's, with a door for each broker."""
        self.size = size
        self._hosts = [*proxies.values()]
        self._between = [Proxy(len(_DOORS)) for _ in range(size)] if size > 1 else []
        """Each broker's: all that the others tell it passes through it."""
        self.cluster = KafkaCluster(
            folder,
            size,
            advertised=[self._listeners(node, proxies) for node in range(size)],
            settings=settings,
            controllers=[f"127.0.0.1:{proxy.ports[_DOORS.index('CONTROLLER')]}" for proxy in self._between],
        )
        for name, proxy in proxies.items():
            proxy.connect_to(*(server.ports[name.upper()] for server in self.cluster.servers))
        for proxy, server in zip(self._between, self.cluster.servers, strict=False):
            proxy.connect_to(*(server.ports[door] for door in _DOORS))
        self._in_hand = [threading.Lock() for _ in range(size)]
        self._network = threading.Lock()

    def _listeners(self, number: int, proxies: Mapping[str, Proxy]) -> dict[str, str]:
        hosts = {name.upper(): f"127.0.0.1:{proxy.ports[number]}" for name, proxy in proxies.items()}
        if self.size == 1:
            return hosts
        return hosts | dict(zip(_DOORS, self._between[number].address.split(","), strict=True))

    @property
    def bootstrap_servers(self) -> str:
        return self.cluster.bootstrap_servers

    @property
    def only(self) -> KafkaServer:
        """The broker, where it is the only one."""
        [server] = self.cluster.servers
        return server

    @contextmanager
    def in_hand(self, node: int) -> Iterator[KafkaServer]:
        """Let nobody else hurt this broker. Raises TimeoutError if somebody does, or if there is no such broker."""
        if node < 1 or not self._in_hand[node - 1].acquire(blocking=False):
            raise TimeoutError(f"broker {node} can't be hurt now")
        try:
            yield self.cluster.server(node)
        finally:
            self._in_hand[node - 1].release()

    @contextmanager
    def isolated(self, node: int) -> Iterator[Callable[[], int]]:
        """Cut a broker off from the others, though not from clients. One at a time. Raises TimeoutError.

        Gives a function that counts the frames that were held up.
        """
        if not self._network.acquire(blocking=False):
            raise TimeoutError("another broker is isolated")
        before = sum(proxy.hits for proxy in self._between)
        with ExitStack() as healing:
            healing.callback(self._network.release)
            for number, proxy in enumerate(self._between, start=1):
                healing.callback(proxy.set_mode, Mode.OPEN)
                proxy.set_mode(Mode.SILENT, _crossing(self.cluster.server(node), proxy, inside=number == node))
            yield lambda: sum(proxy.hits for proxy in self._between) - before

    @contextmanager
    def slow(self, node: int, seconds: float) -> Iterator[Callable[[], int]]:
        """Delay whatever a broker says to the hosts, and hears from them and from the other brokers.

        Gives a function that counts the frames that were delayed.
        """
        between = self._between[node - 1]
        ways = [*((host, node - 1) for host in self._hosts), *((between, door) for door in range(len(_DOORS)))]
        proxies = [*self._hosts, between]
        before = sum(proxy.delayed for proxy in proxies)
        for proxy, door in ways:
            proxy.set_delay(door, seconds)
        try:
            yield lambda: sum(proxy.delayed for proxy in proxies) - before
        finally:
            for proxy, door in ways:
                proxy.set_delay(door, 0)

    def close(self) -> None:
        self.cluster.stop()
        for proxy in self._between:
            proxy.close()


def _crossing(server: KafkaServer, proxy: Proxy, *, inside: bool) -> Callable[[int], bool]:
    """Which connections at a broker's proxy lead to or from this server and another one.

    `inside`: it is this server's proxy. It finds itself through it too.
    """
    known: dict[int, bool] = {}

    def is_crossing(client_port: int) -> bool:
        if client_port not in known:
            known.update(connections(server.pid, proxy.ports))
        return known.get(client_port, False) is not inside

    return is_crossing
