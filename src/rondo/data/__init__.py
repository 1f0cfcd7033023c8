"""From files to batches: reading any text file, tokens, streams for truncated BPTT, length buckets."""
