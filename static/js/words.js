/* What scripts say goes through `say`, which every script of ours finds on the window:
   say("Saved") · say("%(n)s of %(all)s placed", {n: 2, all: 4}) · sayMany("%(n)s word", "%(n)s words", 3).
   A language other than English brings its words before this file: /words/de.js, which defines gettext and ngettext. */
(function () {
  "use strict";
  function fill(text, values) {
    return text.replace(/%\((\w+)\)s/g, function (whole, name) { return name in values ? String(values[name]) : whole; });
  }
  window.say = function (text, values) {
    return fill(window.gettext ? window.gettext(text) : text, values || {});
  };
  window.sayMany = function (one, many, n, values) {
    var text = window.ngettext ? window.ngettext(one, many, n) : n === 1 ? one : many;
    return fill(text, Object.assign({ n: n }, values));
  };
})();
