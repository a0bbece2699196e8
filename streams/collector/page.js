// Tells that somebody looks at this page: at a touch or a key, or after three seconds in sight.  Once.
(() => {
  const form = document.querySelector("form[data-at]");
  if (!form) return;
  let told = false, seen = 0;
  const tell = () => {
    if (told) return;
    told = true;
    const body = new URLSearchParams({ score: form.dataset.score, at: form.dataset.at });
    fetch(form.dataset.seen, { method: "POST", body, keepalive: true, credentials: "omit" }).catch(() => {});
  };
  for (const kind of ["pointerdown", "pointermove", "touchstart", "keydown", "scroll"])
    addEventListener(kind, (event) => event.isTrusted && tell(), { passive: true });
  const clock = setInterval(() => {
    if (document.visibilityState === "visible" && ++seen >= 3) { clearInterval(clock); tell(); }
  }, 1000);
})();
