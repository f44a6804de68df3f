"""`recording-worker dlq`: what is on the DLQ, and what to do about it. `acting` has both commands that act."""

import click

from recording_worker.cli.dlq.acting import drop, redrive
from recording_worker.cli.dlq.listing import list_letters
from recording_worker.cli.dlq.showing import show
from recording_worker.cli.say import demand_command


class _InOrder(click.Group):
    """A group that lists its commands in the order they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)


@click.group(
    cls=_InOrder,
    invoke_without_command=True,
    epilog="""\b
Each command explains itself:
  recording-worker dlq redrive --help""",
)
@click.pass_context
def dlq(ctx: click.Context) -> None:
    """Messages on the DLQ: list them, look at one, send them back to where they came from, or drop them.

    What was done about a message is recorded on the audit topic (--dlq-audit-topic) in the same transaction. So a
    redrive that was stopped or killed can be run again, and sends nothing twice.
    """
    demand_command(ctx)


for _command in (list_letters, show, redrive, drop):
    dlq.add_command(_command)
