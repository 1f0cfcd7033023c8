"""How good forecasts are, beside those a sceptic would make: metrics, intervals, baselines, folds, leaks."""
