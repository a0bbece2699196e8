// Reports once that a person looks at this page: at a touch or a key, or after five seconds in sight.  Gives the page an
// address that takes nothing, with the score that was chosen last: back, reload and a restored tab are no new click.
(() => {
  const form = document.querySelector("form[data-score]");
  if (!form) return;
  const { score, at } = form.dataset;
  const action = form.getAttribute("action");
  const [arrival] = performance.getEntriesByType("navigation");
  const isNewClick = arrival?.type === "navigate" || location.pathname !== action;
  const keep = (chosen, clickedAt) => {
    const query = new URLSearchParams({ score: chosen, at: clickedAt, lang: form.elements.lang.value });
    history.replaceState(null, "", `${action}/clicked?${query}`);
  };
  keep(score, at ?? "");
  let sent = false, reported = false, secondsInSight = 0;
  form.addEventListener("submit", (event) => {
    sent = true;
    keep(event.submitter?.value || score, "");
  });
  addEventListener("pageshow", (event) => event.persisted && sent && location.reload());
  if (at === undefined || !isNewClick) return;
  const report = () => {
    if (reported) return;
    reported = true;
    const body = new URLSearchParams({ score, at });
    fetch(`${action}/seen`, { method: "POST", body, keepalive: true, credentials: "omit" }).catch(() => {});
  };
  for (const kind of ["pointerdown", "pointermove", "touchstart", "keydown", "scroll"])
    addEventListener(kind, (event) => event.isTrusted && report(), { passive: true });
  const clock = setInterval(() => {
    if (document.visibilityState === "visible" && ++secondsInSight >= 5) { clearInterval(clock); report(); }
  }, 1000);
})();
