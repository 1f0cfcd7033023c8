"""The command line: a file a verb. Only here are arguments parsed and is anything printed."""
