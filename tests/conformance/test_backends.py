"""Every backend on every cell: values, gradients and the properties that all must have."""

from __future__ import annotations

from rondo.testing.conformance import BackendConformance


class TestReference(BackendConformance):
    backend = "reference"


class TestVendor(BackendConformance):
    backend = "vendor"
