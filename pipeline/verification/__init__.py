"""Every format is held to what it promises: the evidence, the comparison, the checks, the report.

`answers` has each format answer in a confined process, and `evidence` holds that beside the
reference; each module in `checks` then gives a `Result` with every fault that it sees; `report` and
`page` say all of it.

It imports complete_model, config, data, formats, html, provenance, runtimes, sandbox, training and
untrusted.
"""
