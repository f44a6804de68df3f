"""Imports structlog without rich. What starts a process imports this before anything that logs.

If structlog finds rich, it imports what rich needs to print a stack. Our logs never print one that way (`setup`). It
would be a tenth of a process's start, and 3 MiB of each worker.
"""

import sys

if "structlog" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment] # Python takes it for missing
    import structlog  # noqa: F401

    del sys.modules["rich"]
