/* Runs before the first paint, so that a stored theme never flashes. Everything else is in app.js. */
(function () {
  "use strict";
  try {
    var stored = localStorage.getItem("theme");
    if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
  } catch (error) {
    // Storage is refused (private mode, policy): the system's theme stays, which is a fine answer.
    document.documentElement.dataset.storage = "refused";
  }
})();
