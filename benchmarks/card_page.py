"""What a card gave, as Markdown."""

from benchmarks.card_plan import OURS
from benchmarks.card_plan import PLAIN

TIME_UP = "the time was up"
HOW = (
    "Medians of rounds and their quartiles, one figure after another; inputs "
    "are on the card already. A step is loss, gradients, momentum and decay. "
    "bfloat16 is mixed: the weights are float32."
)
SMALL = "**Tiny batches (--small): that it runs, not how fast.** "


def page(results):
    """The results of `benchmarks.card`."""
    devices = {told["device"] for told in results["frameworks"].values()}
    machine = results["machine"]
    about = [results["date"], f"keras_alexnet {results['keras_alexnet']}"]
    for told in results["frameworks"].values():
        versions = " ".join(f"{p} {v}" for p, v in told["versions"].items())
        about.append(f"{versions} on {told['device']}")
    about.append(f"{machine['processors']} processors, {machine['processor']}")
    about.append(f"Python {machine['python']}")
    parts = [
        f"# What {', '.join(sorted(devices)) or 'no device'} does",
        f"{SMALL * results['small']}{'; '.join(about)}. {HOW}",
        *_side_by_side(results["figures"]),
        *_all(results["figures"]),
        *_left_out(results),
    ]
    return "\n\n".join(parts) + "\n"


def _table(header, lines):
    rows = [header, [":--", *["--:"] * (len(header) - 1)], *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _side_by_side(figures):
    """Work that ours and another were measured for."""
    header = ["median ms", OURS, PLAIN, "PyTorch at its best", "which is"]
    header.append("times as fast as the best other")
    works = {}
    for row in figures:
        if "error" not in row:
            done = works.setdefault(row["work"], {})
            done[row["form"]] = row["median_seconds"]
    lines = []
    for work, done in works.items():
        if OURS not in done or len(done) == 1:
            continue
        ours, plain = done.pop(OURS), done.get(PLAIN)
        times = f"{min(done.values()) / ours:.2f}"
        best = min(done.keys() - {PLAIN}, key=done.get, default="")
        shown = [_milliseconds(s) for s in (ours, plain, done.get(best))]
        lines.append([work, *shown, best.removeprefix("PyTorch "), times])
    return ["## Side by side", _table(header, lines)] if lines else []


def _all(figures):
    """Each figure, also what failed."""
    header = ["", "form", "median ms", "quartiles", "a second", "more"]
    lines = [[row["work"], row["form"], *_cells(row)] for row in figures]
    return ["## All", _table(header, lines)] if lines else []


def _cells(row):
    if "error" in row:
        return ["", "", "", f"failed: {row['error']}".replace("|", "\\|")]
    median, quartiles = row["median_seconds"], row["quartiles_seconds"]
    rate = f"{_rounded(row['amount'] / median)} {row['unit']}"
    return [
        _milliseconds(median),
        " to ".join(map(_milliseconds, quartiles)),
        rate if row["amount"] else "",
        ", ".join(f"{name} {fact}" for name, fact in row["facts"].items()),
    ]


def _left_out(results):
    lines = []
    for why, names in results["left_out"].items():
        works = dict.fromkeys(name.partition(": ")[0] for name in names)
        which = f" ({'; '.join(works)})" if why == TIME_UP else ""
        lines.append(f"- {why}: {len(names)} of the figures{which}")
    title = f"## Left out, of {results['seconds']:g} s"
    return [title, "\n".join(lines)] if lines else []


def _milliseconds(seconds):
    return "" if seconds is None else _rounded(1e3 * seconds)


def _rounded(value):
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
