"""Results as Markdown."""

LIMITS = {
    "float32": "of the machine's float32",
    "bfloat16": "of the machine's bfloat16",
    "copying": "of its memory's rate",
}


def table(name, result, rates=None):
    """One row of the benchmark as a table of its columns.

    Args:
        name: The row's name.
        result: What `harness.measure` gave.
        rates: Dict, what the machine reached: see `machine_rates`.
    """
    columns = result["columns"]
    limit = (rates or {}).get(result["limit"])
    of_many = name == "feeding" or any(
        column["amount"] != 1 for column in columns.values()
    )
    unit = "GFLOP/s, GB/s" if name == "machine" else "images/s"
    header = ["", "median ms", "quartiles", "peak GB"]
    if of_many:
        header.append(unit)
    base = columns.get(result["baseline"])
    if base:
        header.append(f"times {result['baseline']}")
    if limit:
        header.append(LIMITS[result["limit"]])
    sized = any(column["size_bytes"] for column in columns.values())
    if sized:
        header.append("MB on the disk")
    lines = [header, [":--", *["--:"] * (len(header) - 1)]]
    for title, column in columns.items():
        lines.append([title, *_cells(column, of_many, base, limit, sized)])
    text = [f"### {result['title']}", "", _how(result), ""]
    text += [f"| {' | '.join(line)} |" for line in lines]
    for title, why in result["left_out"].items():
        text.append(f"\n{title} is left out: {why}.")
    return "\n".join(text)


def _how(result):
    rounds, busy = result["rounds"], result["busy_turns"]
    told = f"{result['date']}, {rounds} round{'s' * (rounds > 1)}"
    if busy is None:
        return f"{told}, without waiting for an idle machine."
    return f"{told}{f', {busy} turns on a busy machine' * (busy > 0)}."


def _cells(column, of_many, base, limit, sized):
    median = column["median_seconds"]
    low, high = column["quartiles_seconds"]
    peak = column["peak_memory_bytes"]
    cells = [
        _milliseconds(median),
        f"{_milliseconds(low)} to {_milliseconds(high)}",
        "" if peak is None else f"{peak / 1e9:.2f}",
    ]
    rate = column["amount"] / median
    if of_many:
        cells.append(f"{rate:,.1f}")
    if base:
        ratio = base["median_seconds"] / base["amount"] * rate
        cells.append(f"{ratio:.2f}")
    if limit:
        cells.append(f"{column['work'] / median / limit:.0%}")
    if sized:
        size = column["size_bytes"]
        cells.append(f"{size / 1e6:.1f}" if size else "")
    return cells


def _milliseconds(seconds):
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:,.0f}"


def machine_rates(rows):
    """What the machine reached, as the row `machine` has it.

    Returns:
        Dict from "float32" and "bfloat16" to GFLOP/s, the most of whoever
        multiplied matrices, and from "copying" to GB/s.
    """
    rates = {}
    for name, column in rows.get("machine", {"columns": {}})["columns"].items():
        limit = name if name == "copying" else "float32"
        limit = "bfloat16" if name.endswith("bfloat16") else limit
        rate = column["work"] / column["median_seconds"]
        rates[limit] = max(rate, rates.get(limit, 0.0))
    return rates


def page(results):
    """All that was measured."""
    machine = results["machine"]
    rows = results["rows"]
    rates = machine_rates(rows)
    versions = {
        f"{package} {version}"
        for row in rows.values()
        for column in row["columns"].values()
        for package, version in column["versions"].items()
    }
    head = (
        f"{machine['processors']} processors, {machine['processor']} "
        f"({machine['instructions']}), "
        f"{machine['memory_gib']} GiB; Python {machine['python']}, "
        f"{', '.join(sorted(versions))}. "
        "Medians of interleaved rounds, each column in its own process, whose "
        "peak of memory stands where it starts no others."
    )
    parts = [table(name, row, rates) for name, row in rows.items()]
    return "\n\n".join(["# Measured side by side", head, *parts]) + "\n"
