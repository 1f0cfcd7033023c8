"""Decoding: choosing tokens from what a step of a model says."""

from rondo.decoding.sampling import Sampling, sample

__all__ = ["Sampling", "sample"]
