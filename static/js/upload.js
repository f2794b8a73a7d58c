/* Files sent in pieces: <form data-upload="…/api/…/uploads/" data-imports="…/imports/">. Contract: docs/design-system.md, "Upload".
   A broken line, a server that restarts or a closed page costs the piece in flight: the same file chosen again goes on where it stopped.
   Without script the form is an ordinary one. */

const WAITS = [1000, 2000, 4000, 8000, 15000, 30000];
const PATIENCE = 20; // faults in a row before a person is asked
const megabytes = (bytes) => (bytes / 1e6).toLocaleString(undefined, { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

class Refused extends Error {}

class Upload {
  constructor(form, file, tell) {
    this.form = form;
    this.file = file;
    this.tell = tell;
    this.base = form.dataset.upload;
    this.faults = 0;
    const kind = new FormData(form).get("kind");
    this.memory = ["upload", this.base, kind, file.name, file.size, file.lastModified].join("|");
  }

  async ask(method, url, { json, bytes, offset } = {}) {
    const headers = { "X-CSRFToken": this.form.elements.csrfmiddlewaretoken.value, Accept: "application/json" };
    if (json) headers["Content-Type"] = "application/json";
    if (bytes) Object.assign(headers, { "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(offset) });
    let response;
    try {
      response = await fetch(url, { method, headers, body: json ? JSON.stringify(json) : bytes, credentials: "same-origin" });
    } catch {
      return { status: 0, body: {} };
    }
    return { status: response.status, body: await response.json().catch(() => ({})) };
  }

  /* Where the upload stands, begun anew where there is none. */
  async place() {
    const known = this.recall();
    if (known) {
      const { status, body } = await this.ask("GET", `${this.base}${known}/`);
      if (status === 200) return body;
      if (status !== 404) return this.wait(status, body);
      this.forget();
    }
    const fields = new FormData(this.form);
    const json = { kind: fields.get("kind"), licence: fields.get("licence"), filename: this.file.name, size_bytes: this.file.size };
    const { status, body } = await this.ask("POST", this.base, { json });
    if (status !== 201) return this.wait(status, body);
    this.remember(body.id);
    return body;
  }

  /* A fault that may pass is waited for; any other is said. */
  async wait(status, body) {
    if (status !== 0 && status !== 429 && status < 500) throw new Refused([body.error?.message, body.error?.hint].filter(Boolean).join(" ") || `HTTP ${status}`);
    if (this.faults >= PATIENCE) throw new Refused(say("The server cannot be reached. Choose the same file again to go on where it stopped."));
    this.tell(this.offset ?? 0, say("waiting for the server…"));
    await pause(WAITS[Math.min(this.faults, WAITS.length - 1)]);
    this.faults += 1;
    return null;
  }

  async run() {
    for (let place = null; ;) {
      place ??= await this.place();
      if (!place) continue;
      this.offset = place.offset;
      this.tell(this.offset);
      const bytes = this.file.slice(this.offset, this.offset + place.piece_bytes);
      const { status, body } = await this.ask("PATCH", `${this.base}${place.id}/`, { bytes, offset: this.offset });
      if (status === 201) { this.forget(); this.tell(this.file.size); return body.id; }
      if (status === 200) { this.faults = 0; place = body; continue; }
      // Elsewhere than we thought, or busy with a piece whose answer was lost: ask where it stands.
      if (status === 409) { await this.wait(503, body); } else if (status === 404) this.forget(); else await this.wait(status, body);
      place = null;
    }
  }

  recall() { try { return localStorage.getItem(this.memory); } catch { return null; } }
  remember(id) { try { localStorage.setItem(this.memory, id); } catch { /* a private window forgets: the upload begins anew next time */ } }
  forget() { try { localStorage.removeItem(this.memory); } catch { /* as above */ } }
}

function shown(form) {
  const box = form.querySelector("[data-upload-progress]");
  const [bar, note] = [box.querySelector("progress"), box.querySelector("[data-upload-note]")];
  box.hidden = false;
  return (name, done, size, remark = "") => {
    bar.max = Math.max(size, 1);
    bar.value = done;
    note.textContent = [`${name}: ${say("%(done)s of %(all)s MB", { done: megabytes(done), all: megabytes(size) })}`, remark].filter(Boolean).join(" · ");
  };
}

async function send(form) {
  const files = [...form.querySelector("input[type=file]").files];
  const tell = shown(form);
  const problem = form.querySelector("[data-upload-problem]");
  problem.hidden = true;
  const buttons = form.querySelectorAll("button[type=submit]");
  buttons.forEach((button) => { button.disabled = true; });
  const ids = [];
  try {
    for (const file of files) ids.push(await new Upload(form, file, (done, remark) => tell(file.name, done, file.size, remark)).run());
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    problem.querySelector("div").textContent = error.message;
    problem.hidden = false;
    return;
  } finally {
    buttons.forEach((button) => { button.disabled = false; });
  }
  const [first, ...others] = ids;
  location.assign(`${form.dataset.imports}${first}/${others.length ? `?with=${others.join(",")}` : ""}`);
}

document.querySelectorAll("form[data-upload]").forEach((form) => {
  form.addEventListener("submit", (event) => {
    if (!form.querySelector("input[type=file]").files.length) return; // the server says what is missing
    event.preventDefault();
    send(form);
  });
});
