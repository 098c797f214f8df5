"""Every format held to what it promises: the evidence, the comparison, the checks, the report."""
