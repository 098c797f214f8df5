"""`python -I <this folder> terms.json script argument ...`"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from launcher import main  # type: ignore[import-not-found]  # noqa: E402

del sys.path[0]
main()
