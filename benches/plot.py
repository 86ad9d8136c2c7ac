#!/usr/bin/env python3
"""Draws docs/performance.svg from the results of the bench harness: benches/plot.py RESULTS.json...

Each file holds one workload: {"workload", "rounds", "time", "results": {peer: [{"cpu_us" or "rss_conn": ...}, ...]}}.
Of several files of one workload the one with the latest time counts. Medians of all rounds are drawn: processor time as a
ratio to the peer `limit` of the same file, memory in bytes.
"""
import json
import math
import os
import statistics
import sys
from xml.sax.saxutils import escape

OUTPUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docs", "performance.svg")

# The order of the groups, and what they are called. What is not here is not drawn.
CPU = {
    "w1uniq": "Different requests, 64 keep-alive connections",
    "w2": "Pipelined, 16 requests at a time",
    "w3post": "POST of 1 KiB, echoed",
    "w4-1k": "Events to 1,000 subscribers",
    "w4-10k": "Events to 10,000 subscribers",
}
MEMORY = {"w5-10k": "10,000 idle keep-alive connections", "w5-1k": "1,000 idle keep-alive connections"}
NAMES = {"ours": "workerman", "may": "may_minihttp", "actix": "actix-web", "workerman": "Workerman (PHP)", "node": "Node.js"}

WIDTH, LEFT, RIGHT = 760, 170, 80
ROW, BAR, GAP = 22, 14, 18
# Read on white and on dark pages alike, because the picture brings its own ground.
GROUND, INK, SOFT, GRID = "#ffffff", "#1f2328", "#59636e", "#d8dee4"
OURS, PEER, LIMIT = "#d9480f", "#8fa3b8", "#c9d1d9"


def read(paths):
    """The latest results of each workload."""
    latest = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        known = latest.get(data["workload"])
        if known is None or known["time"] < data["time"]:
            latest[data["workload"]] = data
    return latest


def medians(data, column):
    return {peer: statistics.median(one[column] for one in rounds) for peer, rounds in data["results"].items() if rounds}


def ratios(data):
    values = medians(data, "cpu_us")
    if not values.get("limit"):
        sys.exit("%s: no `limit` to compare with" % data["workload"])
    return {peer: value / values["limit"] for peer, value in values.items()}


class Picture:
    def __init__(self):
        self.parts, self.y = [], 0

    def text(self, x, y, text, size=12, fill=INK, anchor="start", weight=400):
        self.parts.append('<text x="%.1f" y="%.1f" font-size="%g" fill="%s" text-anchor="%s" font-weight="%d">%s</text>'
                          % (x, y, size, fill, anchor, weight, escape(text)))

    def line(self, x, top, bottom, fill=GRID):
        self.parts.append('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>' % (x, top, x, bottom, fill))

    def heading(self, title, subtitle):
        self.y += 30
        self.text(24, self.y, title, 16, weight=600)
        self.y += 19
        self.text(24, self.y, subtitle, 12, SOFT)
        self.y += 10

    def section(self, groups, place, ticks, show):
        """Groups of bars: [(title, note, {peer: value})]. `place` maps a value to 0..1, `ticks` are values, `show` a text."""
        span = WIDTH - LEFT - RIGHT
        for title, note, values in groups:
            self.y += GAP + 14
            self.text(24, self.y, title, 12.5, weight=600)
            self.text(WIDTH - 24, self.y, note, 11, SOFT, "end")
            self.y += 8
            # The grid lies behind the bars of its group only, so that no line runs through a title.
            for tick in ticks:
                self.line(LEFT + place(tick) * span, self.y, self.y + ROW * len(values))
            for peer, value in sorted(values.items(), key=lambda item: item[1]):
                self.bar(peer, value, max(place(value), 0) * span, show(value))
        self.y += 15
        for tick in ticks:
            self.text(LEFT + place(tick) * span, self.y, show(tick), 11, SOFT, "middle")
        self.y += 14

    def bar(self, peer, value, length, label):
        own = peer == "ours"
        fill = OURS if own else LIMIT if peer == "limit" else PEER
        middle = self.y + ROW / 2
        self.parts.append('<rect x="%d" y="%.1f" width="%.1f" height="%d" rx="2" fill="%s"><title>%s: %s</title></rect>'
                          % (LEFT, middle - BAR / 2, max(length, 1), BAR, fill, escape(NAMES.get(peer, peer)), label))
        weight, ink = (600, OURS) if own else (400, INK)
        self.text(LEFT - 10, middle + 4, NAMES.get(peer, peer), 12, ink, "end", weight)
        self.text(LEFT + max(length, 1) + 6, middle + 4, label, 12, ink, weight=weight)
        self.y += ROW

    def svg(self):
        height = self.y + 14
        return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" '
                'aria-label="Processor time and memory beside other servers" '
                'font-family="system-ui, -apple-system, \'Segoe UI\', \'Helvetica Neue\', Arial, sans-serif">\n'
                '<rect width="%d" height="%d" rx="8" fill="%s"/>\n%s\n</svg>\n'
                % (WIDTH, height, WIDTH, height, WIDTH, height, GROUND, "\n".join(self.parts)))


def note(data):
    count = data["rounds"]
    return "bench.py %s, %s" % (data["workload"], "1 round" if count == 1 else "%d rounds" % count)


def draw_time(picture, latest):
    groups = [(title, note(latest[name]), ratios(latest[name])) for name, title in CPU.items() if name in latest]
    if not groups:
        return
    picture.heading("Processor time per request or event",
                    "as a ratio to limit: epoll, one recv and one send of fixed bytes, no web server; less is better")
    most = max(max(values.values()) for _, _, values in groups)
    step = 0.5 if most < 4 else 1 if most < 8 else 5
    end = math.ceil(most / step) * step
    ticks = [step * nth for nth in range(int(end / step) + 1)]
    show = lambda value: ("%.2f ×" if value % 0.5 else "%g ×") % value
    picture.section(groups, lambda value: value / end, ticks, show)


def draw_memory(picture, latest):
    groups = [(title, note(latest[name]), medians(latest[name], "rss_conn")) for name, title in MEMORY.items() if name in latest]
    if not groups:
        return
    picture.heading("Memory per idle connection",
                    "resident bytes, on a logarithmic scale; limit keeps nothing for a connection but its socket")
    most = max(max(values.values()) for _, _, values in groups)
    decades = math.ceil(math.log10(most))
    picture.section(groups, lambda value: math.log10(max(value, 1)) / decades, [10 ** nth for nth in range(decades + 1)],
                    lambda value: "{:,} B".format(round(value)))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    latest = read(sys.argv[1:])
    picture = Picture()
    draw_time(picture, latest)
    draw_memory(picture, latest)
    if not picture.parts:
        sys.exit("none of these files is of a workload that is drawn: " + ", ".join([*CPU, *MEMORY]))
    times = sorted(data["time"] for name, data in latest.items() if name in CPU or name in MEMORY)
    days = sorted({times[0].split()[0], times[-1].split()[0]})
    picture.y += 22
    picture.text(24, picture.y, "Medians of %s, servers side by side in one run, one core each. Drawn by benches/plot.py results/*.json"
                 % " to ".join(days), 11, SOFT)
    with open(OUTPUT, "w", encoding="utf-8") as file:
        file.write(picture.svg())


if __name__ == "__main__":
    main()
