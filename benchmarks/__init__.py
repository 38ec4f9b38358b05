"""Side-by-side measurements, each a script: `python -m benchmarks.NAME`."""
