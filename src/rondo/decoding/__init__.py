"""Decoding: choosing tokens from what a step of a model says, and paths from what a chain of scores adds up to."""

from rondo.decoding.sampling import Sampling, random_numbers, sample
from rondo.decoding.viterbi import Paths, n_best, viterbi

__all__ = ["Paths", "Sampling", "n_best", "random_numbers", "sample", "viterbi"]
