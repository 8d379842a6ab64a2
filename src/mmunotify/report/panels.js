// What stands beside the lanes: the step in words, the MMU map, the source, what else could happen.
"use strict";

const byId = id => document.getElementById(id);
const result = JSON.parse(byId("result").textContent);
const GROUPS = {pte: "primary", spte: "secondary", tlb: "secondary TLB", frame: "frames", lock: "locks"};

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const key in attributes) {
    if (key === "class") made.className = attributes[key];
    else made.setAttribute(key, attributes[key]);
  }
  made.append(...children);
  return made;
}

const stepLink = (n, ...children) => element("a", {href: `#step=${n}`}, ...children);
const code = text => element("code", {}, text);

class Panels {
  constructor(trace, model) {
    this.trace = trace;
    this.model = model;
    this.history = this.readHistory();
  }

  // For each cell what was written, in order, as [step, value]; step 0 is the initial value.
  readHistory() {
    const history = new Map(this.model.columns.map(column => [column.name, [[0, column.initial]]]));
    for (const event of this.trace.events) {
      for (const change of event.changes) {
        const found = history.get(change.column);
        if (found) found.push([event.n, change.after]);
      }
    }
    return history;
  }

  // What a cell holds after a step, as [step that wrote it, value].
  cellAfter(name, n) { return this.history.get(name).filter(([when]) => when <= n).at(-1); }

  fill() {
    this.fillStates();
    this.fillLegend();
  }

  show(step) {
    this.showStep(step);
    this.showMap(step);
    showSource(step);
    this.showOthers(step);
  }

  fillStates() {
    const columns = this.model.columns, body = element("tbody", {});
    byId("states-part").hidden = !columns.length;
    for (const step of this.model.steps) {
      const row = element("tr", {}, element("th", {scope: "row"}, stepLink(step.n, step.number)));
      for (const column of columns) {
        const [writer, value] = this.cellAfter(column.name, step.n);
        row.append(stateCell(writer, value, writer === step.n));
      }
      body.append(row);
    }
    const heads = ["step", ...columns.map(column => column.name)];
    byId("states").replaceChildren(
      element("thead", {}, element("tr", {}, ...heads.map(name => element("th", {scope: "col"}, name)))), body);
  }

  fillLegend() {
    const items = [];
    const mmus = new Set(this.model.order.map(lane => this.model.lanes[lane].mmu));
    const draw = (...parts) => svg("svg", {width: 22, height: 18, class: "key"}, ...parts);
    const node = (mmu, filled, step) => draw(Diagram.prototype.node({mmu}, 11, 9, filled, step));
    for (const mmu of RANKS) if (mmus.has(mmu)) items.push([node(mmu, true), mmu + (mmu === "device" ? "" : " MMU")]);
    items.push([node("primary", false), "hollow: not needed for the violation"]);
    if (this.model.steps.some(step => step.violates)) items.push([node("", true, {violates: true}), "violation"]);
    if (this.trace.blocked.length) items.push([node("", true, {blocked: true}), "waits for ever"]);
    for (const kind in BARS) {
      if (!this.trace.windows.some(window => window.kind === kind)) continue;
      items.push([draw(svg("rect", {x: 5, y: 1, width: 12, height: 16, rx: 3, class: `bar ${kind}`})), BARS[kind]]);
    }
    if (this.model.steps.some(step => step.uses.length)) {
      items.push([draw(svg("path", {d: "M1 9H20", class: "arrow", "marker-end": "url(#tip)"})),
        "where the value came from"]);
    }
    byId("legend").replaceChildren(...items.map(item => element("span", {}, ...item)));
  }

  showStep(step) {
    const lane = this.model.lanes[step.lane], total = this.trace.events.length;
    const title = step.blocked ? "At the end, for ever" : `Step ${step.number} of ${total}`;
    const notes = [
      ...step.uses.map(n => this.note("uses", n)),
      ...this.model.steps.filter(other => other.uses.includes(step.n)).map(other => this.note("is used by", other.n)),
      ...this.trace.windows.filter(window => covers(window, step.n)).map(window => this.windowNote(window)),
    ];
    if (step.violates) notes.push(element("li", {class: "bad"}, "violates ", code(this.model.property)));
    if (this.trace.cycle === step.n) notes.push(element("li", {class: "bad"}, "from here on the steps repeat for ever"));
    if (step.event.choices && step.event.choices.length) notes.push(element("li", {}, `choice ${step.event.choices.join(", ")}`));
    byId("step").replaceChildren(
      element("h2", {}, title),
      element("p", {class: "what"}, element("b", {}, lane.name), ` ${lane.role}: `, code(step.text)),
      element("ul", {class: "plain"}, ...notes));
  }

  note(words, n) {
    const other = this.model.steps.find(step => step.n === n);
    return element("li", {}, `${words} `, stepLink(n, `step ${n}`), other ? ": " : "", other ? code(other.text) : "");
  }

  windowNote(window) {
    const lane = this.model.lanes[window.lane].name;
    const end = window.last ? stepLink(window.last, window.last) : "the end";
    if (window.kind === "cycle") return element("li", {class: "bad"}, "is repeated for ever: steps ",
      stepLink(window.first, window.first), " to ", end);
    const name = window.kind === "invalidation" ? "inside an invalidation by" : "during a stale translation of";
    return element("li", {}, `${name} ${lane}, from step `, stepLink(window.first, window.first), " to ", end,
      window.text ? ": " : "", code(window.text));
  }

  showMap(step) {
    const body = element("tbody", {});
    let group;
    for (const column of this.model.columns) {
      const where = column.group === group ? "" : GROUPS[column.group] || column.group;
      group = column.group;
      const before = this.cellAfter(column.name, step.n - 1), after = this.cellAfter(column.name, step.n);
      const changed = after[0] === step.n;
      const value = stateCell(...after, changed);
      if (changed) value.append(element("span", {class: "mark"}, " changed"));
      body.append(element("tr", {class: where ? "first" : ""}, element("td", {class: "where"}, where),
        element("th", {scope: "row"}, column.name), stateCell(...before), value));
    }
    const heads = ["", "cell", "before", "after"].map(name => element("th", {scope: "col"}, name));
    byId("map").replaceChildren(element("thead", {}, element("tr", {}, ...heads)), body);
  }

  showOthers(step) {
    const others = (step.event.alternatives || []).map(lane => {
      const next = this.model.steps.find(other => other.lane === lane && other.n > step.n);
      const what = next ? [code(next.text), " (", stepLink(next.n, `step ${next.number}`), ")"] : ["another step, which this interleaving does not take"];
      return element("li", {}, element("b", {}, this.model.lanes[lane].name), " ", ...what);
    });
    byId("others-part").hidden = !others.length;
    byId("others").replaceChildren(...others);
  }
}

const covers = (window, n) => window.first <= n && (!window.last || n <= window.last);

// A value; choosing it leads to the step that wrote it.
function stateCell(writer, value, changed) {
  const cell = element("td", {class: changed ? "changed" : ""});
  if (writer) {
    const link = stepLink(writer, value);
    link.title = `written by step ${writer}`;
    cell.append(link);
  } else {
    cell.append(value);
    cell.title = "the initial value";
  }
  if (changed) cell.append(element("span", {class: "star"}, "*"));
  return cell;
}

// The driver may be named with or without the folder it is in.
const isDriver = file => file === result.file || file.endsWith(`/${result.file}`) || result.file.endsWith(`/${file}`);

// The line to show for a step: the innermost of the driver, as in the text.
function placeOf(where) {
  return where.findLast(line => isDriver(line.file))
    || where.findLast(line => !line.file.includes("mmunotify/lang/")) || where.at(-1);
}

function showSource(step) {
  const where = step.event.where || [], line = placeOf(where);
  byId("source-part").hidden = !line;
  if (!line) return;
  const calls = where.map(one => {
    const button = element("button", {type: "button"}, `${one.function || ""} ${one.file.split("/").at(-1)}:${one.line}`);
    button.addEventListener("click", () => showLine(one, calls));
    return [one, button];
  });
  byId("calls").replaceChildren(...calls.flatMap(([, button], index) => index ? [" calls ", button] : [button]));
  showLine(line, calls);
}

function showLine(line, calls) {
  for (const [one, button] of calls) button.setAttribute("aria-pressed", String(one === line));
  const pane = byId("source"), text = result.trace.sources[line.file];
  const lines = text === undefined ? [] : text.replace(/\n$/, "").split("\n");
  const unused = n => result.unused.some(one => one.file === line.file && one.first <= n && n <= one.last);
  const made = lines.map((one, index) => sourceLine(index + 1, one, index + 1 === line.line, unused(index + 1)));
  if (!made.length) made.push(sourceLine(line.line, line.text || "(the source is not in this page)", true, false));
  pane.replaceChildren(...made);
  const on = pane.querySelector(".on");
  if (on) pane.scrollTop = on.offsetTop - pane.offsetTop - pane.clientHeight / 2 + 10;
}

function sourceLine(number, text, on, unused) {
  const mark = on ? ">" : unused ? "!" : " ";
  const made = element("span", {class: `line${on ? " on" : ""}${unused ? " unused" : ""}`},
    element("span", {class: "no"}, `${mark}${String(number).padStart(4)} `), text + "\n");
  if (unused) made.title = "never executed in any state";
  return made;
}
