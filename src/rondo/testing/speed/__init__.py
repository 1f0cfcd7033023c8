"""How fast Rondo is on this machine: what `rondo doctor`, `rondo bench` and ``benchmarks/speed`` measure with.

``timing``    samples in interleaved rounds, and what they say
``counting``  operations and bytes
``machine``   what the machine can do at best, and who else works on it
``eager``     the plain torch loop of any cell, as the fair contender
``layers``    a layer beside its contenders
``streaming`` a step beside its contenders
"""
