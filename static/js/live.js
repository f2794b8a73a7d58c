/* A run while it runs: <section data-live>. Contract: docs/design-system.md, "Live run".
   A WebSocket that resumes from the last event seen; where it does not hold, polling with the same messages. Says which of the two it is. */

const POLL = 2000;
const BACKOFF = [1000, 2000, 4000, 8000, 15000, 30000];
const SOCKET_PATIENCE = 2; // failures in a row before polling takes over; the socket is tried on
const LOG_LINES = 500;
const OVER = new Set(["succeeded", "failed", "cancelled"]);
const TONES = { queued: "info", running: "accent", cancelling: "warning", succeeded: "success", failed: "error", interrupted: "warning" };

/* As the lines that came with the page: 24 hours. */
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole >= 3600) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return whole >= 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${whole} s`;
}

/* "train_loss" → "train loss" */
const words = (key) => key.replaceAll("_", " ");

class LiveRun {
  constructor(root) {
    this.root = root;
    this.cursor = Number(root.dataset.cursor || 0);
    this.failures = 0;
    this.part = (name) => root.querySelector(`[data-live-${name}]`);
    this.charts = [...root.querySelectorAll("[data-chart][data-keys]")].map((figure) => ({ figure, keys: new Set(figure.dataset.keys.split(/\s+/)), over: figure.dataset.over }));
    window.addEventListener("pagehide", () => this.close());
    window.addEventListener("pageshow", (event) => { if (event.persisted) this.open(); });
    window.addEventListener("online", () => { this.failures = 0; this.open(); });
    if (OVER.has(root.dataset.status)) { this.over = true; this.mode("ended", "Ended"); return; }
    this.open();
  }

  mode(name, text) {
    const node = this.part("mode");
    if (!node) return;
    node.dataset.mode = name;
    node.textContent = text;
  }

  /* ── the socket ── */
  open() {
    if (this.over || this.closed === false) return;
    this.closed = false;
    if (!this.root.dataset.socketUrl || !("WebSocket" in window)) { this.poll(); return; }
    const url = new URL(this.root.dataset.socketUrl, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(url);
    this.socket.addEventListener("open", () => {
      this.failures = 0;
      clearTimeout(this.pollTimer);
      this.socket.send(JSON.stringify({ since: this.cursor }));
      this.mode("socket", "Live");
    });
    this.socket.addEventListener("message", (event) => this.receive(JSON.parse(event.data)));
    this.socket.addEventListener("close", (event) => this.lost(event));
  }

  lost(event) {
    if (this.over || this.leaving) return;
    this.closed = true;
    this.failures += 1;
    // 4401 and 4403: the server says no, and would say it again.
    if (event.code === 4401 || event.code === 4403) { this.mode("ended", "Not allowed to follow this run. Reload the page."); return; }
    if (this.failures >= SOCKET_PATIENCE) this.poll();
    else this.mode("waiting", "Reconnecting…");
    const wait = BACKOFF[Math.min(this.failures - 1, BACKOFF.length - 1)];
    clearTimeout(this.socketTimer);
    this.socketTimer = setTimeout(() => this.open(), wait);
  }

  /* ── polling ── */
  async poll() {
    clearTimeout(this.pollTimer);
    if (this.over || this.leaving || this.socket?.readyState === 1 || !this.root.dataset.pollUrl) return;
    try {
      const answer = await fetch(this.root.dataset.pollUrl + this.cursor, { credentials: "same-origin", headers: { Accept: "application/json" } });
      if (answer.status === 401) { this.mode("waiting", "Signed out"); document.dispatchEvent(new CustomEvent("app:signed-out", { detail: { retry: () => this.poll() } })); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      this.receive(await answer.json());
      if (this.socket?.readyState !== 1 && !this.over) this.mode("polling", "Updated every 2 s (no live connection)");
    } catch {
      this.mode("waiting", navigator.onLine ? "The site does not answer. Trying again…" : "Offline. Trying again…");
    }
    this.pollTimer = setTimeout(() => this.poll(), POLL);
  }

  close() {
    this.leaving = true;
    clearTimeout(this.pollTimer);
    clearTimeout(this.socketTimer);
    this.socket?.close();
    this.closed = true;
    setTimeout(() => { this.leaving = false; });
  }

  /* ── messages: the same from both ways; an event seen before is dropped ── */
  receive(message) {
    if (message.error) { this.mode("ended", message.error.message || String(message.error)); this.over = true; return; }
    for (const event of message.events || []) {
      if (event.sequence <= this.cursor) continue;
      this.cursor = event.sequence;
      this.apply(event);
    }
    if (message.cursor > this.cursor) this.cursor = message.cursor;
    if (message.run) this.showRun(message.run);
    this.root.dataset.cursor = String(this.cursor);
  }

  apply(event) {
    const { type, step, data = {} } = event;
    if (type === "metrics") {
      for (const chart of this.charts) {
        const values = Object.fromEntries(Object.entries(data).filter(([key, value]) => chart.keys.has(key) && typeof value === "number"));
        const x = chart.over ? data[chart.over] : step;
        if (Object.keys(values).length && (!chart.over || Number.isFinite(x))) chart.figure.dispatchEvent(new CustomEvent("chart:push", { detail: { x, values } }));
      }
      for (const node of this.root.querySelectorAll("[data-live-metric]")) {
        const value = data[node.dataset.liveMetric];
        if (typeof value === "number") node.textContent = value.toLocaleString(undefined, { maximumSignificantDigits: 4 });
      }
    } else if (type === "progress") this.showProgress({ step, ...data });
    else this.log(event);
  }

  log({ type, step, data = {}, occurred_at: at, time }) {
    const host = this.part("log");
    if (!host) return;
    const when = new Date(at || time || Date.now());
    const text = data.message || data.text || data.state || data.path || Object.entries(data).map(([key, value]) => `${words(key)} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
    const stays = host.scrollTop + host.clientHeight >= host.scrollHeight - 24;
    const level = type === "error" || data.level === "error" ? "log-error" : data.level === "warning" ? "log-warn" : "";
    const line = el("div", {}, el("time", { datetime: when.toISOString() }, CLOCK.format(when)), el("span", level ? { class: level } : {}, type === "log" ? text : `${type}: ${text}${step ? ` (step ${step})` : ""}`));
    host.append(line);
    while (host.childElementCount > LOG_LINES) host.firstElementChild.remove();
    if (stays) host.scrollTop = host.scrollHeight;
  }

  showProgress({ step, total_steps: total, fraction, seconds_left: left }) {
    const bar = this.part("progress");
    if (bar && (total || fraction !== undefined)) { bar.max = 1; bar.value = fraction ?? step / total; }
    const count = this.part("step");
    if (count && step !== undefined && step !== null) count.textContent = total ? `Step ${step.toLocaleString()} of ${total.toLocaleString()}` : `Step ${step.toLocaleString()}`;
    const rest = this.part("left");
    if (rest) rest.textContent = left === null || left === undefined ? "" : `${span(left)} left`;
  }

  showRun(run) {
    if (run.progress || run.total_steps) this.showProgress(run.progress || run);
    for (const node of this.root.querySelectorAll("[data-live-while]")) node.hidden = Boolean(run.status) && node.dataset.liveWhile !== run.status;
    const pill = this.part("state");
    if (pill && run.status && pill.dataset.state !== run.status) {
      const label = run.status_label || words(run.status).replace(/^./, (first) => first.toUpperCase());
      pill.className = `badge badge-dot badge-${TONES[run.status] || "neutral"}${run.status === "running" ? " badge-live" : ""}`;
      pill.dataset.state = run.status;
      pill.textContent = label;
      document.dispatchEvent(new CustomEvent("app:announce", { detail: `Run: ${label}` }));
    }
    const problem = this.part("error");
    if (problem && run.error_message) { problem.textContent = run.error_message; (problem.closest("[hidden]") || problem).hidden = false; }
    if (OVER.has(run.status) && !this.over) this.end(run);
  }

  end(run) {
    this.over = true;
    this.mode("ended", "Ended");
    const left = this.part("left");
    if (left) left.textContent = "";
    clearTimeout(this.pollTimer);
    clearTimeout(this.socketTimer);
    this.socket?.close(1000);
    this.root.dispatchEvent(new CustomEvent("live:ended", { bubbles: true, detail: run }));
    for (const part of document.querySelectorAll("[data-live-refresh]")) window.htmx?.trigger(part, "live:ended");
  }
}

function start() {
  for (const root of document.querySelectorAll("[data-live]:not([data-live-ready])")) {
    root.dataset.liveReady = "";
    new LiveRun(root);
  }
}
start();
document.body.addEventListener("htmx:afterSettle", start);
