#!/usr/bin/env python3
"""Turns what the benchmarks printed as JSON into tables and a plot.

    jobboard --output json bench > bench.json      # or what `make bench` leaves in target/bench.json
    deploy/bench-report.py bench.json --plot src/docs/performance.svg

Prints the tables in Markdown; the plot shows what a board does for each thing that raw transactions
do. Needs nothing but Python.
"""

import argparse
import json
from html import escape

SIGNS = {"at_most": "≤", "at_least": "≥"}
VERBS = ["post", "claim", "consume", "whole job"]
BAR, GAP, LEFT, WIDTH = 16, 6, 190, 640


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def target(row):
    if row["target"] == "none":
        return "", ""
    [(kind, value)] = row["target"].items()
    if value >= 1e6:
        value = f"{value:,.0f}"
    return f"{SIGNS[kind]} {value}", "met" if row["met"] else "**not met**"


def tables(rows):
    for etcd in dict.fromkeys(row["etcd"] for row in rows):
        print(f"\netcd {etcd}:\n")
        print("| measure | unit | board | other | which is | ratio | target | |")
        print("|---|---|---:|---:|---|---:|---:|---|")
        for row in rows:
            if row["etcd"] != etcd:
                continue
            ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
            cells = [row["measure"], row["unit"], number(row["board"]), number(row["other"]),
                     row["beside"], ratio, *target(row)]
            print("|", " | ".join(cells), "|")
    judged = [row["met"] for row in rows if row["met"] is not None]
    print(f"\nTargets met: {sum(judged)} of {len(judged)}.")


def plot(rows):
    raw = {(row["etcd"], row["measure"]): row["ratio"] for row in rows if row["beside"] == "raw"}
    bars = []
    for etcd in dict.fromkeys(row["etcd"] for row in rows):
        for verb in VERBS:
            for callers in (8, 64, 256):
                measure = f"{verb}, {callers} in flight"
                if (etcd, measure) in raw:
                    bars.append((f"{etcd}: {measure}", raw[etcd, measure], callers))
    most = max([ratio for _, ratio, _ in bars] + [1])
    scale = (WIDTH - LEFT - 50) / most
    height = len(bars) * (BAR + GAP) + 40
    one = LEFT + scale
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
           f'width="{WIDTH}" font-family="sans-serif" font-size="11">')
    yield f'<text x="{LEFT}" y="14">how much a board does in the time in which raw transactions do 1</text>'
    shades = {8: "#b9cfe4", 64: "#6c9bc8", 256: "#2b6299"}
    for at, (name, ratio, callers) in enumerate(bars):
        y = 26 + at * (BAR + GAP)
        yield f'<text x="{LEFT - 6}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
        yield (f'<rect x="{LEFT}" y="{y}" width="{ratio * scale:.1f}" height="{BAR}" '
               f'fill="{shades[callers]}"/>')
        yield f'<text x="{LEFT + ratio * scale + 4:.1f}" y="{y + 12}">{ratio:.2f}</text>'
    yield (f'<line x1="{one:.1f}" y1="22" x2="{one:.1f}" y2="{height - 10}" stroke="#888" '
           f'stroke-dasharray="3 3"/>')
    yield "</svg>"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("json")
    parser.add_argument("--plot", metavar="SVG")
    arguments = parser.parse_args()
    with open(arguments.json, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    tables(rows)
    if arguments.plot:
        with open(arguments.plot, "w", encoding="utf-8") as file:
            file.write("\n".join(plot(rows)) + "\n")


if __name__ == "__main__":
    main()
