"""A few hundred mutated models end in an import or in an error of norcim's own."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.conformance.fuzz_import import attempt, mutate, seeds


@pytest.mark.slow
def test_mutated_models_never_end_in_a_traceback(tmp_path: Path) -> None:
    rng, models = random.Random(7), seeds()
    found = [attempt(mutate(rng.choice(models), rng), tmp_path / "now.onnx") for _ in range(400)]
    assert not [result for result in found if "Traceback" in result]
    assert {"imported", "NC-E0202", "NC-E0203"} <= set(found)
