"""`python scripts/vega.py PATH`: Vega, Vega-Lite and Vega-Embed as one script, of which
pipeline/html/dvc_plots.html draws `dvc plots` without a network."""

import sys
from pathlib import Path

VEGA_LITE = "5.21"
"""The latest of the major version that DVC's templates are written for."""

NAMED = "window.vegaEmbed = vegaEmbed;"
"""The one name that pages of DVC ask for."""


def main(path: str) -> None:
    import vl_convert

    Path(path).write_text(vl_convert.javascript_bundle(NAMED, VEGA_LITE))


if __name__ == "__main__":
    main(sys.argv[1])
