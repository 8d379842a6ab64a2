// The lanes as SVG. Rows are as high as their labels need; arrows run in gutters of their own:
// down the left side of the lane they lead to, and across in the space between two rows.
"use strict";

const LINE = 17, PAD = 6, STREET = 11, NUMBER = 46, TRACK = 14, CHANNEL = 9, LABEL = 15;
const LEAST = 120, FONT = "13px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace";
const RANKS = ["primary", "secondary", "device"];
const BARS = {invalidation: "invalidation, range_start to range_end", stale: "stale translation",
  cycle: "repeats for ever"};

const pen = document.createElement("canvas").getContext("2d");
pen.font = FONT;
const widthOf = text => pen.measureText(text).width;

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  made.append(...children);
  return made;
}

// Break a text into lines of at most `room` pixels: between words, else after a sign. All lines
// but the first have `hanging` pixels less.
function wrapped(text, first, hanging = 0) {
  const lines = [];
  let line = "", room = first;
  const next = () => { lines.push(line); line = ""; room = first - hanging; };
  for (const word of text.split(" ")) {
    if (line && widthOf(line + " " + word) <= room) { line += " " + word; continue; }
    if (line) next();
    const pieces = widthOf(word) <= room ? [word] : word.split(/(?<=[_.\/,:;=[\](){}|-])/);
    for (const piece of pieces) {
      if (line && widthOf(line + piece) > room) next();
      line += piece;
      while (widthOf(line) > room && line.length > 1) {
        let end = line.length - 1;
        while (end > 1 && widthOf(line.slice(0, end)) > room) end--;
        const rest = line.slice(end);
        line = line.slice(0, end);
        next();
        line = rest;
      }
    }
  }
  return [...lines, line];
}

// Give each wish its width, or an equal share of what the smaller wishes leave.
function sharedOut(wishes, room) {
  const widths = [];
  let left = wishes.length;
  for (const index of wishes.map((_, i) => i).sort((a, b) => wishes[a] - wishes[b])) {
    widths[index] = Math.max(LEAST, Math.min(wishes[index], room / left));
    room -= widths[index];
    left--;
  }
  // What nobody needs is spread evenly, as far as it helps the eye.
  const spare = Math.max(0, Math.min(room / wishes.length, 90));
  return widths.map(width => width + spare);
}

// Give each span [first, last] the lowest track that no earlier span uses at the same time.
function assignTracks(spans) {
  for (const [index, span] of spans.entries()) {
    const used = spans.slice(0, index).filter(o => o.last >= span.first && o.first <= span.last);
    span.track = 0;
    while (used.some(other => other.track === span.track)) span.track++;
  }
  return Math.max(0, ...spans.map(span => span.track + 1));
}

class Diagram {
  constructor(model) { this.model = model; }

  // Draw `rows` into the two elements; `width` is the room there is.
  draw(rows, heads, body, width) {
    this.rows = rows;
    this.rowOf = new Map(rows.flatMap((row, index) => row.steps.map(step => [step.n, index])));
    this.place(width);
    this.measure();
    heads.replaceChildren(this.drawHeads());
    body.replaceChildren(this.drawBody());
  }

  // The row that shows an event, or the next one that is shown.
  rowAt(n) {
    const found = this.rows.findIndex(row => row.steps.at(-1).n >= n);
    return found < 0 ? this.rows.length - 1 : found;
  }

  bars(lane) {
    return this.model.windows.filter(window => window.lane === lane).map(window => ({
      ...window,
      open: !window.last,
      first: this.rowAt(window.first),
      last: window.last ? this.rowAt(window.last) : this.rows.length - 1,
    })).filter(bar => bar.last >= bar.first).sort((a, b) => a.first - b.first);
  }

  arrows(lane) {
    const found = [];
    for (const row of this.rows) for (const step of row.steps) {
      if (step.lane !== lane) continue;
      for (const use of step.uses) {
        const first = this.rowOf.get(use), last = this.rowOf.get(step.n);
        if (first !== undefined && first < last) found.push({first, last, use, n: step.n});
      }
    }
    // Short ones run inside, so that long ones need not be crossed.
    return found.sort((a, b) => a.last - a.first - (b.last - b.first) || a.first - b.first);
  }

  // Decide where each lane stands.
  place(width) {
    this.lanes = this.model.order.map(index => {
      const bars = this.bars(index), arrows = this.arrows(index);
      const tracks = Math.max(1, assignTracks(bars));
      const gutter = 12 + CHANNEL * assignTracks(arrows);
      return {index, ...this.model.lanes[index], bars, arrows, tracks, gutter};
    });
    const margin = lane => lane.gutter + TRACK * lane.tracks + LABEL;
    const wishes = this.lanes.map(lane => this.natural(lane) + 12);
    const taken = this.lanes.reduce((sum, lane) => sum + margin(lane), NUMBER);
    const rooms = sharedOut(wishes, width - taken - 4);
    let x = NUMBER;
    this.lanes.forEach((lane, position) => {
      lane.left = x;
      lane.line = x + lane.gutter + TRACK / 2;
      lane.text = x + margin(lane);
      lane.room = rooms[position] - 12;
      x += margin(lane) + rooms[position];
    });
    this.width = Math.max(Math.floor(width), Math.ceil(x));
    this.laneOf = new Map(this.lanes.map(lane => [lane.index, lane]));
  }

  // How wide a lane has to be for nothing in it to be broken.
  natural(lane) {
    const own = this.rows.filter(row => row.steps[0].lane === lane.index);
    const lines = own.flatMap(row => this.labels(row, Infinity));
    const ends = lines.map(one => one.indent + widthOf(one.text) + (one.place ? 10 + widthOf(one.place) : 0));
    return Math.max(...[lane.name, lane.role].map(widthOf), ...ends, LEAST);
  }

  // What a row says: its text, the line of source, what changed, the property it violates.
  texts(row) {
    const step = row.steps[0];
    if (row.steps.length > 1) {
      const numbers = `${step.number}-${row.steps.at(-1).number}`;
      return [{text: `... ${row.steps.length} steps (${numbers})`, style: "dim"}];
    }
    const parts = [{text: step.text, style: step.blocked ? "bad" : ""}];
    if (step.place) parts.push({text: step.place, style: "dim"});
    parts.push(...step.changes.map(text => ({text, style: "change", indent: 12})));
    if (step.violates) parts.push({text: `^\u00a0${this.model.property}`, style: "bad"});
    return parts;
  }

  // Wrap all labels, and from that decide how high each row is.
  measure() {
    let y = 4;
    for (const row of this.rows) {
      row.lane = this.laneOf.get(row.steps[0].lane);
      row.labels = this.labels(row, row.lane.room);
      row.top = y;
      row.node = y + PAD + LINE / 2;
      row.bottom = y + PAD + LINE * row.labels.length + 2;
      y = row.bottom + STREET;
    }
    this.height = y;
  }

  // The lines of a row in a lane that is `room` wide.
  labels(row, room) {
    const labels = [];
    for (const part of this.texts(row)) {
      const indent = part.indent || 0, before = labels.at(-1);
      // The line of source follows the text where it fits.
      if (part.style === "dim" && before && !before.style) {
        before.end = widthOf(before.text);
        if (before.end + 10 + widthOf(part.text) <= room) { before.place = part.text; continue; }
      }
      wrapped(part.text, room - indent, indent).forEach((text, index) =>
        labels.push({text, style: part.style, indent: index ? 2 * indent : indent}));
    }
    return labels;
  }

  drawHeads() {
    const lines = this.lanes.map(lane => wrapped(lane.role || " ", lane.room));
    const height = 24 + LINE * Math.max(1, ...lines.map(role => role.length)) + 4;
    const made = svg("svg", {width: this.width, height, viewBox: `0 0 ${this.width} ${height}`});
    this.lanes.forEach((lane, position) => {
      made.append(
        this.node(lane, lane.line, 15, true),
        svg("text", {x: lane.text, y: 19, class: "name"}, lane.name),
        ...lines[position].map((text, index) =>
          svg("text", {x: lane.text, y: 37 + LINE * index, class: "dim"}, text)),
        svg("title", {}, `${lane.name}: ${lane.mmu}`));
    });
    return made;
  }

  drawBody() {
    const made = svg("svg", {width: this.width, height: this.height,
      viewBox: `0 0 ${this.width} ${this.height}`});
    made.append(patterns());
    for (const row of this.rows) made.append(this.drawRow(row));
    for (const lane of this.lanes) {
      made.append(svg("line", {x1: lane.line, x2: lane.line, y1: 0, y2: this.height, class: "lane"}));
      for (const bar of lane.bars) made.append(this.drawBar(lane, bar));
    }
    this.lanes.forEach(lane => lane.arrows.forEach(arrow => made.append(this.drawArrow(lane, arrow))));
    for (const row of this.rows) made.append(this.drawLabels(row));
    return made;
  }

  drawRow(row) {
    const height = row.bottom - row.top + STREET / 2;
    row.back = svg("g", {class: "row"},
      svg("rect", {x: 0, y: row.top - 2, width: this.width, height, class: "back"}),
      svg("rect", {x: 0, y: row.top - 2, width: 4, height, class: "edge"}));
    row.back.dataset.n = row.steps[0].n;
    return row.back;
  }

  drawBar(lane, bar) {
    const top = this.rows[bar.first].node - 10;
    const bottom = bar.open ? this.height - 3 : this.rows[bar.last].node + 10;
    const x = lane.line + TRACK * bar.track - 6;
    return svg("rect", {x, y: top, width: 12, height: bottom - top, rx: 3, class: `bar ${bar.kind}`},
      svg("title", {}, `${BARS[bar.kind] || bar.kind} ${bar.text}`));
  }

  drawArrow(lane, arrow) {
    const from = this.rows[arrow.first], to = this.rows[arrow.last];
    const start = from.lane.line, street = from.bottom + 2 + 3 * (arrow.track % 3);
    const x = lane.left + lane.gutter - 4 - CHANNEL * arrow.track - CHANNEL / 2;
    const turn = x < start ? -4 : 4, end = lane.line - 9;
    const path = `M${start} ${from.node + 8}V${street - 4}q0 4 ${turn} 4H${x - turn}` +
      `q${turn} 0 ${turn} 4V${to.node - 4}q0 4 4 4H${end}`;
    const made = svg("path", {d: path, class: "arrow", "marker-end": "url(#tip)"});
    made.dataset.n = arrow.n;
    return made;
  }

  drawLabels(row) {
    const made = svg("g", {class: "label"}), step = row.steps[0], y = row.top + PAD + 13;
    const inSlice = row.steps.some(one => one.slice);
    if (!inSlice) made.classList.add("aside");
    if (row.steps.length === 1) made.append(svg("text", {x: NUMBER - 12, y, class: "number"}, step.number));
    made.append(this.node(row.lane, row.lane.line, row.node, inSlice, step));
    row.labels.forEach((label, index) => {
      const x = row.lane.text + label.indent;
      made.append(svg("text", {x, y: y + LINE * index, class: label.style}, label.text));
      if (label.place) {
        made.append(svg("text", {x: x + label.end + 10, y: y + LINE * index, class: "dim"}, label.place));
      }
    });
    made.dataset.n = step.n;
    row.label = made;
    return made;
  }

  // The shape says which MMU, filled says that the step matters.
  node(lane, x, y, filled, step = {}) {
    const attributes = {class: `node ${lane.mmu} ${filled ? "filled" : "hollow"}`};
    if (step.violates || step.blocked) {
      return svg("g", {class: "node cross"}, svg("circle", {cx: x, cy: y, r: 8}),
        svg("path", {d: step.blocked ? `M${x - 4} ${y}h8`
          : `M${x - 3.5} ${y - 3.5}l7 7m0 -7l-7 7`}));
    }
    if (lane.mmu === "secondary") return svg("circle", {...attributes, cx: x, cy: y, r: 6});
    if (lane.mmu === "device") return svg("path", {...attributes, d: `M${x} ${y - 7}l7 7l-7 7l-7 -7z`});
    return svg("rect", {...attributes, x: x - 5.5, y: y - 5.5, width: 11, height: 11, rx: 1});
  }
}

function patterns() {
  const hatch = (id, style, path) => svg("pattern",
    {id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"},
    svg("rect", {width: 6, height: 6, class: `${style}-ground`}), svg("path", {d: path, class: `${style}-stroke`}));
  return svg("defs", {}, hatch("hatch", "invalidation", "M1 0V6"), hatch("cross", "stale", "M1 0V6M0 1H6"),
    svg("marker", {id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8,
      orient: "auto", markerUnits: "userSpaceOnUse"}, svg("path", {d: "M0 0L8 4L0 8z", class: "tip"})));
}
