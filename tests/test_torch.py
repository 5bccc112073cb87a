"""torch's DataLoader has workers of ours, where torch is there."""

from __future__ import annotations

from typing import Any

import allcores
import pytest
from running import METHODS

pytest.importorskip("torch", reason="torch is not installed: it takes gigabytes")


class Squares:
    """A dataset: what torch wants of one."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, number: int) -> Any:
        import torch

        return torch.full((256, 32), float(number) ** 2), number


def batches(**options: Any) -> list[tuple[list[float], list[int]]]:
    """What a loader gives: of each batch a part."""
    from torch.utils.data import DataLoader

    return [(squares[:, 0, 0].tolist(), numbers.tolist()) for squares, numbers in DataLoader(Squares(), 8, **options)]


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_data_loader_gives_the_same_with_our_workers(method: str, persistent: bool) -> None:
    context = allcores.get_context(method)
    found = batches(num_workers=2, multiprocessing_context=context, persistent_workers=persistent)
    assert found == batches()
