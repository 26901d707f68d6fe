# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""How a command of the test bed ends."""
import os
import signal
import sys

from .errors import BedError


def command(main):
    """Run main(): exit with what it returns, with 1 and one plain message on BedError, with 130 if interrupted.

    A polite kill unwinds as Ctrl-C does, so that emulators end with us.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except BedError as error:
        sys.exit(f"FAILED: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has left; do not fail once more as Python closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
