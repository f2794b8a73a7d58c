/* Line charts: <figure data-chart>, made by {% chart %}. Draws with uPlot (static/vendor), loads it once, follows theme and width.
   Data: {"x": [...], "series": [{"name", "key"?, "values": [number|null], "low"?, "high"?: [number|null]}], "marks"?}; low and high draw a band.
   marks: {"lines": [{"x", "name"}], "rings": [{"x", "y", "series": index, "name"}]}: an upright line (a budget), a ring around a point (what was chosen). Events: "chart:push" {x, values}, "chart:set" data. */

const UPLOT = new URL("../vendor/uplot/uPlot.iife.min.js", import.meta.url);
const UPLOT_CSS = new URL("../vendor/uplot/uPlot.min.css", import.meta.url);
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 2], [12, 4]];
const GAP = null;

let loading = null;
function loadUplot() {
  loading ||= new Promise((resolve, reject) => {
    if (window.uPlot) { resolve(); return; }
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = UPLOT_CSS;
    const script = document.createElement("script");
    script.src = UPLOT;
    script.onload = resolve;
    script.onerror = () => reject(new Error("the chart library could not be loaded"));
    document.head.append(style, script);
  });
  return loading;
}

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/* Numbers as people read them: three figures that mean something. */
const FORMATS = {
  number(value) {
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
    return value.toLocaleString(undefined, { maximumFractionDigits: size >= 100 ? 0 : size >= 1 ? 2 : 4 });
  },
  power: (value) => (value === 0 ? "0" : value.toExponential(2)),
  count: (value) => value.toLocaleString(undefined, { maximumFractionDigits: 0 }),
  percent: (value) => `${(100 * value).toLocaleString(undefined, { maximumFractionDigits: 1 })} %`,
  seconds: (value) => (value >= 120 ? `${Math.round(value / 60)} min` : `${value.toLocaleString(undefined, { maximumFractionDigits: 1 })} s`),
};

/* Steps between the lines of an axis where only whole numbers mean something. */
const WHOLE = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

/* Days as everywhere on the site: 21 Nov, and 21 Nov 2026 where there is room. Counted by UTC, as the server counts them. */
const DAY = 86400;
const MONTH = new Intl.DateTimeFormat(document.documentElement.lang || "en", { month: "short", timeZone: "UTC" });
function day(seconds, withYear = false) {
  const date = new Date(seconds * 1000);
  return `${date.getUTCDate()} ${MONTH.format(date)}${withYear ? ` ${date.getUTCFullYear()}` : ""}`;
}

/* The computed colour of a token: canvas does not understand light-dark(). */
function colour(host, token) {
  const probe = el("span", { class: "visually-hidden" });
  probe.style.color = `var(${token})`;
  host.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/* The same colour, mostly see-through: computed colours are rgb(…) or color(…). */
function translucent(value) { return value.startsWith("rgb(") ? value.replace("rgb(", "rgba(").replace(")", ", 0.16)") : value.replace(/\)$/, " / 0.16)"); }

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.format = FORMATS[figure.dataset.yFormat] || FORMATS.number;
    this.hidden = new Set();
    this.data = { x: [], series: [] };
    this.empty = figure.querySelector(".chart-empty");
    this.host = el("div", { class: "chart-plot", role: "img", "aria-label": figure.dataset.title || say("Chart"), hidden: "" });
    this.legend = el("ul", { class: "chart-legend" });
    this.table = el("div", { class: "table-wrap chart-table", hidden: "", tabindex: "0", role: "region", "aria-label": `${figure.dataset.title}: numbers` });
    this.toggle = el("button", { class: "btn btn-ghost btn-s", type: "button", "aria-pressed": "false", hidden: "" }, say("Table"));
    this.toggle.addEventListener("click", () => this.showTable(this.table.hidden));
    figure.querySelector(".chart-head")?.append(this.toggle);
    figure.append(this.host, this.legend, this.table);
    figure.addEventListener("chart:push", (event) => this.push(event.detail));
    figure.addEventListener("chart:set", (event) => this.set(event.detail));
    new ResizeObserver(() => this.resize()).observe(figure);
    document.addEventListener("app:theme", () => this.rebuild());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
  }

  async load() {
    const { json, src } = this.figure.dataset;
    if (json) this.set(JSON.parse(document.getElementById(json).textContent));
    if (!src) return;
    try {
      const answer = await fetch(src, { credentials: "same-origin", headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      this.set(await answer.json());
    } catch (error) {
      this.empty.textContent = `The numbers could not be loaded (${error.message}). Reload the page to try again.`;
    }
  }

  set(data) {
    this.data = { x: [...(data.x || [])], series: (data.series || []).slice(0, DASHES.length).map((series) => ({ ...series, values: [...series.values] })), marks: data.marks };
    this.rebuild();
  }

  /* One point: x and the values known for it. A new key becomes a new series; x may repeat or come late after a reconnect. */
  push({ x, values }) {
    const { data } = this;
    let index = data.x.length;
    while (index > 0 && data.x[index - 1] >= x) index -= 1;
    if (data.x[index] !== x) {
      data.x.splice(index, 0, x);
      for (const series of data.series) series.values.splice(index, 0, GAP);
    }
    let added = false;
    for (const [key, value] of Object.entries(values)) {
      let series = data.series.find((candidate) => (candidate.key || candidate.name) === key);
      if (!series) {
        if (data.series.length >= DASHES.length) continue;
        series = { name: key.replaceAll("_", " "), key, values: new Array(data.x.length).fill(GAP) };
        data.series.push(series);
        added = true;
      }
      series.values[index] = Number.isFinite(value) ? value : GAP;
    }
    if (added || !this.plot) this.rebuild();
    else this.scheduleRedraw();
  }

  scheduleRedraw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.plot?.setData(this.columns());
      this.writeLegend();
      if (!this.table.hidden) this.fillTable();
    });
  }

  get banded() { return this.data.series.map((series, index) => ({ series, index })).filter(({ series }) => series.low && series.high); }

  /* x, the values of each series, then the ends of the bands: high and low of each series that has them. */
  columns() { return [this.data.x, ...this.data.series.map((series) => series.values), ...this.banded.flatMap(({ series }) => [series.high, series.low])]; }

  bands() {
    const first = this.data.series.length + 1;
    return this.banded.map(({ index }, place) => ({ series: [first + 2 * place, first + 2 * place + 1], fill: translucent(colour(this.figure, `--chart-${index + 1}`)) }));
  }

  get isEmpty() { return !this.data.series.some((series) => series.values.some((value) => value !== null && value !== undefined)); }

  async rebuild() {
    const nothing = this.isEmpty;
    this.empty.hidden = !nothing;
    this.host.hidden = nothing || !this.table.hidden;
    this.legend.hidden = nothing;
    this.toggle.hidden = nothing;
    if (nothing) return;
    try {
      await loadUplot();
    } catch (error) {
      this.empty.textContent = error.message;
      this.empty.hidden = false;
      this.showTable(true);
      return;
    }
    this.plot?.destroy();
    const options = this.options();
    this.host.style.minBlockSize = `${options.height}px`; // as tall as it will be, and no taller
    this.plot = new window.uPlot(options, this.columns(), this.host);
    this.buildLegend();
    this.describe();
    if (!this.table.hidden) this.fillTable();
  }

  options() {
    const { figure } = this;
    const text = colour(figure, "--text-3");
    const grid = colour(figure, "--chart-grid");
    const byDay = "xTime" in figure.dataset;
    const counts = figure.dataset.yFormat === "count";
    const steps = this.data.x.every(Number.isInteger);
    // One way of writing along an axis: 1.00e-3 above 8.00e-4, not 0.001.
    const along = (ticks) => (this.format === FORMATS.number && ticks.some((tick) => this.format(tick).includes("e")) ? FORMATS.power : this.format);
    const axis = { stroke: text, font: "11px system-ui, sans-serif", labelFont: "11px system-ui, sans-serif", labelSize: 18, grid: { stroke: grid, width: 1 }, ticks: { show: false }, gap: 6 };
    return {
      width: Math.max(160, this.figure.clientWidth),
      height: Number(figure.dataset.height) || 220,
      legend: { show: false },
      padding: [8, byDay ? 24 : 12, 0, 0], // room for half of the last label
      cursor: { points: { size: 7 }, drag: { x: true, y: false, uni: 20 }, focus: { prox: 24 }, bind: {} },
      focus: { alpha: 0.35 },
      scales: {
        x: { time: false, ...(this.data.marks ? { range: (plot, low, high) => this.withMarks(low, high) } : {}) },
        // A flat line is no reason for an axis from 0 to 100.
        y: { range: (plot, low, high) => (low === high ? [Math.min(0, low), high > 0 ? high * 1.2 : high === 0 ? 1 : 0] : counts ? [0, high + Math.max(0.5, high * 0.08)] : window.uPlot.rangeNum(low, high, 0.08, true)) },
      },
      axes: [
        byDay
          ? { ...axis, size: 26, space: 60, incrs: [1, 2, 7, 14, 30, 90, 365].map((days) => days * DAY), values: (plot, ticks) => ticks.map((tick) => day(tick)), label: figure.dataset.xLabel || undefined }
          : { ...axis, size: 26, ...(steps ? { incrs: WHOLE } : {}), label: figure.dataset.xLabel || undefined },
        { ...axis, space: 22, ...(counts ? { incrs: WHOLE } : {}), size: (plot, values) => 16 + 7 * Math.max(2, ...(values || []).map((value) => String(value).length)), label: figure.dataset.yLabel || undefined, values: (plot, ticks) => ticks.map(along(ticks)) },
      ],
      series: [{}, ...this.data.series.map((series, index) => ({
        label: series.name,
        show: !this.hidden.has(series.name),
        stroke: colour(figure, `--chart-${index + 1}`),
        width: 1.75,
        dash: DASHES[index],
        spanGaps: true,
        points: { show: Boolean(this.data.marks) || series.values.filter((value) => value !== null && value !== undefined).length < 30, size: 4.5 },
      })), ...this.banded.flatMap(({ series, index }) => ["high", "low"].map((end) => ({
        label: `${series.name}, ${end}`,
        show: !this.hidden.has(series.name),
        stroke: translucent(colour(figure, `--chart-${index + 1}`)),
        width: 1,
        spanGaps: true,
        points: { show: false },
      })))],
      bands: this.bands(),
      hooks: { setCursor: [() => this.writeLegend()], draw: [(plot) => this.drawMarks(plot)] },
    };
  }

  /* As wide as the points and the marked lines, with room for a ring at the ends. */
  withMarks(low, high) {
    const at = (this.data.marks.lines || []).map(({ x }) => x);
    const [first, last] = [Math.min(low, ...at), Math.max(high, ...at)];
    const room = 0.04 * (last - first || Math.abs(last) || 1);
    return [first - room, last + room];
  }

  drawMarks(plot) {
    const { lines = [], rings = [] } = this.data.marks || {};
    const { ctx, bbox } = plot;
    const scale = devicePixelRatio;
    ctx.save();
    ctx.lineWidth = 2 * scale;
    ctx.font = `${11 * scale}px system-ui, sans-serif`;
    ctx.strokeStyle = ctx.fillStyle = colour(this.figure, "--text-2");
    ctx.setLineDash([5 * scale, 4 * scale]);
    for (const [index, { x, name }] of lines.entries()) {
      const at = plot.valToPos(x, "x", true);
      ctx.beginPath();
      ctx.moveTo(at, bbox.top);
      ctx.lineTo(at, bbox.top + bbox.height);
      ctx.stroke();
      const left = at - bbox.left > ctx.measureText(name).width + 8 * scale; // where there is room
      ctx.textAlign = left ? "right" : "left";
      ctx.fillText(name, at + (left ? -5 : 5) * scale, bbox.top + bbox.height - (6 + 13 * index) * scale); // below, where curves seldom are
    }
    ctx.setLineDash([]);
    for (const { x, y, series, name } of rings) {
      if (series >= this.data.series.length || this.hidden.has(this.data.series[series].name)) continue;
      const [across, down] = [plot.valToPos(x, "x", true), plot.valToPos(y, "y", true)];
      ctx.strokeStyle = colour(this.figure, `--chart-${series + 1}`);
      ctx.beginPath();
      ctx.arc(across, down, 7 * scale, 0, 2 * Math.PI);
      ctx.stroke();
      ctx.textAlign = across > bbox.left + bbox.width / 2 ? "right" : "left";
      ctx.fillText(name, across + (ctx.textAlign === "right" ? -11 : 11) * scale, down - 8 * scale);
    }
    ctx.restore();
  }

  buildLegend() {
    this.legend.replaceChildren(...this.data.series.map((series, index) => {
      const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      for (const [name, value] of Object.entries({ x1: 0, x2: 18, y1: 4, y2: 4, stroke: "currentColor", "stroke-width": 2, "stroke-dasharray": DASHES[index].join(" ") })) line.setAttribute(name, value);
      swatch.setAttribute("class", `chart-${index + 1}`);
      swatch.setAttribute("viewBox", "0 0 18 8");
      swatch.setAttribute("aria-hidden", "true");
      swatch.append(line);
      const button = el("button", { type: "button", "aria-pressed": String(!this.hidden.has(series.name)), title: say("Show or hide") }, swatch, series.name, " ", el("b"));
      button.addEventListener("click", () => {
        const shown = this.hidden.has(series.name);
        if (shown) this.hidden.delete(series.name); else this.hidden.add(series.name);
        button.setAttribute("aria-pressed", String(shown));
        this.plot.setSeries(index + 1, { show: shown });
        const place = this.banded.findIndex((each) => each.index === index);
        if (place >= 0) for (const end of [1, 2]) this.plot.setSeries(this.data.series.length + 2 * place + end, { show: shown });
      });
      return el("li", {}, button);
    }));
    this.writeLegend();
  }

  /* Under the cursor: the values there; otherwise the last ones, or of bins how many there are in all. */
  writeLegend() {
    const at = this.plot?.cursor?.idx;
    [...this.legend.children].forEach((item, index) => {
      const { values } = this.data.series[index] || { values: [] };
      let place = at ?? values.length - 1;
      while (place > 0 && (values[place] === null || values[place] === undefined)) place -= 1;
      const counted = (at ?? GAP) === GAP && "bins" in this.figure.dataset;
      const value = counted ? values.reduce((sum, each) => sum + (each || 0), 0) : values[place];
      item.querySelector("b").textContent = value === null || value === undefined ? "—" : this.format(value);
    });
  }

  describe() {
    const parts = this.data.series.map((series) => {
      const known = series.values.filter((value) => value !== null && value !== undefined);
      const ends = () => ({ name: series.name, first: this.format(known[0]), last: this.format(known.at(-1)) });
      return known.length ? say("%(name)s from %(first)s to %(last)s", ends()) : series.name;
    });
    this.host.setAttribute("aria-label", `${this.figure.dataset.title || say("Chart")}: ${parts.join("; ")}`);
  }

  resize() {
    const width = this.figure.clientWidth;
    if (this.plot && width > 0 && Math.abs(width - this.plot.width) > 1) this.plot.setSize({ width, height: this.plot.height });
  }

  showTable(shown) {
    this.table.hidden = !shown;
    this.host.hidden = shown || this.isEmpty;
    this.toggle.setAttribute("aria-pressed", String(shown));
    if (shown) this.fillTable();
    else this.resize();
  }

  cell(series, index) {
    const value = series.values[index];
    if (value === null || value === undefined) return "—";
    const [low, high] = [series.low?.[index], series.high?.[index]];
    return low === null || low === undefined ? this.format(value)
      : say("%(value)s (%(low)s to %(high)s)", { value: this.format(value), low: this.format(low), high: this.format(high) });
  }

  fillTable() {
    const head = el("tr", {}, el("th", { scope: "col", class: "num" }, this.figure.dataset.xLabel || "x"), ...this.data.series.map((series) => el("th", { scope: "col", class: "num" }, series.name)));
    const rows = this.data.x.map((x, index) => el("tr", {}, el("td", { class: "num" }, "xTime" in this.figure.dataset ? day(x, true) : Number.isInteger(x) ? String(x) : this.format(x)),
      ...this.data.series.map((series) => el("td", { class: "num" }, this.cell(series, index)))));
    this.table.replaceChildren(el("table", { class: "table" }, el("thead", {}, head), el("tbody", {}, ...rows)));
  }
}

function start(root) {
  for (const figure of root.querySelectorAll("[data-chart]:not([data-chart-ready])")) {
    figure.dataset.chartReady = "";
    new Chart(figure).load();
    figure.dispatchEvent(new CustomEvent("chart:ready", { bubbles: true }));
  }
}
start(document);
/* New data of plots that are on the page, by their ids: what is hidden, open as a table or scrolled to stays. */
function redraw(source) {
  if (!source) return;
  for (const [id, data] of Object.entries(JSON.parse(source.textContent))) document.getElementById(id)?.dispatchEvent(new CustomEvent("chart:set", { detail: data }));
  source.remove();
}
document.body.addEventListener("htmx:afterSettle", (event) => {
  start(event.detail.elt?.parentElement || document);
  redraw(document.getElementById("compare-plots"));
});
