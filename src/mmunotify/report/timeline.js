"use strict";
// Draws the timeline: a strip with the rate, then one band for each area of memory. Every number
// that a colour stands for is in words below the picture while the pointer is on it.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const canvas = document.getElementById("canvas");
  const detail = document.getElementById("detail");
  // After Okabe and Ito, and four more.
  const colours = ["#e69f00", "#56b4e9", "#009e73", "#d55e00", "#cc79a7", "#0072b2", "#b5a800", "#7f7f7f",
    "#8a5a2b", "#7b4fb5", "#3f8f3f", "#c23b6b"];
  const hidden = new Set();
  const names = 220, top = 46, gap = 3, axis = 26;
  const several = new Set(data.bands.map((band) => band.process)).size > 1;
  const offsets = [];
  let height = top;
  for (const band of data.bands) {
    offsets.push(height);
    height += band.height + gap;
  }
  height += axis;

  const colour = (cause) => colours[cause % colours.length];
  const resolved = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  };

  function draw() {
    const width = canvas.clientWidth, scale = window.devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = height * scale;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const text = resolved("--text"), dim = resolved("--dim"), panel = resolved("--panel");
    const across = (width - names - 8) / data.columns;
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";

    const most = Math.max(1, ...data.rate);
    pen.fillStyle = dim;
    pen.fillText("invalidations", 4, 18);
    pen.fillText(`at most ${most.toLocaleString("en")} a step`, 4, 33);
    pen.fillStyle = resolved("--primary");
    data.rate.forEach((calls, column) => {
      const tall = calls ? Math.max(1, (calls / most) * 34) : 0;
      pen.fillRect(names + column * across, 40 - tall, Math.max(across, 1), tall);
    });

    data.bands.forEach((band, number) => {
      pen.fillStyle = panel;
      pen.fillRect(names, offsets[number], width - names - 8, band.height);
      pen.fillStyle = text;
      const middle = offsets[number] + band.height / 2;
      const two = several && band.height >= 28;
      pen.fillText(fitted(pen, band.name, names - 10), 4, two ? middle - 7 : middle);
      if (two) {
        pen.fillStyle = dim;
        pen.fillText(fitted(pen, band.process, names - 10), 4, middle + 8);
      }
    });
    for (const [band, column, low, high, cause] of data.cells) {
      if (hidden.has(cause)) continue;
      const tall = data.bands[band].height / data.rows;
      pen.fillStyle = colour(cause);
      pen.fillRect(names + column * across, offsets[band] + low * tall,
        Math.max(across, 2), Math.max((high - low) * tall, 2));
    }
    pen.fillStyle = dim;
    for (let part = 0; part <= 4; part++) {
      const label = `${(data.seconds * part / 4).toPrecision(3)} s`;
      const x = names + (width - names - 8) * part / 4;
      pen.textAlign = part === 4 ? "right" : part ? "center" : "left";
      pen.fillText(label, x, height - axis / 2);
    }
    pen.textAlign = "left";
  }

  function fitted(pen, name, width) {
    if (pen.measureText(name).width <= width) return name;
    let start = 1;
    while (start < name.length && pen.measureText("…" + name.slice(start)).width > width) start++;
    return "…" + name.slice(start);
  }

  function point(event) {
    const box = canvas.getBoundingClientRect();
    const across = (canvas.clientWidth - names - 8) / data.columns;
    const column = Math.floor((event.clientX - box.left - names) / across);
    const y = event.clientY - box.top;
    const band = data.bands.findIndex((one, n) => y >= offsets[n] && y < offsets[n] + one.height + gap);
    if (band < 0 || column < 0 || column >= data.columns) return;
    const one = data.bands[band];
    const row = (y - offsets[band]) / one.height * data.rows;
    const near = data.cells.filter(([b, c, low, high, cause]) =>
      b === band && Math.abs(c - column) <= 1 && row >= low - 1 && row <= high + 1 && !hidden.has(cause));
    const from = (data.seconds * column / data.columns).toFixed(4);
    const calls = new Map();
    for (const cell of near) calls.set(cell[4], (calls.get(cell[4]) || 0) + cell[5]);
    const said = [...calls].map(([cause, n]) => `${data.causes[cause]} ${n.toLocaleString("en")}`);
    detail.textContent = `${one.name}  ${one.start}-${one.end}  ${one.pages.toLocaleString("en")} pages  ${one.process}\n` +
      `at ${from} s: ${said.join(", ") || "nothing"}`;
  }

  const legend = document.getElementById("legend");
  data.causes.forEach((name, cause) => {
    const button = document.createElement("button");
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = colour(cause);
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.append(swatch, name);
    button.addEventListener("click", () => {
      if (!hidden.delete(cause)) hidden.add(cause);
      button.setAttribute("aria-pressed", String(!hidden.has(cause)));
      draw();
    });
    legend.append(button);
  });

  const themes = ["", "light", "dark"];
  const button = document.getElementById("theme");
  button.addEventListener("click", () => {
    const root = document.documentElement;
    const next = themes[(themes.indexOf(root.dataset.theme || "") + 1) % themes.length];
    if (next) root.dataset.theme = next; else delete root.dataset.theme;
    button.textContent = `Colours: ${next || "as the system"}`;
    draw();
  });
  canvas.addEventListener("pointermove", point);
  window.addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
