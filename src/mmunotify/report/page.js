// What the page does: moves from step to step and shows what belongs to the one that is chosen.
"use strict";

// The table of all steps is the text of the page; the rest of each step is in the result.
function readModel(trace) {
  const lanes = trace.header.lanes;
  const tableRows = [...byId("steps").tBodies[0].rows];
  const steps = [...trace.events, ...trace.blocked].map((event, index) => {
    const cells = tableRows[index].cells, last = trace.events.length;
    const changes = cells[4].textContent;
    return {
      event, row: tableRows[index], n: event.n || trace.events.at(-1).n + index - last + 1,
      number: cells[0].textContent, lane: event.lane, text: cells[2].textContent,
      place: cells[3].textContent, changes: changes ? changes.split("; ") : [],
      uses: event.uses, slice: tableRows[index].classList.contains("slice"),
      run: tableRows[index].dataset.run || "", blocked: index >= last,
      violates: result.property && !trace.blocked.length && index === last - 1,
    };
  });
  const active = [...new Set(steps.map(step => step.lane))];
  const rank = lane => (RANKS.indexOf(lanes[lane].mmu) + 1) || RANKS.length + 1;
  const changed = new Set(trace.events.flatMap(event => event.changes.map(one => one.column)));
  return {
    steps, lanes, windows: trace.windows, property: result.property,
    order: active.sort((a, b) => rank(a) - rank(b) || a - b),
    columns: trace.header.columns.filter(column => changed.has(column.name)),
  };
}

class Page {
  constructor(trace) {
    this.trace = trace;
    this.model = readModel(trace);
    this.diagram = new Diagram(this.model);
    this.opened = new Set();
    this.panels = new Panels(trace, this.model);
    this.byNumber = new Map(this.model.steps.map(step => [step.n, step]));
    const runs = this.model.steps.some(step => step.run);
    const collapse = byId("collapse");
    collapse.disabled = !runs;
    collapse.checked = runs && (this.model.steps.length > 40 || this.model.order.length > 4);
    byId("only-slice").disabled = this.model.steps.every(step => step.slice);
  }

  start() {
    this.panels.fill();
    this.fit();
    this.draw();
    const hash = () => Number((location.hash.match(/step=(\d+)/) || [])[1]);
    this.select(hash() || this.model.steps.at(-1).n);
    addEventListener("hashchange", () => hash() && this.select(hash()));
    addEventListener("keydown", event => this.onKey(event));
    for (const id of ["only-slice", "collapse"]) {
      byId(id).addEventListener("change", () => { this.opened.clear(); this.redraw(); });
    }
    byId("diagram").addEventListener("click", event => this.onRow(event));
    for (const id of ["states", "steps", "map"]) {
      byId(id).addEventListener("click", event => {
        const found = event.target.closest("[data-n]");
        if (found) this.select(Number(found.dataset.n));
      });
    }
    let width = byId("scroll").clientWidth;
    new ResizeObserver(() => {
      if (byId("scroll").clientWidth !== width) { width = byId("scroll").clientWidth; this.fit(); this.redraw(); }
    }).observe(byId("scroll"));
    addEventListener("beforeprint", () => this.draw(1000));
    addEventListener("afterprint", () => this.redraw());
  }

  // The lanes end where the window does, however high the heading is.
  fit() {
    const top = byId("trace").getBoundingClientRect().top + scrollY;
    document.documentElement.style.setProperty("--top", `${top}px`);
  }

  visibleRows() {
    const rows = [], only = byId("only-slice").checked, collapse = byId("collapse").checked;
    for (const step of this.model.steps) {
      if (only && !step.slice) continue;
      const run = collapse && !this.opened.has(step.run) ? step.run : "";
      if (run && rows.length && rows.at(-1).run === run) rows.at(-1).steps.push(step);
      else rows.push({run, steps: [step]});
    }
    return rows.length ? rows : this.model.steps.map(step => ({run: "", steps: [step]}));
  }

  draw(width = byId("scroll").clientWidth) {
    this.rows = this.visibleRows();
    this.diagram.draw(this.rows, byId("heads"), byId("diagram"), width);
  }

  redraw() {
    this.draw();
    this.select(this.current, false);
  }

  rowOf(n) { return this.rows.findIndex(row => row.steps.some(step => step.n === n)); }

  // Show a step; one that is folded away or hidden is brought back first.
  select(n, moved = true) {
    if (!this.byNumber.has(n)) n = this.diagram.rows[this.diagram.rowAt(n)].steps[0].n;
    const step = this.byNumber.get(n);
    if (moved && this.rowOf(n) < 0) { byId("only-slice").checked = false; this.draw(); }
    const row = this.rows[this.rowOf(n)];
    if (moved && row && row.steps.length > 1 && row.steps[0] !== step) {
      this.opened.add(step.run);
      this.draw();
    }
    this.current = n;
    history.replaceState(null, "", `#step=${n}`);
    this.mark(this.rows[this.rowOf(n)]);
    this.panels.show(step);
  }

  mark(current) {
    for (const row of this.rows) {
      for (const part of [row.back, row.label]) part.classList.toggle("chosen", row === current);
    }
    if (current) reveal(byId("scroll"), current.top, current.bottom, byId("heads").offsetHeight);
    for (const arrow of document.querySelectorAll(".arrow")) {
      arrow.classList.toggle("chosen", Number(arrow.dataset.n) === this.current);
    }
    for (const id of ["steps", "states"]) {
      [...byId(id).tBodies[0].rows].forEach((row, index) => {
        const chosen = this.model.steps[index].n === this.current;
        row.classList.toggle("chosen", chosen);
        if (chosen) row.setAttribute("aria-current", "step");
        else row.removeAttribute("aria-current");
      });
    }
  }

  onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const at = Math.max(0, this.rowOf(this.current)), last = this.rows.length - 1;
    const to = {j: at + 1, ArrowDown: at + 1, ArrowRight: at + 1, k: at - 1, ArrowUp: at - 1,
      ArrowLeft: at - 1, Home: 0, End: last}[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.select(this.rows[Math.max(0, Math.min(last, to))].steps[0].n);
  }

  onRow(event) {
    const found = event.target.closest("[data-n]");
    if (!found) return;
    const n = Number(found.dataset.n), row = this.rows[this.rowOf(n)];
    if (row && row.steps.length > 1 && n === this.current) {
      this.opened.add(row.run);  // a second click unfolds
      this.redraw();
    } else this.select(n);
  }
}

// Bring a row of a scrolled box into view; the page itself does not move.
function reveal(box, top, bottom, covered) {
  if (top < box.scrollTop) box.scrollTop = top;
  const end = bottom + covered + 12 - box.clientHeight;
  if (end > box.scrollTop) box.scrollTop = end;
}

async function copy(button) {
  const command = byId("command");
  try {
    await navigator.clipboard.writeText(command.textContent);
  } catch {
    getSelection().selectAllChildren(command);  // where the clipboard is closed to a file
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function download(button) {
  const file = new Blob([JSON.stringify(result, null, 1)], {type: "application/json"});
  const link = element("a", {href: URL.createObjectURL(file), download: `${button.dataset.name}.json`});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const THEMES = ["", "light", "dark"];
let theme = 0;
function turnTheme(button) {
  theme = (theme + 1) % THEMES.length;
  document.documentElement.dataset.theme = THEMES[theme];
  button.textContent = `Colours: ${THEMES[theme] || "as the system"}`;
}

for (const [id, does] of [["copy", copy], ["download", download], ["theme", turnTheme]]) {
  const button = byId(id);
  if (button) button.addEventListener("click", () => does(button));
}
if (result.trace && result.trace.events.length) new Page(result.trace).start();
