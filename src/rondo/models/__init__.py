"""The topologies, and the folder a trained model lives in."""
