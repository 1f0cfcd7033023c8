"""What a model is held against: metrics, intervals, and the baselines a sceptic would ask for."""
