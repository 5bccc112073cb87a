"""Killing a process before a chosen instruction of its native code: `ptrace(2)` through ctypes, x86-64 only.

A step takes 20 us and more, so going through n instructions anew for each of them would take minutes. A *scout* is
stepped through once, from one marker to the next; each *victim* runs to a breakpoint at the place at which it is to be
killed.

Places are those of the extension module and of what it calls (libc, the kernel's vDSO) until the interpreter goes on.
The interpreter's own instructions do not touch the session's shared memory, nor does what it calls by itself: a kill at
one of them leaves there what a kill at the next of our places would, or at the marker. They are most of all, so a scout
runs through them: there are breakpoints where our functions begin, and where the interpreter returns to them.

Nor need there be a kill at each of our places: at most of them it leaves what a kill at the next one does. It leaves
something else only where the shared memory is changed, or what the kernel looks at (`lasting_state.py`), or a system
call is made. These places *tell*; they are one in eighty.

A copy by `rep movsb` is one instruction and a step for each byte, and libc has two of it, for addresses that are far
from each other or not, which differs between processes. So it counts as one visit, with places in the midst of it.

The process that is traced says where its operation begins and ends by calling `mark`.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from allcores import _core
from lasting_state import LastingState

_CONT, _SINGLESTEP, _SETREGS, _GETREGS, _PEEKUSER = 7, 9, 13, 12, 3
_SEIZE, _INTERRUPT = 0x4206, 0x4207
_RIP_WORD, _RSP_WORD, _WORDS = 16, 19, 27
_WALL = 0x40000000
_EH_FRAME_SEGMENT = 0x6474E550
_BREAKPOINT, _SYSTEM_CALL = b"\xcc", b"\x0f\x05"
_SET_PTRACER, _ANYBODY = 0x59616D61, ctypes.c_ulong(-1)
_YAMA = "/proc/sys/kernel/yama/ptrace_scope"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long

mark = os.getpgrp
"""Called by the process that is traced, before its operation and after it: nothing else calls libc's function."""


class Place(NamedTuple):
    """An instruction, the same in every process, and which visit of it is meant (from 1 on).

    Visits of the extension module's are counted since the first marker, those of what it calls since `caller`: the
    extension module's last instruction before, by its offset and visit. `repeats` is how often the instruction has
    repeated itself by then, as those with a `rep` do; 0: it has not begun.
    """

    file: str
    offset: int
    visit: int
    repeats: int = 0
    caller: tuple[int, int] | None = None
    tells: bool = False
    """Whether a kill at the next place leaves something else."""


class _Mapping(NamedTuple):
    start: int
    end: int
    offset: int
    file: str


def _mappings(pid: int | str) -> list[_Mapping]:
    """What code a process has mapped."""
    found = []
    with open(f"/proc/{pid}/maps") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            if "x" in fields[1] and len(fields) == 6:
                start, end = (int(address, 16) for address in fields[0].split("-"))
                found.append(_Mapping(start, end, int(fields[2], 16), fields[5].strip()))
    return found


def _place_of(address: int, mappings: list[_Mapping]) -> tuple[str, int]:
    for start, end, offset, file in mappings:
        if start <= address < end:
            return file, address - start + offset
    return "", address


def _address_of(file: str, offset: int, mappings: list[_Mapping]) -> int:
    for mapping in mappings:
        if mapping.file == file and 0 <= offset - mapping.offset < mapping.end - mapping.start:
            return mapping.start + offset - mapping.offset
    raise AssertionError(f"{file} is not mapped: the process is not what it seems")


def _here(function: object) -> tuple[str, int]:
    """File and offset of a C function of this process."""
    address = ctypes.cast(function, ctypes.c_void_p).value  # type: ignore[arg-type]
    assert address is not None
    return _place_of(address, _mappings("self"))


_MARKER = _here(_libc.getpgrp)
_INTERPRETER = _here(ctypes.pythonapi.Py_IncRef)[0]
_EXTENSION = os.path.realpath(_core.__file__)


def _function_starts(file: str) -> list[int]:
    """Where the functions of a 64-bit ELF file begin, as offsets in it: `.eh_frame_hdr` has a sorted table of them."""
    with open(file, "rb") as opened:
        elf = opened.read()
    at, size, count = *struct.unpack_from("<Q", elf, 32), *struct.unpack_from("<HH", elf, 54)
    segments = [struct.unpack_from("<IIQQQQ", elf, at + size * number) for number in range(count)]
    frames, frames_at = next((offset, to) for kind, _, offset, to, _, _ in segments if kind == _EH_FRAME_SEGMENT)
    code, code_at = next((offset, to) for kind, flags, offset, to, _, _ in segments if kind == 1 and flags & 1)
    version, _, counted, how = elf[frames : frames + 4]
    assert (version, counted, how) == (1, 0x03, 0x3B), "pairs of signed 32-bit numbers, from the table's address on"
    (entries,) = struct.unpack_from("<I", elf, frames + 8)
    pairs = struct.iter_unpack("<ii", elf[frames + 12 : frames + 12 + 8 * entries])
    return [frames_at + start - code_at + code for start, _ in pairs]


def _ptrace(request: int, pid: int, address: int = 0, data: object = 0) -> int:
    ctypes.set_errno(0)
    answer: int = _libc.ptrace(request, pid, address, data)
    if answer == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), f"ptrace request {request}: {os.strerror(ctypes.get_errno())}")
    return answer


def allow_tracing() -> None:
    """Let any process of this user's trace this one, where the kernel asks for it (Yama)."""
    if os.path.exists(_YAMA):
        _libc.prctl(_SET_PTRACER, _ANYBODY, 0, 0, 0)


class Traced:
    """A process that this thread traces, a child of anybody's. At the end of the block it is killed, if it was not."""

    def __init__(self, pid: int) -> None:
        """Trace it and stop it, wherever it is. OSError when that is refused."""
        self.pid = pid
        self._is_ours = _parent_of(pid) == os.getpid()
        self._armed: dict[int, bytes] = {}
        self._ended = False
        _ptrace(_SEIZE, pid)
        self._memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
        _ptrace(_INTERRUPT, pid)
        self._wait()
        self._mappings = _mappings(pid)
        self._marker = _address_of(*_MARKER, self._mappings)

    def __enter__(self) -> Traced:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._ended:
            self.kill()
        os.close(self._memory)

    def run_to_marker(self, lets_go: Callable[[], object]) -> None:
        """Go on, having called something that makes it go on by itself, until it marks the beginning."""
        self._arm(self._marker)
        lets_go()
        assert self._run() == self._marker

    def scout(self, *, telling: bool = False) -> list[Place]:
        """Step through our code from the first marker to the second, and return the places in between.

        ``telling``: find those that tell, which takes as long again. So do the last one, and all that a system call was
        made at or that others have changed something at.
        """
        state = LastingState(self.pid, self._memory) if telling else None
        for offset in _function_starts(_EXTENSION):
            self._arm(_address_of(_EXTENSION, offset, self._mappings))
        pages: dict[int, tuple[str, int]] = {}

        def file_and_offset(address: int) -> tuple[str, int]:
            page = address >> 12
            if page not in pages:
                self._mappings = _mappings(self.pid)
                file, offset = _place_of(address, self._mappings)
                pages[page] = file, offset - address
            file, difference = pages[page]
            return file, address + difference

        places: list[Place] = []
        has_changed = False

        def come_to(place: Place) -> None:
            nonlocal has_changed
            if places and has_changed:
                places[-1] = places[-1]._replace(tells=True)
            places.append(place)
            has_changed = False

        visits: Counter[int] = Counter()
        visits_since: Counter[tuple[str, int]] = Counter()
        caller = 0, 0
        repeats = 0
        address = self._run()
        while address != self._marker:
            here = file, offset = file_and_offset(address)
            if file == _INTERPRETER:
                returns_to = int.from_bytes(os.pread(self._memory, 8, self._register(_RSP_WORD)), "little")
                if file_and_offset(returns_to)[0] == _EXTENSION:
                    self._arm(returns_to)
                before, address = address, self._run()
            else:
                if file == _EXTENSION:
                    visits[offset] += repeats == 0
                    caller = offset, visits[offset]
                    visits_since.clear()
                    place = Place(*here, visits[offset], repeats)
                else:
                    visits_since[here] += repeats == 0
                    place = Place(*here, visits_since[here], repeats, caller)
                if repeats & (repeats - 1) == 0:  # 0, and powers of two
                    come_to(place)
                is_call = state is not None and self._is_system_call(address)
                before, address = address, self._step()
                has_changed |= is_call or (state is not None and state.has_changed())
            repeats = repeats + 1 if address == before else 0
        if state is not None:
            state.close()
            if places:
                places[-1] = places[-1]._replace(tells=True)
        return places

    def run_to(self, place: Place) -> bool:
        """Go on from the first marker until it is about to execute an instruction; False: the second one came first."""
        if place.caller is not None and not self._come_to(_EXTENSION, *place.caller):
            return False
        if not self._come_to(place.file, place.offset, place.visit):
            return False
        address = self._address()
        for _ in range(place.repeats):
            self._go_on(_SINGLESTEP)
            if self._address() != address:
                return False
        return True

    def run_to_end(self) -> None:
        """Go on from the first marker to the second."""
        assert self._run() == self._marker

    def kill(self) -> None:
        """SIGKILL it where it is. It must die of that; whose child it is learns so."""
        os.kill(self.pid, signal.SIGKILL)
        self._ended = True
        end = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | _WALL)
        assert end is not None
        assert (end.si_code, end.si_status) == (os.CLD_KILLED, signal.SIGKILL), end
        if not self._is_ours:
            os.waitpid(self.pid, _WALL)  # its parent is told when who traces it knows

    def _come_to(self, file: str, offset: int, visit: int) -> bool:
        """Go on until it is about to execute an instruction for the so-manieth time; False: the second marker came."""
        address = _address_of(file, offset, self._mappings)
        self._arm(address)
        if not all(self._run() == address for _ in range(visit)):
            return False
        self._disarm(address)
        return True

    def _step(self) -> int:
        """Do one instruction, one time if it repeats itself, whether a breakpoint is there or not. Returns the next."""
        here = self._address()
        if here in self._armed:
            os.pwrite(self._memory, self._armed[here], here)
        self._go_on(_SINGLESTEP)
        if here in self._armed:
            os.pwrite(self._memory, _BREAKPOINT, here)
        return self._address()

    def _run(self) -> int:
        """Go on to the next breakpoint, past the one where it is, and return its address."""
        here = self._address()
        if here in self._armed:
            while (there := self._step()) == here:  # more than once where it repeats itself
                pass
            if there in self._armed:
                return there
        self._go_on(_CONT)
        address = self._address() - len(_BREAKPOINT)
        assert address in self._armed, f"stopped at {address:#x}, where no breakpoint is"
        registers = (ctypes.c_ulonglong * _WORDS)()
        _ptrace(_GETREGS, self.pid, 0, registers)
        registers[_RIP_WORD] = address
        _ptrace(_SETREGS, self.pid, 0, registers)
        return address

    def _arm(self, address: int) -> None:
        if address not in self._armed:
            self._armed[address] = os.pread(self._memory, len(_BREAKPOINT), address)
            os.pwrite(self._memory, _BREAKPOINT, address)

    def _disarm(self, address: int) -> None:
        os.pwrite(self._memory, self._armed.pop(address), address)

    def _is_system_call(self, address: int) -> bool:
        return os.pread(self._memory, len(_SYSTEM_CALL), address) == _SYSTEM_CALL

    def _address(self) -> int:
        return self._register(_RIP_WORD)

    def _register(self, word: int) -> int:
        return _ptrace(_PEEKUSER, self.pid, 8 * word) & 0xFFFF_FFFF_FFFF_FFFF

    def _go_on(self, request: int) -> None:
        """Resume it, until it has done a step or comes to a breakpoint. Signals reach it as ever."""
        signal_number = 0
        while True:
            _ptrace(request, self.pid, 0, signal_number)
            signal_number = self._wait()
            if signal_number == signal.SIGTRAP:
                return

    def _wait(self) -> int:
        _, status = os.waitpid(self.pid, _WALL)
        if not os.WIFSTOPPED(status):
            self._ended = True
            raise AssertionError(f"process {self.pid} ended by itself, with wait status {status:#x}")
        return os.WSTOPSIG(status)


def _parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def refusal() -> str | None:
    """Why processes cannot be stepped through here; None: they can."""
    if platform.machine() != "x86_64" or sys.maxsize < 2**32:
        return f"knows the registers and breakpoints of x86-64 only, not of {platform.machine()}"
    receiver, sender = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(receiver, 1)
        mark()
        mark()
        os._exit(0)
    try:
        with Traced(pid) as trial:
            trial.run_to_marker(lambda: os.write(sender, b"."))
            trial.scout()
    except OSError as error:
        os.kill(pid, signal.SIGKILL)
        return f"ptrace is refused here: {error}"
    finally:
        os.close(receiver)
        os.close(sender)
        os.waitpid(pid, 0)
    return None
