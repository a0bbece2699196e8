// Reports once that a person looks at this page: at a touch or a key, or after three seconds in sight.
(() => {
  const form = document.querySelector("form[data-at]");
  if (!form) return;
  let reported = false, secondsInSight = 0;
  const report = () => {
    if (reported) return;
    reported = true;
    const body = new URLSearchParams({ score: form.dataset.score, at: form.dataset.at });
    fetch(form.dataset.seen, { method: "POST", body, keepalive: true, credentials: "omit" }).catch(() => {});
  };
  for (const kind of ["pointerdown", "pointermove", "touchstart", "keydown", "scroll"])
    addEventListener(kind, (event) => event.isTrusted && report(), { passive: true });
  const clock = setInterval(() => {
    if (document.visibilityState === "visible" && ++secondsInSight >= 3) { clearInterval(clock); report(); }
  }, 1000);
})();
