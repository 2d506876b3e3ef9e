// Brings the page up to date every few seconds, where somebody looks at it. Reading needs none of this.
"use strict";
(() => {
  const PERIOD = 5000;
  const page = document.getElementById("page");
  document.getElementById("live").hidden = false;

  const busy = () => {
    const selection = getSelection();
    return document.hidden || (selection && !selection.isCollapsed) || page.contains(document.activeElement);
  };

  const update = async () => {
    if (busy()) return;
    try {
      const answer = await fetch(location.pathname, { headers: { Accept: "text/html" }, cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("page");
      if (fresh && !busy()) page.replaceChildren(...fresh.childNodes);
      document.body.classList.remove("stale");
    } catch {
      document.body.classList.add("stale"); // b24sync does not answer: what is shown is old
    }
  };

  setInterval(update, PERIOD);
  document.addEventListener("visibilitychange", update);
})();
