"""`recording-worker dlq`: what is on the DLQ, and what to do about it. One file a command, but for the two that act."""

import click

from recording_worker.cli.dlq.acting import drop, redrive
from recording_worker.cli.dlq.listing import list_letters
from recording_worker.cli.dlq.showing import show


class _InOrder(click.Group):
    """A group that lists its commands in the order they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)


@click.group(
    cls=_InOrder,
    epilog="""\b
Each command explains itself:
  recording-worker dlq redrive --help""",
)
def dlq() -> None:
    """Messages on the DLQ: list them, look at one, send them back to where they came from, or drop them.

    What was done about a message is kept on the audit topic (--dlq-audit-topic), in one transaction with the doing:
    so a redrive that was stopped, or killed, goes on later and sends nothing twice.
    """


for _command in (list_letters, show, redrive, drop):
    dlq.add_command(_command)
