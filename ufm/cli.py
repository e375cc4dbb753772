"""The command line. Results go to stdout, progress to stderr; `ufm --help` lists the commands."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ufm.face.figures import run_figures
from ufm.face.measure import run_measure
from ufm.face.runs import run_compare, run_export, run_list, run_show
from ufm.face.solve import BadOptionError, run_solve
from ufm.face.sweep import run_merge, run_sweep
from ufm.face.transfer import EXPERIMENTS, run_transfer
from ufm.face.verify import run_verify
from ufm.face.view import run_view
from ufm.sweep.version import installed

EPILOG = """\
exit status: 0 the solve converged; 1 it did not (the report says why); 2 the options are wrong.

examples:
  ufm solve --K 4 --n 20 --d 3 --loss mse --lam-b none
  ufm solve --n 50,20,5 --json
  ufm solve --solver sgd --lr 1 --momentum 0.9 --max-steps 20000
"""

VIEW_EPILOG = """\
exit status: 0 the solve converged; 1 it did not (the page shows how far it came); 2 the options are wrong.

examples:
  ufm view
  ufm view --n 40,40,5,5 --solver adam --out imbalance.html
  ufm view --K 10 --d 9 --solver newton
"""

VERIFY_EPILOG = """\
exit status: 0 every claim holds; 1 one is violated or inconclusive; 2 the options are wrong.

examples:
  ufm verify --only T7,T16
  ufm verify --full --json
  ufm verify --report report.html
"""

MEASURE_EPILOG = """\
an .npz holds `labels` [N] (integers), `W` [K, d] and `b` [K] if there is a classifier, and under any other key the
features [N, d] of a layer, samples as rows, in the order of the layers; W and b belong to the last. .npy files hold one
layer each, read as memory maps.

exit status: 0 measured; 2 the files or options are wrong.

examples:
  ufm measure features.npz
  ufm measure layer1.npy layer2.npy --labels labels.npy --W W.npy --json
"""

FIGURES_EPILOG = """\
each figure is NAME.pdf, NAME.png, its numbers as NAME.csv, and its caption with all settings as NAME.txt; files are the
same to the byte from run to run. Sweeps are kept in the store, and read from there the next time.

exit status: 0 every figure is there; 1 some were left out (the reason is on stderr); 2 the options are wrong.

examples:
  ufm figures --list
  ufm figures --only training,spectra --out paper/figures
"""

TRANSFER_EPILOG = """\
settings, all on data that need no download:
  S1  digits 0-4 to digits 5-9             S3  letters to digits at random places of a canvas
  S2  letters to digits                    S4  the same, the digits' contrast inverted

what is computed is stored at once: stopped and run again, it goes on. --quick takes half a pool, a third of the epochs
and fewer draws: less than two minutes. Needs: pip install 'ufm[networks]'.

exit status: 0 done; 2 the options are wrong; 130 interrupted.

examples:
  ufm transfer scores --setting S3 --quick
  ufm transfer finetune --setting S2 --store runs/transfer.sqlite --out pictures/s2
"""

SWEEP_EPILOG = """\
exit status: 0 every row is there; 1 a row failed; 2 the file or the options are wrong; 130 interrupted.

a file:
  store = "runs/ce.sqlite"
  [problem]                            # K, n, d, lam_W, lam_H, lam_b, loss, model, targets
  K = 4
  n = 10
  d = 6
  lam_W = 5e-3
  lam_H = 5e-3
  lam_b = "none"
  loss = { type = "CrossEntropy", smoothing = 0.1 }   # model = { type = "DeepReLU", widths = [6, 6] }
  [solver]                             # TrustRegion, LBFGS, sgd, adam, annealed; [start]: RandomStart or ETFStart
  type = "TrustRegion"
  [options]                            # key, gtol, max_steps, dtype
  gtol = 1e-12
  [axes]                               # lists, or a range, linspace, logspace as in NumPy
  d = [2, 3, 6]
  smoothing = [0.0, 0.1]
  key = { range = [0, 20] }
  [[joint]]                            # vary together
  lam_W = { logspace = [-4, -1, 7] }
  lam_H = { logspace = [-1, -4, 7] }
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line instead of the whole usage."""
        self.exit(2, f"{self.prog}: {message} See {self.prog} --help.\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments without the program's name; default those of the process.
    Returns:
        The exit status: 0 all is well, 1 not converged or not verified, 2 bad input, 130 interrupted.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        return options.run(options)
    except BadOptionError as error:
        print(f"ufm {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"ufm {options.command}: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ufm", description="Neural Collapse theory: models solved, certified and set against theory.")
    parser.add_argument("--version", action="version", version=f"ufm {installed('ufm')}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    solve = commands.add_parser(
        "solve",
        help="solve, certify and compare one unconstrained features model",
        description="Solve one unconstrained features model, certify the point, set it against theory, draw it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _problem_options(solve.add_argument_group("the problem"), classes=10, samples=50)
    _solver_options(solve.add_argument_group("the solver"), solver="newton")
    _output_options(solve.add_argument_group("the output"))
    solve.set_defaults(run=run_solve, classes=10)
    view = commands.add_parser(
        "view",
        help="one HTML file: features, means and classifiers in 3-D along a solve",
        description="Solve one model and write its path as one HTML file: geometry to turn and play, metrics, proof.",
        epilog=VIEW_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _problem_options(view.add_argument_group("the problem"), classes=4, samples=20)
    _solver_options(view.add_argument_group("the solver"), solver="sgd")
    view.add_argument_group("the output").add_argument(
        "--out", default="ufm-view", metavar="PATH", help="the page is PATH.html (default ufm-view)"
    )
    view.set_defaults(run=run_view, classes=4)
    verify = commands.add_parser(
        "verify",
        help="check the literature's claims, each against its own experiment",
        description="Check the literature's claims: every theorem against solved, certified problems.",
        epilog=VERIFY_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _verify_options(verify)
    verify.set_defaults(run=run_verify)
    measure = commands.add_parser(
        "measure",
        help="measure the collapse of your own features: every metric, layer by layer",
        description="Neural Collapse of features in files: every published metric, the curve over layers, a picture.",
        epilog=MEASURE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _measure_options(measure)
    measure.set_defaults(run=run_measure)
    figures = commands.add_parser(
        "figures",
        help="draw the figures of the literature: PDF, PNG, CSV and caption",
        description="Compute and draw the set of paper figures, each with its numbers and its caption.",
        epilog=FIGURES_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _figures_options(figures)
    figures.set_defaults(run=run_figures)
    _transfer_commands(commands)
    _sweep_commands(commands)
    return parser


def _transfer_commands(commands: "argparse._SubParsersAction[_Parser]") -> None:
    transfer = commands.add_parser(
        "transfer",
        help="scores that predict transfer, layer profiles and fine-tuning, with their controls",
        description="Transfer of pretrained networks: scores, layers, fine-tuning; a table, a CSV file and a picture.",
        epilog=TRANSFER_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    told = "; ".join(f"{name}: {what}" for name, what in EXPERIMENTS.items())
    transfer.add_argument("experiment", choices=tuple(EXPERIMENTS), metavar="EXPERIMENT", help=told)
    transfer.add_argument("--setting", choices=("S1", "S2", "S3", "S4"), default="S3", help="below (default S3)")
    transfer.add_argument("--quick", action="store_true", help="a smaller experiment of the same kind")
    transfer.add_argument(
        "--key", type=int, default=0, help="added to every seed: other networks and samples (default 0)"
    )
    transfer.add_argument(
        "--store", default="ufm-transfer.sqlite", metavar="PATH", help="the rows (default ufm-transfer.sqlite)"
    )
    transfer.add_argument(
        "--out", metavar="PATH", help="PATH.csv, PATH.png and PATH.pdf (default ufm-transfer-EXPERIMENT-SETTING)"
    )
    transfer.set_defaults(run=run_transfer)


def _sweep_commands(commands: "argparse._SubParsersAction[_Parser]") -> None:
    told = "solve every case of a grid, into a store that survives"
    sweep = commands.add_parser(
        "sweep",
        help=told,
        description=f"{told.capitalize()}. Run again, it goes on where it was stopped.",
        epilog=SWEEP_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sweep.add_argument("spec", help="the TOML file that describes the grid")
    sweep.add_argument("--store", metavar="PATH", help="the store (default: what the file says, or its name.sqlite)")
    sweep.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default 1, this one)")
    sweep.add_argument("--devices", action="store_true", help="run a chunk on each local device (GPU) at a time")
    sweep.add_argument("--export", metavar="PATH", help="write the rows to PATH.csv, .parquet or .nc as well")
    sweep.add_argument("--json", action="store_true", help="print the rows as JSON")
    sweep.set_defaults(run=run_sweep)
    merge = commands.add_parser("merge", help="join stores", description="Copy rows of stores into one.")
    merge.add_argument("target", help="the store that grows, made if there is none")
    merge.add_argument("sources", nargs="+", help="stores to read")
    merge.set_defaults(run=run_merge)
    runs = commands.add_parser("runs", help="list, show, compare and export the sweeps of a store")
    actions = runs.add_subparsers(dest="action", metavar="action", required=True)
    for name, run, told in (
        ("list", run_list, "one line a sweep"),
        ("show", run_show, "counts and ranges of one sweep"),
        ("export", run_export, "one sweep as CSV, Parquet or netCDF"),
    ):
        action = actions.add_parser(name, help=told, description=f"{told.capitalize()}.")
        action.add_argument("store", help="the store")
        if name != "list":
            action.add_argument("id", nargs="?", help="of the sweep, or its beginning (default the newest)")
        if name == "export":
            action.add_argument("--out", required=True, metavar="PATH", help="PATH.csv, .parquet or .nc")
        action.set_defaults(run=run)
    told = "two sweeps, case by case"
    compare = actions.add_parser("compare", help=told, description=f"{told.capitalize()}; status 1 if numbers differ.")
    compare.add_argument("one", metavar="STORE[:ID]", help="a sweep, by default the newest of its store")
    compare.add_argument("two", metavar="STORE[:ID]", help="another one")
    compare.set_defaults(run=run_compare)


def _problem_options(group: argparse._ArgumentGroup, classes: int, samples: int) -> None:
    group.add_argument("--K", type=int, help=f"classes (default {classes}, or as many as --n has sizes)")
    told = f"samples per class: {samples} (default), or sizes such as 50,20,5"
    group.add_argument("--n", type=_sizes, default=samples, metavar="N", help=told)
    group.add_argument("--d", type=int, default=20, help="features (default 20)")
    group.add_argument(
        "--loss", choices=("ce", "mse"), default="ce", help="cross-entropy (default) or mean squared error"
    )
    group.add_argument("--smoothing", type=float, help="label smoothing of ce, in [0, 1) (default 0)")
    group.add_argument("--lam-W", type=float, default=5e-3, metavar="X", help="decay of W (default 5e-3)")
    group.add_argument("--lam-H", type=float, default=5e-3, metavar="X", help="decay of H (default 5e-3)")
    group.add_argument(
        "--lam-b", type=_bias, default=1e-2, metavar="X", help="decay of b (default 1e-2); 0: free bias, none: no bias"
    )


def _solver_options(group: argparse._ArgumentGroup, solver: str) -> None:
    choices = ("newton", "lbfgs", "sgd", "adam")
    group.add_argument("--solver", choices=choices, default=solver, help=f"default {solver}")
    group.add_argument("--lr", type=float, metavar="X", help="learning rate of sgd (default 1) or adam (default 0.01)")
    group.add_argument("--momentum", type=float, metavar="X", help="of sgd (default 0.9)")
    group.add_argument("--start", choices=("random", "etf"), default="random", help="where to start (default random)")
    group.add_argument("--key", type=int, help="seed of the random start (default 0)")
    group.add_argument("--scale", type=float, default=1.0, metavar="X", help="size of the start (default 1)")
    group.add_argument("--gtol", type=float, metavar="X", help="gradient to reach (default 1e-12, in float32 1e-6)")
    group.add_argument("--max-steps", type=int, metavar="N", help="bound on the steps (default the solver's)")
    group.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="default float64")


def _output_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--out", default="ufm-solve", metavar="PATH", help="the picture is PATH.png and PATH.pdf (default ufm-solve)"
    )
    group.add_argument("--no-figure", action="store_true", help="draw no picture")
    group.add_argument("--json", action="store_true", help="print the report as JSON")


def _verify_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", metavar="IDS", help="these claims: ids with commas, such as T7,T16")
    parser.add_argument("--full", action="store_true", help="the larger grids of settings")
    parser.add_argument("--list", action="store_true", help="list the claims with their sources, and run nothing")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default 2, or 1 on one core)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--report", metavar="PATH", help="write PATH.html, a page of every claim, and PATH.json")


def _figures_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default="figures", metavar="FOLDER", help="where the files go (default figures)")
    parser.add_argument("--only", metavar="NAMES", help="these figures: names with commas, such as training,spectra")
    parser.add_argument("--list", action="store_true", help="list the figures, and draw nothing")
    parser.add_argument("--store", metavar="FILE", help="the store of the sweeps (default FOLDER/sweeps.sqlite)")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default 2, or 1 on one core)")
    parser.add_argument("--results", metavar="FOLDER", help="JSON of benchmarks/rivals.py (default the checkout's)")


def _measure_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="one .npz, or an .npy of features per layer")
    parser.add_argument("--labels", metavar="FILE", help=".npy of labels [N], with .npy features")
    parser.add_argument("--W", metavar="FILE", help=".npy of the classifier [K, d] of the last layer")
    parser.add_argument("--b", metavar="FILE", help=".npy of its bias [K]")
    parser.add_argument(
        "--rank", type=int, metavar="R", help="rank of Sigma_B in the last layer (default: by its spectrum)"
    )
    parser.add_argument(
        "--out",
        default="ufm-measure",
        metavar="PATH",
        help="the picture is PATH.png and PATH.pdf (default ufm-measure)",
    )
    parser.add_argument("--no-figure", action="store_true", help="draw no picture")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def _sizes(text: str) -> int | tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither an integer nor integers with commas.") from None
    return sizes if "," in text else sizes[0]


def _bias(text: str) -> float | None:
    if text.lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor none.") from None
