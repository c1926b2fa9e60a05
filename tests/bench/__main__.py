"""`python -m tests.bench [SECTION]...`: measure, and print ratios. Without one, all are.

One run takes under three minutes; LIANDAI_BENCH_SHORT=1 takes less, and its figures say less. Only
ratios taken in one run mean anything: machines differ, and so does one machine from hour to hour.
"""

import asyncio
import os
import platform
import sys
import time

from tests.bench import asof, computing, day_close, lasting, plain, posting, publishing, starting
from tests.bench.bare import bare
from tests.bench.figures import SHORT
from tests.bench.stage import stage

SECTIONS = (
    "plain",
    "posting",
    "publishing",
    "day_close",
    "asof",
    "starting",
    "lasting",
    "computing",
)


def main(wanted: list[str]) -> int:
    unknown = set(wanted) - set(SECTIONS)
    if unknown:
        print(f"bench: sections are {', '.join(SECTIONS)}", file=sys.stderr)
        return 2
    begun = time.monotonic()
    print(
        f"{os.cpu_count()} cores, Python {platform.python_version()}, load "
        f"{os.getloadavg()[0]:.1f} at the start{', short' if SHORT else ''}; "
        "clients, server and PostgreSQL share the machine"
    )
    for section in wanted or SECTIONS:
        match section:
            case "posting":
                with stage(64) as house:
                    asyncio.run(posting.measured(house))
            case "lasting":
                with stage(64) as house:
                    asyncio.run(lasting.measured(house))
            case "plain":
                with bare() as database:
                    asyncio.run(plain.measured(database))
            case "asof":
                with bare() as database:
                    asyncio.run(asof.measured(database))
            case "publishing":
                with bare() as database:
                    asyncio.run(publishing.measured(database))
            case "day_close":
                with bare() as database:
                    asyncio.run(day_close.measured(database))
            case "starting":
                starting.measured()
            case "computing":
                computing.measured()
    print(f"\nload {os.getloadavg()[0]:.1f} at the end, {time.monotonic() - begun:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
