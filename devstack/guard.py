"""Become a command that dies with the process which started it.

Run by path (`python -I -S guard.py …`), never imported by what it starts. It drops privileges if
asked, ties its life to the parent's, and then *becomes* the command, so that the parent sees the
command's own process id, exit code and signals.

On Linux the kernel sends the death signal (PR_SET_PDEATHSIG). It has to be asked for after the
change of user, which clears it. Elsewhere a small watcher holds the read end of a pipe whose write
end only the parent has, and sends the signal when the pipe closes.
"""

import argparse
import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
# How often the watcher looks whether its command is still there.
WATCH_INTERVAL_S = 1.0


def main() -> None:
    """Tie this process to its parent and become the command after `--`."""
    options = parse_arguments()
    # A signal that our parent ignored would stay ignored in the command.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if options.uid is not None:
        drop_privileges(uid=options.uid, gid=options.gid)
    if options.watch is not None:
        watch_pipe(options.watch, death_signal=options.signal)
    else:
        ask_for_death_signal(options.signal)
    # A parent that died before the request above does not trigger the signal.
    if os.getppid() != options.parent:
        sys.exit("guard: the parent is gone")
    become(options.command)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="guard")
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--signal", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--watch", type=int, metavar="FD")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def drop_privileges(*, uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def ask_for_death_signal(number: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        sys.exit(f"guard: prctl: {os.strerror(ctypes.get_errno())}")


def watch_pipe(read_end: int, *, death_signal: int) -> None:
    """Leave a grandchild behind that signals this process when the pipe closes."""
    target = os.getpid()
    child = os.fork()
    if child:
        # The grandchild belongs to init: the command must not find a child it never started.
        os.waitpid(child, 0)
        os.close(read_end)
        return
    if os.fork():
        os._exit(0)
    os.setsid()
    # The command's output pipes must close when the command ends.
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    while is_alive(target):
        if select.select([read_end], [], [], WATCH_INTERVAL_S)[0]:
            os.kill(target, death_signal)
            break
    os._exit(0)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def become(command: list[str]) -> None:
    try:
        os.execvp(command[0], command)  # noqa: S606 - an argument list, no shell wanted
    except OSError as error:
        print(f"guard: {command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main()
