"""Classical Chinese verse: forms, prosody, corpus, masks that hold a poem to the rules, an evaluator."""
