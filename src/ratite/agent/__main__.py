"""`python -m ratite.agent`: the same as the program `ratite-ga`."""

from __future__ import annotations

from ratite.agent.program import main

if __name__ == "__main__":
    raise SystemExit(main())
