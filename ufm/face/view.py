"""The command `ufm view`: a solve with its path recorded, as one HTML file."""

import sys
from argparse import Namespace

from ufm.face.pages.run import view_page
from ufm.face.solve import CRITICAL, Ticker, check_combinations, method_of, solved, target_path
from ufm.status import Status


def run_view(options: Namespace) -> int:
    """Solve, record, write the page.

    Returns:
        0 if the solve converged, else 1.
    Raises:
        BadOptionError: before anything is compiled.
    """
    check_combinations(options)
    target = target_path(options.out, "ufm-view", suffixes=(".html",))
    ticker = Ticker(sys.stderr)
    problem, solution = solved(options, ticker, record=True, draw=False)
    if solution.status is Status.NONFINITE:
        ticker.clear()
        print(f"{solution.status.name}: {solution.message}\nno page: nothing of this path can be drawn")
        return 1
    ticker.stage("certifying, measuring")
    gtol = max(CRITICAL[options.dtype], solution.gtol)
    page = view_page(problem, solution, method=method_of(options), gtol=gtol)
    path = target.with_name(f"{target.name}.html")
    path.write_text(page, encoding="utf-8")
    ticker.clear()
    print(f"{solution.status.name}: {solution.message}\npage: {path} ({len(page.encode()) / 1e3:.0f} kB)")
    return 0 if solution.status is Status.CONVERGED else 1
