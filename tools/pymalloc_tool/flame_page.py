"""The flame graph as a page that needs nothing else.

Without its script the page is complete for one quantity.  The script draws the others,
larger parts, and what is searched for, from the same nodes.
"""

import json
import string

from pymalloc_tool import calltree, flame, stacks, text

_PLACES = 20
_UNITS = ("blocks", "bytes")


def _data(nodes, measures, at, colours):
    """For the script: nodes in the order of the tree, each with its depth, the number of
    its frame, and its values."""
    frames = {}
    rows = []
    for node in nodes:
        frame = node.frame
        known = (
            text.clean(frame.function),
            text.clean(stacks.short(frame.function)),
            text.clean(flame.where(node)),
            text.clean(frame.object),
            colours.of(frame),
        )
        rows.append([node.depth, frames.setdefault(known, len(frames)), *node.values])
    data = {
        "frames": list(frames),
        "nodes": rows,
        "measures": [measure.title for measure in measures],
        "at": at,
        "row": flame.ROW,
    }
    # Within a script element nothing may look like a tag.
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _legend(colours):
    items = [*colours.legend(), (flame.GREY, "all else")]
    return "".join(
        f'<span><i style="background:{colour}"></i>{flame.escape(name)}</span>'
        for colour, name in items
    )


def _buttons(kind, names, chosen):
    return "".join(
        f'<button type="button" data-{kind}="{at}" aria-pressed="{str(at == chosen).lower()}">'
        f"{flame.escape(name)}</button>"
        for at, name in enumerate(names)
    )


def _row(site, blocks, size, total):
    function = flame.escape(site.function if site else calltree.NO_STACK.function)
    line = flame.escape(stacks.line_of(site) if site else "")
    name = flame.escape(site.object if site else "")
    return (
        f"<tr><td>{text.size(size)}</td><td>{text.percent(size, total)}</td>"
        f"<td>{text.count(blocks)}</td><td>{function}</td><td>{line}</td><td>{name}</td></tr>"
    )


def _table(profile, measure, is_shown):
    """The places of allocation with most of a quantity."""
    rows = [
        (site, blocks * (measure.sign or 1), size * (measure.sign or 1))
        for site, blocks, size in stacks.by_site(profile, measure.kind, stacks.BYTES)
    ]
    rows = sorted((row for row in rows if row[2] > 0), key=lambda row: -row[2])
    total = sum(size for _, _, size in rows)
    body = "".join(_row(*row, total) for row in rows[:_PLACES])
    more = len(rows) - _PLACES
    foot = f"<p>and {text.plural(more, 'place')} more</p>" if more > 0 else ""
    hidden = "" if is_shown else " hidden"
    return (
        f'<section class="places"{hidden}><h2>{flame.escape(measure.title)}, by place of '
        "allocation</h2><table><thead><tr><th>bytes</th><th>share</th><th>blocks</th>"
        "<th>function</th><th>line</th><th>object</th></tr></thead>"
        f"<tbody>{body}</tbody></table>{foot}</section>"
    )


def page(profile, subtitle, measures, nodes, at):
    """The page of a tree; at is which of its values is shown first."""
    colours = flame.Colours(nodes, at)
    drawn, height = flame.draw(nodes, at, colours)
    return _PAGE.substitute(
        title=flame.escape(profile.name),
        subtitle="<br>".join(flame.escape(line) for line in subtitle),
        measures=_buttons("measure", [measure.title for measure in measures], at // 2),
        units=_buttons("unit", _UNITS, at % 2),
        legend=_legend(colours),
        view=f"0 0 {flame.WIDTH} {height}",
        font=flame.FONT,
        graph=drawn,
        places="".join(
            _table(profile, measure, number == at // 2) for number, measure in enumerate(measures)
        ),
        data=_data(nodes, measures, at, colours),
    )


_PAGE = string.Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Heap profile of $title</title>
<style>
:root { color-scheme: light; }
body { margin: 0 auto; padding: 16px 20px 60px; background: #fff; color: #1c1c1c;
  font: 14px/1.4 system-ui, "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 22px; }
h2 { margin: 26px 0 8px; font-size: 16px; }
p { margin: 2px 0; color: #555; }
[hidden] { display: none !important; }
#controls { display: flex; flex-wrap: wrap; gap: 8px 18px; align-items: center;
  margin: 14px 0 4px; }
#controls > span { display: inline-flex; }
button, input { font: inherit; color: inherit; background: #fff; border: 1px solid #b9b9b4;
  border-radius: 4px; padding: 2px 9px; }
button { cursor: pointer; margin-left: -1px; }
button:hover { background: #f0f0ec; }
button[aria-pressed=true] { background: #1c1c1c; border-color: #1c1c1c; color: #fff; }
button:disabled { color: #aaa; cursor: default; background: #fff; }
input { width: 17em; } input.wrong { border-color: #c00; }
#legend { display: flex; flex-wrap: wrap; gap: 2px 14px; margin: 8px 0; color: #333;
  font-size: 13px; }
#legend i { display: inline-block; width: 13px; height: 13px; margin-right: 5px;
  vertical-align: -2px; border-radius: 2px; }
#state { min-height: 1.4em; color: #333; }
#graph { display: block; width: 100%; height: auto; outline-offset: 4px; }
#graph g { cursor: pointer; }
#graph .faded { opacity: .45; } #graph .found rect { fill: #e65ce6; }
#graph .dim rect { fill: #e9e9e6; } #graph .dim text { fill: #777; }
#graph .current rect { stroke: #000; stroke-width: 1.5; }
#told { position: fixed; z-index: 1; max-width: 620px; padding: 7px 10px; color: #fff;
  background: #1c1c1c; border-radius: 5px; pointer-events: none; white-space: pre-line;
  overflow-wrap: anywhere; }
#told:empty { display: none; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { font-weight: normal; font-size: 12px; color: #555; text-align: left; }
td { padding: 1px 0; overflow-wrap: anywhere; }
td, th { padding-right: 16px; vertical-align: top; }
td:nth-child(-n+3), th:nth-child(-n+3) { text-align: right; white-space: nowrap; }
@media print { #controls, #state { display: none; } }
</style>
</head>
<body>
<h1>Heap profile of $title</h1>
<p>$subtitle</p>
<div id="controls" hidden>
<span role="group" aria-label="Figures">$measures</span>
<span role="group" aria-label="Unit">$units</span>
<input id="search" type="search" placeholder="Search (regular expression)" \
aria-label="Search (regular expression)">
<button type="button" id="reset" disabled>Show all</button>
</div>
<div id="state" role="status" hidden></div>
<div id="legend">$legend</div>
<svg xmlns="http://www.w3.org/2000/svg" id="graph" role="img" tabindex="0" \
aria-label="Flame graph, the root at the top" viewBox="$view" $font>
$graph
</svg>
$places
<div id="told"></div>
<script type="application/json" id="data">$data</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const [nodes, frames] = [data.nodes, data.frames];
const [FUNCTION, SHORT, WHERE, OBJECT, COLOUR] = [0, 1, 2, 3, 4];
const graph = document.getElementById("graph");
const told = document.getElementById("told");
const state = document.getElementById("state");
const search = document.getElementById("search");
const reset = document.getElementById("reset");
const measureButtons = [...document.querySelectorAll("button[data-measure]")];
const unitButtons = [...document.querySelectorAll("button[data-unit]")];
const tables = [...document.querySelectorAll(".places")];
const LETTER = 6.7;
const NARROWEST = 0.8;
const NARROW_ROW = 0.01;

const parents = [];
for (let i = 0, path = []; i < nodes.length; i++) {
  path.length = nodes[i][0];
  parents.push(path.length ? path[path.length - 1] : -1);
  path.push(i);
}
let measure = Math.floor(data.at / 2), unit = data.at % 2;
let top_ = 0, current = -1, pattern = null;
let drawn = new Map();

const frameOf = (i) => frames[nodes[i][1]];
const at = () => 2 * measure + unit;
const valueOf = (i) => nodes[i][2 + at()];

function end(i) {
  let last = i + 1;
  while (last < nodes.length && nodes[last][0] > nodes[i][0]) last++;
  return last;
}

function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let i = 0;
  while (number >= 999.5 && i < units.length - 1) { number /= 1024; i++; }
  return Number(number.toPrecision(3)) + " " + units[i];
}

function figures(i) {
  const size = nodes[i][2 + 2 * measure + 1], blocks = nodes[i][2 + 2 * measure];
  return bytes(size) + ", " + blocks.toLocaleString("en") + (blocks === 1 ? " block" : " blocks");
}

function percent(part, whole) {
  return whole ? Number((100 * part / whole).toPrecision(3)) + "%" : "-";
}

function describe(i) {
  const frame = frameOf(i);
  const lines = [frame[FUNCTION], frame[WHERE], frame[OBJECT]].filter((line) => line);
  let share = percent(valueOf(i), valueOf(0)) + " of all";
  if (top_ && i > top_) share += ", " + percent(valueOf(i), valueOf(top_)) + " of what is shown";
  return lines.join("\\n") + "\\n" + figures(i) + ": " + share;
}

function element(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  return made;
}

function matches(i) {
  const frame = frameOf(i);
  return pattern.test(frame[FUNCTION]) || pattern.test(frame[WHERE]) ||
    pattern.test(frame[OBJECT]);
}

function drawBox(i, left, width, faded) {
  const y = nodes[i][0] * data.row;
  const box = element("g", { "data-node": i });
  if (faded) box.classList.add("faded");
  if (pattern) box.classList.add(matches(i) ? "found" : "dim");
  box.append(element("rect", { x: left.toFixed(2), y, height: data.row - 1,
    width: Math.max(width - 0.5, NARROWEST).toFixed(2), fill: frameOf(i)[COLOUR] }));
  const room = Math.floor((width - 6) / LETTER);
  const name = frameOf(i)[SHORT];
  if (room >= 3) {
    const label = element("text", { x: (left + 3).toFixed(1), y: y + 13 });
    label.textContent = name.length <= room ? name : name.slice(0, room - 1) + "\\u2026";
    box.append(label);
  }
  drawn.set(i, box);
  graph.append(box);
}

function draw() {
  const width = Math.max(graph.clientWidth, 300);
  graph.replaceChildren();
  drawn = new Map();
  let rows = 1;
  const path = [];
  for (let i = parents[top_]; i >= 0; i = parents[i]) path.push(i);
  path.reverse().forEach((i) => drawBox(i, 0, width, true));
  const whole = valueOf(top_);
  const ends = new Map();
  const boxes = [];
  const last = end(top_);
  for (let i = top_; whole && i < last; i++) {
    const left = i === top_ ? 0 : ends.get(parents[i]);
    const across = width * valueOf(i) / whole;
    if (i !== top_) ends.set(parents[i], left + across);
    ends.set(i, left);
    if (across >= NARROWEST) boxes.push([i, left, across]);
  }
  // What is narrow has to be zoomed for its depths to be seen.
  for (const [i, , across] of boxes) {
    if (across >= width * NARROW_ROW) rows = Math.max(rows, nodes[i][0] + 1);
  }
  for (const [i, left, across] of boxes) {
    if (nodes[i][0] < rows) drawBox(i, left, across, false);
  }
  if (!whole) {
    const nothing = element("text", { x: 3, y: 13 });
    nothing.textContent = "Nothing.";
    graph.append(nothing);
  }
  graph.setAttribute("viewBox", "0 0 " + width + " " + rows * data.row);
  mark(drawn.has(current) ? current : -1);
  report();
}

// What was found, each byte once: below a match there is nothing to add.
function foundValue() {
  let sum = 0;
  const last = end(top_);
  for (let i = top_; i < last; i++) {
    if (matches(i)) {
      sum += valueOf(i);
      i = end(i) - 1;
    }
  }
  return sum;
}

function report() {
  let words = data.measures[measure] + ": " + figures(top_);
  if (top_) {
    words += " (" + percent(valueOf(top_), valueOf(0)) + ") in " + frameOf(top_)[SHORT];
  }
  if (pattern) words += ". Found: " + percent(foundValue(), valueOf(top_));
  state.textContent = words;
  reset.disabled = !top_ && !pattern;
  measureButtons.forEach((b, i) => b.setAttribute("aria-pressed", i === measure));
  unitButtons.forEach((b, i) => b.setAttribute("aria-pressed", i === unit));
  tables.forEach((table, i) => { table.hidden = i !== measure; });
}

function mark(i) {
  if (drawn.has(current)) drawn.get(current).classList.remove("current");
  current = i;
  if (i >= 0) drawn.get(i).classList.add("current");
}

function tell(i, x, y) {
  told.textContent = i < 0 ? "" : describe(i);
  told.style.left = Math.max(0, Math.min(x + 14, innerWidth - told.offsetWidth - 8)) + "px";
  const below = y + 18 + told.offsetHeight < innerHeight;
  told.style.top = Math.max(0, below ? y + 18 : y - told.offsetHeight - 10) + "px";
}

function nodeAt(event) {
  const box = event.target.closest("g[data-node]");
  return box ? Number(box.dataset.node) : -1;
}

function zoom(i) {
  top_ = i;
  current = -1;
  tell(-1, 0, 0);
  draw();
}

function clear() {
  search.value = "";
  search.classList.remove("wrong");
  pattern = null;
  zoom(0);
}

graph.addEventListener("mousemove", (event) => {
  const i = nodeAt(event);
  mark(i);
  tell(i, event.clientX, event.clientY);
});
graph.addEventListener("mouseleave", () => { mark(-1); tell(-1, 0, 0); });
graph.addEventListener("click", (event) => { if (nodeAt(event) >= 0) zoom(nodeAt(event)); });

// Neighbours among the boxes that are drawn.
function neighbour(key) {
  if (current < 0) return top_;
  const row = [...drawn.keys()].filter((i) => nodes[i][0] === nodes[current][0]);
  const place = row.indexOf(current);
  if (key === "ArrowUp") return parents[current];
  if (key === "ArrowLeft") return place > 0 ? row[place - 1] : -1;
  if (key === "ArrowRight") return place + 1 < row.length ? row[place + 1] : -1;
  const below = [...drawn.keys()].filter((i) => parents[i] === current);
  return below.reduce((most, i) => (most < 0 || valueOf(i) > valueOf(most) ? i : most), -1);
}
graph.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && current >= 0) zoom(current);
  if (!event.key.startsWith("Arrow")) return;
  event.preventDefault();
  const next = neighbour(event.key);
  if (next < 0 || !drawn.has(next)) return;
  mark(next);
  const box = drawn.get(next).getBoundingClientRect();
  tell(next, box.left, box.bottom - 14);
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });
search.addEventListener("input", () => {
  try {
    pattern = search.value ? new RegExp(search.value, "i") : null;
    search.classList.remove("wrong");
  } catch {
    pattern = null;
    search.classList.add("wrong");
  }
  draw();
});
reset.addEventListener("click", clear);
measureButtons.forEach((b, i) => b.addEventListener("click", () => { measure = i; draw(); }));
unitButtons.forEach((b, i) => b.addEventListener("click", () => { unit = i; draw(); }));
addEventListener("resize", draw);
document.getElementById("controls").hidden = false;
state.hidden = false;
draw();
</script>
</body>
</html>
""")
