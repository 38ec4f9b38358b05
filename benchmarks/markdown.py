"""Results as Markdown."""


def table(name, result, machine_rate=0.0):
    """One row of the benchmark as a table of its columns.

    Args:
        name: The row's name.
        result: What `harness.measure` gave.
        machine_rate: GFLOP/s that the machine reached in the same run.
    """
    columns = result["columns"]
    rates = name == "feeding" or any(
        column["amount"] != 1 for column in columns.values()
    )
    unit = "GFLOP/s, GB/s" if name == "machine" else "images/s"
    header = ["", "median ms", "quartiles", "peak GB"]
    if rates:
        header.append(unit)
    base = columns.get(result["baseline"])
    if base:
        header.append(f"times {result['baseline']}")
    if result["gflop"] and machine_rate:
        header.append("of the machine's GFLOP/s")
    lines = [header, [":--", *["--:"] * (len(header) - 1)]]
    for title, column in columns.items():
        lines.append(_line(title, column, base, rates, result, machine_rate))
    text = [f"### {result['title']}", ""]
    text += [f"| {' | '.join(line)} |" for line in lines]
    for title, why in result["left_out"].items():
        text.append(f"\n{title} is left out: {why}.")
    return "\n".join(text)


def _line(title, column, base, rates, result, machine_rate):
    median = column["median_seconds"]
    low, high = column["quartiles_seconds"]
    cells = [
        title,
        _milliseconds(median),
        f"{_milliseconds(low)} to {_milliseconds(high)}",
        f"{column['peak_memory_bytes'] / 1e9:.2f}",
    ]
    rate = column["amount"] / median
    if rates:
        cells.append(f"{rate:,.1f}")
    if base:
        ratio = base["median_seconds"] / base["amount"] * rate
        cells.append(f"{ratio:.2f}")
    if result["gflop"] and machine_rate:
        cells.append(f"{rate * result['gflop'] / machine_rate:.0%}")
    return cells


def _milliseconds(seconds):
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:,.0f}"


def page(results):
    """All that was measured."""
    machine = results["machine"]
    rows = results["rows"]
    rate = 0.0
    if "machine" in rows:
        rate = max(
            c["amount"] / c["median_seconds"]
            for name, c in rows["machine"]["columns"].items()
            if name != "copying"
        )
    versions = {}
    for row in rows.values():
        for column in row["columns"].values():
            versions.update(column["versions"])
    told = ", ".join(f"{k} {v}" for k, v in sorted(versions.items()))
    head = (
        f"{machine['processors']} processors, {machine['processor']}, "
        f"{machine['memory_gib']} GiB; Python {machine['python']}, {told}. "
        "Medians of interleaved rounds, each column in its own process."
    )
    parts = [table(name, row, rate) for name, row in rows.items()]
    return "\n\n".join(["# Measured side by side", head, *parts]) + "\n"
