"""The page of pymalloc map: its frame, its style and its script.

The script only answers questions about a picture that is complete without it.
"""

import html
import string


def tile(name, figure, note):
    return (
        f'<div class="tile"><dt>{html.escape(name)}</dt><dd><b>{html.escape(figure)}</b>'
        f"<small>{html.escape(note)}</small></dd></div>"
    )


def row(kind, value, swatch, name, *cells):
    """A line of a table that lights up the cells of a class or of a heap."""
    rest = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
    return (
        f'<tr><th scope="row"><button type="button" aria-pressed="false" data-kind="{kind}" '
        f'data-value="{value}">{swatch}{html.escape(name)}</button></th>{rest}</tr>'
    )


def divider(words):
    return f'<tr class="divider"><td colspan="4">{html.escape(words)}</td></tr>'


def bar_row(name, figure, share):
    width = 0 if share is None else share * 100
    return (
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(figure)}</td>'
        f'<td class="track"><i style="width:{width:.1f}%"></i></td></tr>'
    )


PAGE = string.Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Heap of $title</title>
<style>
:root { color-scheme: light; }
body { margin: 0 auto; padding: 20px 28px 60px; max-width: 1340px; background: #fff;
  color: #1c1c1c; font: 14px/1.4 system-ui, "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 22px; }
h2 { margin: 26px 0 8px; font-size: 16px; }
p { margin: 2px 0; color: #555; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: #555; }
.chart .name { font-weight: 600; font-size: 12px; }
.chart .grid { stroke: #e4e4e0; } .chart .axis { stroke: #888; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 16px 0 0; }
.tile { flex: 1 1 130px; padding: 9px 12px; background: #f5f5f2; border-radius: 6px; }
.tile dt { color: #555; } .tile dd { margin: 0; }
.tile b { display: block; font-size: 20px; } .tile small { color: #555; }
.columns { display: flex; flex-wrap: wrap; gap: 28px; align-items: flex-start; }
.wide { flex: 1 1 560px; min-width: 0; }
.side { flex: 0 1 330px; min-width: 280px; position: sticky; top: 0; max-height: 100vh;
  overflow-y: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { font-weight: normal; text-align: left; }
.later { padding-top: 14px; }
thead th, .divider td { color: #555; font-size: 12px; vertical-align: bottom; }
th:not(:first-child), td { text-align: right; padding: 1px 0 1px 8px; white-space: nowrap; }
.divider td { text-align: left; padding-top: 6px; }
.resident { max-width: 760px; }
.resident .track { width: 55%; padding-left: 14px; }
.track i { display: block; height: 11px; background: #7d8794; border-radius: 2px; }
button { font: inherit; color: inherit; padding: 1px 6px; margin-left: -6px; border: 0;
  border-radius: 4px; background: none; cursor: pointer; white-space: nowrap; }
button:hover { background: #ecece8; }
button[aria-pressed=true] { background: #1c1c1c; color: #fff; }
.swatch { display: inline-block; width: 14px; height: 14px; margin-right: 6px;
  vertical-align: -2px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; margin: 6px 0 10px; color: #333; }
#map { outline-offset: 6px; }
#veil { fill: #fff; fill-opacity: .92; } #mark { fill: none; stroke: #000; stroke-width: 2; }
#told { position: fixed; z-index: 1; max-width: 330px; padding: 7px 10px; color: #fff;
  background: #1c1c1c; border-radius: 5px; pointer-events: none; white-space: pre-line; }
#told:empty { display: none; }
@media print { .side { position: static; max-height: none; } }
</style>
</head>
<body>
<h1>Heap of $title</h1>
<p>$subtitle</p>
<dl class="tiles">$tiles</dl>
<h2>Memory over time</h2>
$chart
<h2>Where the resident memory is, at most</h2>
<table class="resident">$resident</table>
<h2>Every pool</h2>
<p>$unit Point at a cell, or move with the arrow keys, to read its figures; press a class or
a heap to see only its pools.</p>
<div class="legend">$scale</div>
<div class="legend">$states</div>
<div class="columns">
<div class="wide">
$map
</div>
<div class="side">
<table>
<thead><tr><th scope="col">Size classes</th><th scope="col">held</th><th scope="col">full</th>
<th scope="col">below 10%</th></tr></thead>
<tbody>$classes</tbody>
<thead><tr><th scope="col" class="later">Heaps</th><th scope="col">held</th>
<th scope="col">full</th><th scope="col">below 10%</th></tr></thead>
<tbody>$heaps</tbody>
</table>
</div>
</div>
<div id="told" role="status" aria-live="polite"></div>
<script type="application/json" id="data">$data</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const cells = data.cells === "" ? [] : data.cells.split(" ");
const map = document.getElementById("map");
const told = document.getElementById("told");
const names = { n: "never used", u: "in use", d: "free, memory still there (dirty)",
  p: "free, memory given back (purged)" };
// The titles are for pages without a script.
map.querySelectorAll("title").forEach((title) => title.remove());

function place(index) {
  const row = Math.floor(index / data.inRow);
  return [Math.floor(row / data.inColumn) * data.rowWidth + index % data.inRow * data.cell,
    data.head + row % data.inColumn * data.cell];
}

function cellAt(event) {
  const box = map.getBoundingClientRect();
  const scale = map.viewBox.baseVal.width / box.width;
  const x = (event.clientX - box.left) * scale;
  const y = (event.clientY - box.top) * scale - data.head;
  const column = Math.floor(x / data.rowWidth);
  const at = Math.floor((x - column * data.rowWidth) / data.cell);
  const down = Math.floor(y / data.cell);
  if (x < 0 || at >= data.inRow || down < 0 || down >= data.inColumn) return -1;
  const index = (column * data.inColumn + down) * data.inRow + at;
  return index < cells.length ? index : -1;
}

function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (number >= 999.5 && unit < 4) { number /= 1024; unit++; }
  return Number(number.toPrecision(3)) + " " + units[unit];
}

function describe(index) {
  const cell = cells[index];
  const arena = data.byArena ? index : Math.floor(index / data.inRow);
  const where = data.byArena ? "arena 0x" + data.addresses[arena]
    : "pool " + index % data.inRow + " of arena 0x" + data.addresses[arena];
  if (names[cell]) return where + "\\n" + names[cell];
  const [size, live, capacity, heap] = cell.split(".").map(Number);
  const share = (100 * live / capacity).toFixed(live < capacity / 10 ? 1 : 0) + "%";
  if (data.byArena) {
    return where + "\\n" + bytes(live) + " live in " + capacity / data.poolSize +
      " pools in use (" + share + ")\\nmost pools of class " + size + ", of heap " + heap;
  }
  return where + "\\n" + live + " of " + capacity + " blocks of " + size + " bytes live (" +
    share + ")\\n" + (heap ? "heap " + heap : "no heap");
}

let current = -1;
function show(index, x, y) {
  current = index;
  const mark = document.getElementById("mark");
  if (index < 0) {
    told.textContent = "";
    mark.setAttribute("d", "");
    return;
  }
  const [left, top] = place(index);
  mark.setAttribute("d", "M" + (left - 1) + "," + (top - 1) + "h" + (data.side + 2) + "v" +
    (data.side + 2) + "h-" + (data.side + 2) + "z");
  told.textContent = describe(index);
  told.style.left = Math.max(0, Math.min(x + 14, innerWidth - told.offsetWidth - 8)) + "px";
  told.style.top = Math.max(0, Math.min(y + 14, innerHeight - told.offsetHeight - 8)) + "px";
}
map.addEventListener("mousemove", (event) => show(cellAt(event), event.clientX, event.clientY));
map.addEventListener("mouseleave", () => show(-1));
map.addEventListener("blur", () => show(-1));
map.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -data.inRow, ArrowDown: data.inRow };
  if (event.key === "Escape") show(-1);
  if (!(event.key in steps) || cells.length === 0) return;
  event.preventDefault();
  const next = current < 0 ? 0 : current + steps[event.key];
  if (next < 0 || next >= cells.length) return;
  const [left, top] = place(next);
  const box = map.getBoundingClientRect();
  const scale = box.width / map.viewBox.baseVal.width;
  show(next, box.left + (left + data.cell) * scale, box.top + (top + data.cell) * scale);
});

// All but the cells of one class or heap disappear under a veil.
function veil(kind, value) {
  const square = "h" + data.cell + "v" + data.cell + "h-" + data.cell + "z";
  let path = "";
  cells.forEach((cell, index) => {
    const parts = cell.split(".");
    if (kind && (kind === "class" ? parts[0] : parts[3]) !== value) {
      path += "M" + place(index).join() + square;
    }
  });
  document.getElementById("veil").setAttribute("d", path);
}
const buttons = document.querySelectorAll("button");
buttons.forEach((button) => button.addEventListener("click", () => {
  const on = button.getAttribute("aria-pressed") !== "true";
  buttons.forEach((other) => other.setAttribute("aria-pressed", other === button && on));
  veil(on && button.dataset.kind, button.dataset.value);
}));
</script>
</body>
</html>
""")
