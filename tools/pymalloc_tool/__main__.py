"""What tools/pymalloc starts: __main__.py LAUNCHER SUBCOMMAND [ARGUMENT]...

Python 2 and the oldest Python 3 must be able to read this file, so that they can
say what is missing.
"""

import os
import sys

if sys.version_info < (3, 9):
    sys.stderr.write(
        "pymalloc: python3 is %d.%d, but 3.9 or later is needed\n" % sys.version_info[:2]
    )
    sys.exit(125)

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from pymalloc_tool import entry  # noqa: E402 (only now can it be found)

sys.exit(entry.main(sys.argv[1], sys.argv[2], sys.argv[3:]))
