"""CPython's test_multiprocessing_main_handling, which has a class for each start method that it knows, for ``warm``."""

import re
import sysconfig
from pathlib import Path

import pytest
from running import PYTHON, run

GENUINE = Path(sysconfig.get_path("stdlib"), "test", "test_multiprocessing_main_handling.py")

CLASS = """\
class WarmCmdLineTest(MultiProcessingCmdLineMixin, unittest.TestCase):
    start_method = "warm"
    main_in_children_source = test_source_main_skipped_in_children

if __name__ == "__main__":
    unittest.main()
"""


@pytest.mark.skipif(not GENUINE.exists(), reason="this Python was installed without its tests")
def test_main_modules_of_every_kind_are_found_in_warm_children(tmp_path: Path) -> None:
    text = GENUINE.read_text()
    text = re.sub(r"^(\s*)import multiprocessing\b", r"\1import allcores as multiprocessing", text, flags=re.MULTILINE)
    text = re.sub(r"^(\s*)from multiprocessing\b", r"\1from allcores", text, flags=re.MULTILINE)
    head, found, _ = text.partition("class SpawnCmdLineTest")
    assert found
    file = tmp_path / "test_main_handling_warm.py"
    file.write_text(head + CLASS)
    outcome = run([*PYTHON, file], cwd=tmp_path)
    assert outcome.status == 0, outcome.err
    ran = re.search(r"Ran (\d+) tests", outcome.err)
    assert ran is not None
    assert int(ran[1]) >= 13
