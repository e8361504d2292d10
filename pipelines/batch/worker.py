"""The process that repairs files for a batch: loads the networks once, receives files, sends results.

A process of its own, so that a file that crashes a decoder costs that file alone, and so that several share a machine.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from dataclasses import replace
from multiprocessing.connection import Connection

from deepclarity.models.load import usable_device
from deepclarity.pipelines.load_executor import Networks

from .files import BatchFile
from .records import BatchOptions
from .repair import repair_file


class _Stopped(BaseException):
    """The batch was stopped."""


def serve(connection: Connection, options: BatchOptions, number: int, jobs: int) -> None:
    """Repair the files that arrive on `connection`, until it is closed; this is worker `number` of `jobs`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the entire process group; the parent decides
    signal.signal(signal.SIGTERM, _stop)
    _silence()
    _share_cores(number, jobs)
    networks = Networks()
    try:
        preset = replace(options.preset, device=_own_device(options.preset.device, number))
        while True:
            file: BatchFile = connection.recv()
            connection.send(repair_file(file, replace(options, preset=preset), networks, connection.send))
    except (EOFError, OSError, _Stopped):  # the parent has closed the connection, or has gone
        return
    finally:
        networks.close()


def _stop(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is being closed must not be interrupted again
    raise _Stopped


def _silence() -> None:
    """Discard what libraries print: messages reach the user as results."""
    logging.getLogger("deepclarity").propagate = False
    silent = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(silent, descriptor)
    os.close(silent)


def _share_cores(number: int, jobs: int) -> None:
    """Use this worker's share of the cores, by the process's affinity, which every library respects."""
    if jobs < 2 or sys.platform != "linux":
        return
    cores = sorted(os.sched_getaffinity(0))
    share = [core for index, core in enumerate(cores) if index * jobs // len(cores) == number]
    os.sched_setaffinity(0, share or [cores[number % len(cores)]])


def _own_device(device: str, number: int) -> str:
    """The device of this worker: on a machine with several GPUs, each takes the next one."""
    if device not in ("auto", "cuda") or usable_device(device) != "cuda":
        return device
    import torch

    count = torch.cuda.device_count()
    return device if count < 2 else f"cuda:{number % count}"
