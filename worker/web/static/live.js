// Brings the page up to date every few seconds, where somebody looks at it. Reading needs none of this.
"use strict";
(() => {
  const PERIOD = 5000; // milliseconds; longer where the page takes long to make: one twentieth of the time is ours
  const page = document.getElementById("page");
  document.getElementById("live").hidden = false;
  let timer = 0;

  const busy = () => {
    const selection = getSelection();
    return document.hidden || (selection && !selection.isCollapsed) || page.contains(document.activeElement);
  };

  const update = async () => {
    clearTimeout(timer);
    const began = performance.now();
    if (!busy()) await exchange();
    timer = setTimeout(update, Math.max(PERIOD, 20 * (performance.now() - began)));
  };

  const exchange = async () => {
    try {
      const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" }, cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("page");
      if (fresh && !busy()) page.replaceChildren(...fresh.childNodes);
      document.body.classList.remove("stale");
    } catch {
      document.body.classList.add("stale"); // b24sync does not answer: what is shown is old
    }
  };

  timer = setTimeout(update, PERIOD);
  document.addEventListener("visibilitychange", () => document.hidden || update());
})();
