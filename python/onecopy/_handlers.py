"""The program's signal handlers while something runs that they must not interrupt.

This file stands alone, as `_objects.py` does.
"""

from __future__ import annotations

import _thread
import functools
import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Handlers", "raise_after_fork"]


class Handlers:
    """The program's signal handlers, which must not raise while the table is written.

    That would end the table, and what is raised before a fork is lost (`os.register_at_fork`). So they run, and the
    first of what they raise is kept. In other threads than the main one nothing is to be done: handlers do not run
    there.
    """

    def __init__(self) -> None:
        self._own: dict[int, Any] = {}
        self.raised: BaseException | None = None

    def hold(self) -> None:
        """Keeps what they raise from now on."""
        if _thread.get_native_id() != os.getpid():
            return
        for number in signal.valid_signals():
            handler = signal.getsignal(number)
            if callable(handler):
                self._own[number] = handler
                signal.signal(number, self._call)

    def _call(self, number: int, frame: FrameType | None) -> None:
        try:
            self._own[number](number, frame)
        except BaseException as error:  # noqa: BLE001 - whatever it is
            self.raised = self.raised or error

    def release(self) -> None:
        """Gives the program its own handlers back."""
        numbers = list(self._own)
        while numbers:
            try:
                while numbers:
                    number = numbers[-1]
                    # Unless one of the program's has set another meanwhile.
                    if signal.getsignal(number) == self._call:
                        signal.signal(number, self._own[number])
                    numbers.pop()
            except BaseException as error:  # noqa: BLE001 - of one that is released
                self.raised = self.raised or error


def raise_after_fork(error: BaseException) -> None:
    """Raises an exception in the program as soon as the fork is done, in the parent.

    It comes by way of a SIGINT that is simulated after the fork, with a handler that sets the program's own again. The
    simulation is registered now, at the last moment, and is no bytecode: Python code among the handlers that run after
    the fork would have the exception raised inside it, where it is lost. What is registered does nothing at later
    forks, and in the child no more than to set the program's handler again.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is None:
        # It is C code's own, and could not be set again; the interpreter prints what is raised here.
        raise error

    def deliver(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler
        signal.signal(signal.SIGINT, handler)
        raise error

    numbers, handlers = [signal.SIGINT], [handler]
    signal.signal(signal.SIGINT, deliver)
    os.register_at_fork(
        after_in_parent=functools.partial(max, numbers, key=_thread.interrupt_main, default=None),
        after_in_child=functools.partial(next, map(signal.signal, numbers, handlers), None),
    )
    # After it; and the child, for its own forks.
    os.register_at_fork(after_in_parent=numbers.clear, after_in_child=numbers.clear)
