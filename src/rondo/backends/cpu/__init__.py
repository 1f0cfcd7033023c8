"""The CPU engine: from a cell's graph to a plan, and what runs plans.

``plan`` says what a plan is, ``lower`` makes plans, ``interpret`` runs them in NumPy (the definition),
``verify`` says whether one is legal, ``describe`` writes one down.
"""
