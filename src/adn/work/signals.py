"""Turn signals that end a process into an exception, so that half-written output is removed."""

from __future__ import annotations

import signal


def unwind_on_signals() -> None:
    """Ctrl-C, SIGTERM and a closed terminal raise KeyboardInterrupt, so that half-written files are removed.

    Only the first one does: an impatient second one must not interrupt the clean-up. Ignored signals (nohup) stay so.
    """
    wanted = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    heard = [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]

    def unwind(number: int, frame: object) -> None:
        for other in heard:
            signal.signal(other, lambda *_: None)  # not SIG_IGN: Python complains if one is on its way already
        raise KeyboardInterrupt

    for number in heard:
        signal.signal(number, unwind)
