# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Phases as a person sees them: one line each with its seconds, alive while it lasts if there is a terminal."""
import sys
import threading
import time

SPINNER = "|/-\\"
WIDTH = 34


class Progress:
    """Shows one phase at a time and keeps what each took, in `phases`: [(name, seconds, detail)].

    Use as a context manager, so that the terminal is left clean whatever happens.
    """

    def __init__(self, stream=sys.stdout):
        self.phases = []
        self._stream = stream
        self._lock = threading.Lock()
        self._name = None
        self._began = 0.0
        self._ended = threading.Event()
        self._spinner = threading.Thread(target=self._spin, daemon=True) if stream.isatty() else None

    def __enter__(self):
        if self._spinner:
            self._spinner.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        if self._spinner:
            self._spinner.join()
        self.end("not finished")

    def begin(self, name):
        """A phase begins; one that still runs ends."""
        self.end()
        with self._lock:
            self._name, self._began = name, time.monotonic()

    def end(self, detail=""):
        """The phase that runs, if any, ends; detail: a few words on what came of it."""
        with self._lock:
            if self._name is None:
                return
            seconds = time.monotonic() - self._began
            self.phases.append((self._name, seconds, detail))
            self._write(self._line(seconds, detail) + "\n")
            self._name = None

    def say(self, text):
        """A line of its own, above the phase that runs."""
        with self._lock:
            self._write(text + "\n")

    def _line(self, seconds, detail):
        return f"  {self._name + ' ':.<{WIDTH}} {seconds:6.1f} s  {detail}".rstrip()

    def _write(self, text):
        clear = "\r\033[K" if self._spinner else ""
        self._stream.write(clear + text)
        self._stream.flush()

    def _spin(self):
        turn = 0
        while not self._ended.wait(0.2):
            turn += 1
            with self._lock:
                if self._name:
                    self._write(self._line(time.monotonic() - self._began, SPINNER[turn % len(SPINNER)]))
