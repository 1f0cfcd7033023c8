"""From files to batches: reading any text file, labelled sequences and their parts, tokens, streams, buckets."""
