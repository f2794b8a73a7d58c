/* The API docs are Swagger UI, which is dark where <html class="dark-mode">: as the reader chose here, else as the device. */
(function () {
  "use strict";
  const device = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => document.documentElement.classList.toggle("dark-mode", (document.documentElement.dataset.theme || (device.matches ? "dark" : "light")) === "dark");
  device.addEventListener("change", apply);
  apply();
})();
