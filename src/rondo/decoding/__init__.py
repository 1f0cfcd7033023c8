"""Decoding: choosing tokens from what a step of a model says."""

from rondo.decoding.sampling import Sampling, random_numbers, sample

__all__ = ["Sampling", "random_numbers", "sample"]
