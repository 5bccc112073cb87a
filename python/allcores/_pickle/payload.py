"""What a child is sent: its caller's surroundings, the standard preparation data and the process object."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import reduction, spawn
from multiprocessing.process import BaseProcess
from typing import Any

from allcores import _standard
from allcores._pickle.dump import PICKLING_ERRORS, dump, main_is_importable, main_reference
from allcores._start_method import choice
from allcores._zygote.surroundings import Surroundings

__all__ = ["Payload"]


@dataclass(frozen=True)
class Payload:
    """Three pickles, one after the other: `Surroundings`, the preparation data (a dict), the process object."""

    pickles: memoryview

    @classmethod
    def encode(cls, process_obj: BaseProcess, forget: Callable[[], None]) -> Payload:
        """Pickle a process object (see `dump`) and what goes with it.

        UnpicklableArgumentError names what can be sent neither by name nor by value.
        """
        from allcores._install import installed_default

        buffer = io.BytesIO()
        preparation = preparation_data(process_obj.name)
        importable = main_is_importable(main_reference())
        reduction.dump(Surroundings.capture(installed=installed_default()), buffer)
        reduction.dump(preparation, buffer)
        try:
            dump(process_obj, buffer, main_is_importable=importable, forget=forget)
        except PICKLING_ERRORS as error:
            from allcores._pickle.culprit import explain

            raise explain(process_obj, error, main_is_importable=importable) from error
        return cls(buffer.getbuffer())

    def to_memfd(self) -> int:
        """Write it to an anonymous file, at whose beginning the reader starts. The caller closes it."""
        memfd = os.memfd_create("allcores-start")
        try:
            rest = self.pickles
            while rest:
                rest = rest[os.write(memfd, rest) :]
            os.lseek(memfd, 0, os.SEEK_SET)
        except BaseException:
            os.close(memfd)
            raise
        return memfd


def preparation_data(name: str) -> dict[str, Any]:
    """Return the standard preparation data, without the side effect of settling the standard start method."""
    standard = _standard.default_context
    before = standard._actual_context
    data: dict[str, Any] = spawn.get_preparation_data(name)
    standard._actual_context = before
    if not os.path.isfile(data.get("init_main_from_path", __file__)):
        # Standard input, or a program that was deleted: nothing a child could import.
        del data["init_main_from_path"]
    # None in the child, too, means: nobody has chosen.
    data["start_method"] = choice.explicit()
    return data
