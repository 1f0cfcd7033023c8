"""What the native tests run under sanitizers are the plans that the cells have now."""

from __future__ import annotations

import pytest

from tests.native.write_plans import FILE, header


def test_the_plans_of_native_tests_are_those_of_the_cells() -> None:
    if not FILE.parent.exists():
        pytest.skip("needs a checkout of the repository")
    assert FILE.read_text(encoding="utf-8") == header(), (
        "python -m tests.native.write_plans, and look at the difference"
    )
