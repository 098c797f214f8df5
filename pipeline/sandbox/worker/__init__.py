"""What the confined process runs: a copy of this package lies there beside one of the formats.

Nothing else of ours is there, and nothing else of ours is imported.
"""
