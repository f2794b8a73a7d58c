/* Signing in again over the page whose session ended: name and password, then the code where the account has two-factor sign-in.
   app.js loads this when it is needed, and gives it what it has: el, buildDialog, openDialog, freshToken, adoptToken. */

const { body } = document;

class SignIn {
  constructor(tools) {
    Object.assign(this, tools);
    const { el } = tools;
    this.fields = el("div", { class: "stack" });
    this.problem = el("p", { class: "error", role: "alert", hidden: true });
    this.button = el("button", { class: "btn btn-primary", type: "submit" }, say("Sign in and go on"));
    this.form = el("form", { class: "form" }, this.fields, this.problem, this.button);
    this.askPassword();
    this.dialog = tools.buildDialog(say("Please sign in again"), [el("p", { class: "muted" }, say("Your session ended. Nothing you wrote is lost: sign in and go on where you are.")), this.form], []);
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
    tools.openDialog(this.dialog);
  }

  /* True once the person is signed in, false if the dialog was closed before. */
  get done() { return new Promise((resolve) => { this.dialog.addEventListener("close", () => resolve(this.dialog.returnValue === "yes")); }); }

  ask(...fields) {
    this.fields.replaceChildren(...fields.map(([label, attributes]) => this.el("div", { class: "field" }, this.el("label", { for: attributes.id }, label), this.el("input", { required: true, ...attributes }))));
    if (this.dialog) this.fields.querySelector("[autofocus]").focus();
  }

  askPassword() {
    this.codeAddress = null;
    this.ask([say("Username or e-mail"), { id: "again-login", name: "login", autocomplete: "username", value: body.dataset.username || "" }],
      [say("Password"), { id: "again-password", name: "password", type: "password", autocomplete: "current-password", autofocus: true }]);
  }

  askCode(address) {
    this.codeAddress = address;
    this.ask([say("Code of your authenticator app, or a recovery code"), { id: "again-code", name: "code", autocomplete: "one-time-code", autofocus: true }]);
  }

  wrong(text) {
    this.problem.textContent = text;
    this.problem.hidden = !text;
  }

  async send() {
    this.button.disabled = true;
    try { await (this.codeAddress ? this.sendCode() : this.sendPassword()); } catch { this.wrong(say("The site cannot be reached. Try again in a moment.")); }
    this.button.disabled = false;
  }

  /* With the token of the session as it is now, which is another than the page's. */
  async post(address, headers) {
    const { headers: token } = await this.freshToken();
    return fetch(address, { method: "POST", body: new URLSearchParams(new FormData(this.form)), credentials: "same-origin", headers: { ...JSON.parse(token), ...headers } });
  }

  async sendPassword() {
    const answer = await this.post(body.dataset.loginUrl, { "X-Requested-With": "XMLHttpRequest", Accept: "application/json" });
    const result = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      const fields = Object.values(result.form?.fields || {}).flatMap((field) => field.errors);
      this.wrong([...(result.form?.errors || []), ...fields].join(" ") || say("That did not work. Check the name and the password."));
      return;
    }
    // A page instead of data: the password was given before, and the code is still due.
    if (!(await this.finish())) { this.wrong(""); this.askCode(result.location || answer.url); }
  }

  async sendCode() {
    const answer = await this.post(this.codeAddress, { Accept: "text/html" });
    if (await this.finish()) return;
    if (new URL(answer.url).pathname !== new URL(this.codeAddress, location.href).pathname) {
      this.askPassword();
      this.wrong(say("That took too long. Please give your password once more."));
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    this.wrong(page.querySelector("main .error")?.textContent.trim() || say("That code does not fit. Take the one shown now."));
    this.fields.querySelector("input").select();
  }

  /* False while a step is missing. Somebody else's session must never save into this person's page. */
  async finish() {
    const { headers, user } = await this.freshToken();
    if (!user) return false;
    if (body.dataset.user && user !== body.dataset.user) { location.reload(); return true; }
    this.adoptToken(headers);
    this.dialog.close("yes");
    return true;
  }
}

export const signIn = (tools) => new SignIn(tools).done;
