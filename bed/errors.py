# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""The one exception a person is meant to read."""


class BedError(Exception):
    """Something the test bed needs is missing or broken.

    message: one plain sentence; log: the file in which to read more, or None.
    """

    def __init__(self, message, log=None):
        super().__init__(message)
        self.log = log

    def __str__(self):
        message = super().__str__()
        return f"{message} (log: {self.log})" if self.log else message
