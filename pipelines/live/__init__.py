"""The live pipeline: governor, sinks, stats, metrics, relay supervisor."""
