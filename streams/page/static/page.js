// Shows the pipeline as /stream tells it, and sends what a responder does.  State is kept by key, so that a change moves
// nothing else; drawing waits for the next frame.  Text is only ever set as text.
(() => {
  const { role, csrf } = document.body.dataset;
  const isResponder = role === "responder";
  const FEW_SEGMENTS = 12;
  const MOST_ANSWERS = 50;
  const $ = (id) => document.getElementById(id);
  const state = { rolling: new Map(), falls: new Map(), incidents: new Map(), cases: new Map(), answers: new Map(),
    health: {}, queue: { open: 0, overdue: 0 } };
  let window_ = stored("window"), showsAll = false, isDue = false, clockSkew = 0, source = null, retry = 0;

  function stored(name) { try { return localStorage.getItem(`nps.${name}`); } catch { return null; } }
  function store(name, text) { try { localStorage.setItem(`nps.${name}`, text); } catch { /* private windows */ } }
  function now() { return Date.now() + clockSkew; }

  // Elements

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes))
      if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    element.append(...children.filter((child) => child || child === 0));
    return element;
  }
  function drawn(tag, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }
  /** Make the children of a list those of `items`, each built once by its key and filled again when it changed. */
  function fill(list, items, key, draw, tag = "li") {
    const before = new Map([...list.children].map((child) => [child.dataset.key, child]));
    let place = list.firstElementChild;
    for (const item of items) {
      const name = String(key(item));
      const text = JSON.stringify(item);
      let child = before.get(name);
      before.delete(name);
      if (!child) { child = make(tag, { "data-key": name }); child.isNew = true; }
      if (child.drawnFrom !== text) {
        const open = child.querySelector("details")?.open;
        const focused = child.contains(document.activeElement) ? document.activeElement.dataset.verb : null;
        draw(child, item);
        if (open && child.querySelector("details")) child.querySelector("details").open = true;
        if (focused) (child.querySelector(`[data-verb="${focused}"]`) ?? child).focus();
        child.drawnFrom = text;
      }
      if (child !== place) list.insertBefore(child, place); else place = place.nextElementSibling;
    }
    for (const child of before.values()) child.remove();
  }

  // Words

  function signed(value) {
    if (value === null || value === undefined) return "–";
    const points = Math.round(value);
    return `${points > 0 ? "+" : points < 0 ? "−" : ""}${Math.abs(points)}`;
  }
  const counted = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
  function span(ms) {
    const s = Math.max(0, Math.round(ms / 1000));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.round(s / 60)} min`;
    if (s < 172800) return `${Math.round(s / 3600)} h`;
    return `${Math.round(s / 86400)} d`;
  }
  function ago(at) {
    const element = make("time", { datetime: new Date(at).toISOString(), "data-ago": at });
    element.textContent = agoText(at);
    return element;
  }
  function agoText(at) { return now() - at < 5000 ? "just now" : `${span(now() - at)} ago`; }
  function due(at) {
    const element = make("time", { datetime: new Date(at).toISOString(), "data-due": at });
    return dueText(element, at);
  }
  function dueText(element, at) {
    const left = at - now();
    element.textContent = left >= 0 ? `due in ${span(left)}` : `overdue by ${span(-left)}`;
    element.className = left >= 0 ? "" : "overdue";
    return element;
  }
  function plain(text) { try { return decodeURIComponent(text); } catch { return text; } }
  function segmentName(key) {
    if (key === "all") return "All customers";
    return key.split(",").map((pair) => { const [name, ...value] = pair.split("="); return `${name} ${plain(value.join("="))}`; }).join(" · ");
  }

  // Figures

  function scale(row) {
    const bar = make("div", { class: "scale", "aria-hidden": "true" });
    if (row.nps === null) return bar;
    const at = (value) => `${(value + 100) / 2}%`;
    const range = make("i"), point = make("b");
    range.style.left = at(row.low); range.style.width = `${(row.high - row.low) / 2}%`;
    point.style.left = at(row.nps);
    bar.append(range, point);
    return bar;
  }
  function spark(points) {
    const picture = drawn("svg", { class: "spark", viewBox: "0 0 100 40", preserveAspectRatio: "none", "aria-hidden": "true" });
    const values = points.filter((value) => value !== null);
    if (values.length < 2) return picture;
    const low = Math.min(...values), high = Math.max(...values), room = Math.max(10, high - low), middle = (low + high) / 2;
    const y = (value) => 20 - ((value - middle) / room) * 34;
    if (y(0) > 0 && y(0) < 40) picture.append(drawn("line", { x1: 0, x2: 100, y1: y(0), y2: y(0) }));
    const path = points.map((value, i) => value === null ? null : [i * 100 / (points.length - 1), y(value)]);
    let pen = "M";
    picture.append(drawn("path", { d: path.map((point) => {
      if (!point) { pen = "M"; return ""; }
      const piece = `${pen}${point[0].toFixed(2)} ${point[1].toFixed(2)}`; pen = "L"; return piece; }).join("") }));
    return picture;
  }
  function interval(row) { return row.nps === null ? "no answers" : `${signed(row.low)} to ${signed(row.high)}`; }
  /** Of the windows in which falls are looked for the longest that is no longer than the one chosen, else the shortest. */
  function smallest(segment) {
    const judged = (state.falls.get(segment)?.windows ?? []).filter((each) => each.smallest !== null);
    const chosen = judged.filter((each) => lengthOf(each.window) <= lengthOf(window_ ?? "1h")).at(-1) ?? judged[0];
    return chosen ? `smallest fall found in ${chosen.window}: ${Math.round(chosen.smallest)} points` : null;
  }
  function isFalling(segment) { return [...state.incidents.values()].some((incident) => incident.fall?.segment === segment); }

  function drawHero() {
    const row = state.rolling.get(`all|${window_}`);
    if (!row) return;
    fill($("hero"), [{ ...row, smallest: smallest("all"), falling: isFalling("all") }], () => "hero", (place, all) => {
      place.replaceChildren(
        make("p", { class: "who-says" }, `All customers, last ${all.window}`),
        make("div", { class: "score" },
          make("p", { class: `nps${all.few ? " few" : ""}` }, make("span", { class: "unseen" }, "NPS "), signed(all.nps)), spark(all.trend)),
        scale(all), make("div", { class: "ends", "aria-hidden": "true" }, make("span", {}, "−100"), make("span", {}, "0"), make("span", {}, "+100")),
        make("p", { class: "facts" },
          make("span", {}, "95 % interval ", make("b", {}, interval(all))),
          make("span", {}, make("b", {}, all.n.toLocaleString("en")), all.n === 1 ? " answer" : " answers", all.few ? ", too few to judge by" : ""),
          all.smallest && make("span", {}, all.smallest),
          all.falling && make("span", { class: "falling" }, "falling")),
        bands(all),
        make("p", { class: "facts" }, make("span", {}, counted(all.promoters, "promoter")), make("span", {}, counted(all.passives, "passive")),
          make("span", {}, counted(all.detractors, "detractor"))));
    }, "div");
  }
  function bands(row) {
    const bar = make("div", { class: "bands", "aria-hidden": "true" });
    for (const part of [row.promoters, row.passives, row.detractors]) { const band = make("i"); band.style.flex = String(part); bar.append(band); }
    return bar;
  }
  function drawSegments() {
    const rows = [...state.rolling.values()].filter((row) => row.window === window_ && row.segment !== "all" && row.n > 0)
      .map((row) => ({ ...row, smallest: smallest(row.segment), falling: isFalling(row.segment) }))
      .sort((one, two) => two.falling - one.falling || two.n - one.n || (one.segment < two.segment ? -1 : 1));
    const shown = showsAll ? rows : rows.slice(0, FEW_SEGMENTS);
    fill($("segments"), shown, (row) => row.segment, (place, row) => place.replaceChildren(
      make("span", { class: "name" }, segmentName(row.segment)),
      make("span", { class: `nps${row.few ? " few" : ""}` }, signed(row.nps)),
      scale(row), spark(row.trend),
      make("span", { class: "facts" }, make("span", {}, interval(row)), make("span", {}, counted(row.n, "answer")),
        row.few && make("span", {}, "too few"), row.smallest && make("span", {}, row.smallest), row.falling && make("span", { class: "falling" }, "falling"))));
    const hidden = rows.length - FEW_SEGMENTS;
    $("all-segments").hidden = hidden <= 0;
    $("all-segments").textContent = showsAll ? "Show fewer" : `Show ${counted(hidden, "more segment")}`;
    $("segments-title").hidden = rows.length === 0;
    $("segments-more").hidden = !state.health.has_more_segments;
  }
  function drawWindows() {
    const names = [...new Set([...state.rolling.values()].map((row) => row.window))].sort((one, two) => lengthOf(one) - lengthOf(two));
    if (!names.includes(window_)) window_ = names.includes("24h") ? "24h" : names[0] ?? window_;
    if ($("windows").dataset.names === names.join()) return;
    $("windows").dataset.names = names.join();
    $("windows").replaceChildren(make("legend", { class: "unseen" }, "Window"), ...names.map((name) => {
      const radio = make("input", { type: "radio", name: "window", value: name, checked: name === window_ });
      radio.addEventListener("change", () => { window_ = name; store("window", name); draw(); });
      return make("label", { class: "pick" }, radio, make("span", {}, name));
    }));
  }
  function lengthOf(name) { const unit = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 }[name.at(-1)] ?? 1; return parseFloat(name) * unit; }

  // Incidents

  const SEVERITIES = ["critical", "error", "warning", "info"];
  function openIncidents() {
    return [...state.incidents.values()].sort((one, two) => (one.state === "acknowledged") - (two.state === "acknowledged")
      || SEVERITIES.indexOf(one.severity) - SEVERITIES.indexOf(two.severity) || one.opened_ms - two.opened_ms);
  }
  function button(verb, text, extra = {}) { return make("button", { type: "button", "data-verb": verb, ...extra }, text); }
  function drawIncidents() {
    const incidents = openIncidents();
    fill($("incident-list"), incidents, (incident) => incident.key, (card, incident) => {
      card.className = `card ${incident.severity} ${incident.state}${card.isNew ? " arrives" : ""}`;
      card.isNew = false;
      card.tabIndex = -1;
      card.id = `incident-${incident.key}`;
      const facts = make("p", { class: "facts" }, make("span", { class: "tag severity" }, incident.severity), make("span", {}, incident.state), make("span", {}, ago(incident.opened_ms)),
        incident.acknowledged_by && make("span", {}, `by ${incident.acknowledged_by}`), incident.assignee && make("span", {}, `with ${incident.assignee}`));
      card.replaceChildren(make("h3", {}, incident.title), facts,
        ...(incident.fall ? [make("p", { class: "facts" }, fallText(incident.fall))] : []),
        ...(incident.note ? [make("p", { class: "note" }, incident.note)] : []), ...(incident.members?.length ? [members(incident)] : []));
      if (isResponder) card.append(make("div", { class: "buttons" },
        incident.state === "acknowledged" ? null : button("acknowledge", "Acknowledge", { class: "main", "aria-keyshortcuts": "a", "aria-label": `Acknowledge ${incident.title}` }),
        button("resolve", "Resolve", { "aria-keyshortcuts": "r", "aria-label": `Resolve ${incident.title}` }), button("assign", "Assign", { class: "quiet", "aria-label": `Assign ${incident.title}` }), button("note", "Note", { class: "quiet", "aria-label": `Note on ${incident.title}` }),
        incident.state === "acknowledged" ? null : button("escalate", "Escalate", { class: "quiet", "aria-label": `Escalate ${incident.title}` })));
    });
    $("no-incidents").hidden = incidents.length > 0;
    const text = counted(incidents.length, "");
    badge("incidents", $("incident-count"), incidents.length, incidents.some((incident) => incident.state !== "acknowledged"));
    document.title = incidents.length ? `(${text.trim()}) NPS live` : "NPS live";
  }
  function fallText(fall) { return `${signed(fall.before)} to ${signed(fall.after)} within ${fall.window}; ${counted(fall.n_before, "answer")} before, ${fall.n_after.toLocaleString("en")} after`; }
  function members(incident) {
    const list = make("ol");
    for (const member of incident.members) list.append(make("li", { class: "line" }, points(member.score), words(member.comment, [member.customer, ago(member.opened_ms), member.state]),
      isResponder && member.state === "open" ? button("contacted", "Contacted", { "data-key": member.key, "aria-label": `Contacted ${member.customer ?? "customer"}` }) : ""));
    const rest = incident.count - incident.members.length;
    if (rest > 0) list.append(make("li", { class: "line few" }, make("span"), `and ${rest.toLocaleString("en")} more`));
    return make("details", {}, make("summary", {}, counted(incident.count, "customer")), list);
  }
  function band(score) { return score === null || score === undefined ? "" : score >= 9 ? "promoter" : score >= 7 ? "passive" : "detractor"; }
  function points(score) { return make("span", { class: `points ${band(score)}` }, score === null || score === undefined ? "–" : String(score), make("span", { class: "unseen" }, " of 10")); }
  function words(comment, facts) {
    return make("div", { class: "words" }, comment ? make("q", { dir: "auto" }, comment) : "", make("span", { class: "facts" }, ...facts.filter(Boolean).map((fact) => make("span", {}, fact))));
  }
  function badge(name, element, count, isWarm) {
    for (const each of [element, ...document.querySelectorAll(`[data-count="${name}"]`)]) { each.textContent = count.toLocaleString("en"); each.classList.toggle("warm", isWarm && count > 0); }
  }

  // Queue, answers, health

  function drawQueue() {
    const cases = [...state.cases.values()].sort((one, two) => (one.due_ms ?? Infinity) - (two.due_ms ?? Infinity) || one.opened_ms - two.opened_ms);
    const { open, overdue } = isResponder ? { open: cases.length, overdue: cases.filter((each) => each.due_ms !== null && each.due_ms < now()).length } : state.queue;
    badge("queue", $("queue-count"), open, overdue > 0);
    $("queue-summary").textContent = open === 0 ? "Nobody waits for a call." : overdue ? `${counted(open, "customer waits", "customers wait")} for a call, ${overdue} overdue.` : `${counted(open, "customer waits", "customers wait")} for a call, none overdue.`;
    if (!isResponder) return;
    fill($("queue-list"), cases.slice(0, 30), (each) => each.key, (line, each) => {
      line.className = "line";
      line.replaceChildren(points(each.score), words(each.comment, [make("b", {}, each.customer ?? "unknown"), each.due_ms === null ? ago(each.opened_ms) : due(each.due_ms), each.owner && `with ${each.owner}`]),
        each.state === "open" ? button("contacted", "Contacted", { "data-key": each.key, "data-incident": each.incident, "aria-label": `Contacted ${each.customer ?? "customer"}` }) : make("span", { class: "tag" }, each.state));
    });
  }
  function drawAnswers() {
    if (!isResponder) return;
    const answers = [...state.answers.values()].sort((one, two) => two.received_ms - one.received_ms);
    for (const old of answers.splice(MOST_ANSWERS)) state.answers.delete(old.key);
    fill($("answer-list"), answers.slice(0, 20), (answer) => answer.key, (line, answer) => {
      line.className = `line${line.isNew ? " arrives" : ""}`;
      line.isNew = false;
      line.replaceChildren(points(answer.score), words(answer.comment, [make("b", {}, answer.customer ?? "unknown"), segmentName(answer.segments.find((key) => key !== "all") ?? "all"), ago(answer.received_ms), answer.counted ? "" : "does not count"]));
    });
    $("no-answers").hidden = answers.length > 0;
  }
  function drawHealth() {
    const health = state.health;
    if (health.at_ms === undefined) return;
    const letters = Object.entries(health.dead ?? {}).sort((one, two) => two[1] - one[1]);
    const total = letters.reduce((sum, [, count]) => sum + count, 0);
    const items = [
      ["Scores as of", health.rolling_ms ? ago(health.rolling_ms) : "–", health.is_stalled ? "the worker is silent" : "", health.is_stalled],
      ["Answer to page", health.lag_ms === null ? "–" : `${(health.lag_ms / 1000).toFixed(1)} s`, "of the last answers", health.lag_ms > 10000],
      ["Dead letters", total.toLocaleString("en"), letters.length ? letters.slice(0, 3).map(([reason, count]) => `${reason.replaceAll("_", " ")} ${count}`).join(", ") : "in 24 hours", false],
      ["Undelivered", health.undelivered.toLocaleString("en"), health.doubtful ? `${health.doubtful} doubtful` : "of all pages", health.undelivered > 0],
    ];
    if (health.is_kafka_away) items.unshift(["Kafka", "away", "what is shown is old", true]);
    fill($("health-list"), items.map(([name, , small, wrong], i) => ({ name, small, wrong, i, value: typeof items[i][1] === "string" ? items[i][1] : health.rolling_ms })), (item) => item.name, (place, item) => {
      place.replaceChildren(make("dt", {}, item.name), make("dd", { class: item.wrong ? "wrong" : "" }, items[item.i][1], make("small", {}, item.small)));
    }, "div");
  }

  function draw() {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      drawWindows(); drawHero(); drawSegments(); drawIncidents(); drawQueue(); drawAnswers(); drawHealth(); drawStatus(); goToHash();
    });
  }
  function drawStatus() {
    const element = $("status");
    const [name, text] = source?.readyState !== 1 ? ["away", "reconnecting"] : state.health.is_kafka_away ? ["away", "Kafka away"] : state.health.is_stalled ? ["late", "worker silent"] : ["live", "live"];
    if (element.dataset.state !== name) { element.dataset.state = name; element.textContent = text; }
  }
  setInterval(() => {
    for (const element of document.querySelectorAll("[data-ago]")) element.textContent = agoText(Number(element.dataset.ago));
    for (const element of document.querySelectorAll("[data-due]")) dueText(element, Number(element.dataset.due));
    drawStatus();
  }, 5000);

  // The stream

  const NAMES = ["rolling", "falls", "incidents", "cases", "answers"];
  function take(name, items) {
    for (const item of items) {
      if (name === "incidents") announce(item, state.incidents.get(item.key));
      if (item.gone) state[name].delete(item.key); else state[name].set(item.key, item);
    }
  }
  function announce(incident, before) {
    if (!isLoaded) return;
    if (incident.gone) { if (before) say(`Resolved: ${before.title}`); return; }
    if (!before) say(`New incident, ${incident.severity}: ${incident.title}`);
    else if (before.state !== incident.state) say(`${incident.title}: ${incident.state}`);
  }
  let isLoaded = false;
  function say(text) { $("said").textContent = text; }
  function connect() {
    if (source || document.hidden) return;
    source = new EventSource("/stream");
    source.addEventListener("snapshot", (event) => {
      const told = JSON.parse(event.data);
      isLoaded = false;
      for (const name of NAMES) { state[name].clear(); take(name, told[name] ?? []); }
      state.health = told.health; state.queue = told.queue; clockSkew = told.health.at_ms - Date.now();
      isLoaded = true;
      draw();
    });
    for (const [event, name] of [["rolling", "rolling"], ["fall", "falls"], ["incident", "incidents"], ["case", "cases"], ["answer", "answers"]])
      source.addEventListener(event, ({ data }) => { take(name, JSON.parse(data)); draw(); });
    source.addEventListener("health", ({ data }) => { ({ health: state.health, queue: state.queue } = JSON.parse(data)); draw(); });
    source.addEventListener("open", () => { retry = 0; draw(); });
    source.addEventListener("error", () => {
      draw();
      if (source?.readyState !== EventSource.CLOSED) return;
      disconnect();
      fetch("/session").then((answer) => { if (answer.status === 401) location.reload(); }).catch(() => {});
      setTimeout(connect, Math.min(30000, 2000 * 2 ** retry++));
    });
  }
  function disconnect() { source?.close(); source = null; draw(); }
  document.addEventListener("visibilitychange", () => document.hidden ? disconnect() : connect());
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", connect);

  // Actions

  let timer = 0;
  function toast(text) { $("toast").textContent = text; clearTimeout(timer); timer = setTimeout(() => { $("toast").textContent = ""; }, 6000); }
  async function send(incident, verb, told = {}) {
    try {
      const answer = await fetch(`/incidents/${encodeURIComponent(incident)}/${verb}`, { method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf }, body: JSON.stringify(told) });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error((await answer.json()).error);
    } catch (error) { toast(`Not done: ${error.message || "no connection"}. Try again.`); return; }
    say(`${verb} sent`);
  }
  const FORMS = { resolve: ["Resolve", "What was done? (optional)", "Resolve", false], assign: ["Assign", "Who takes it?", "Assign", true], note: ["Note", "Note for the others", "Save", true] };
  let wanted = null;
  function ask(incident, verb) {
    const [title, label, go, isNeeded] = FORMS[verb];
    wanted = { incident: incident.key, verb };
    $("act-title").textContent = `${title}: ${incident.title}`; $("act-label").textContent = label; $("act-go").textContent = go;
    $("act-text").value = ""; $("act-text").required = isNeeded;
    $("act").returnValue = "";
    $("act").showModal(); $("act-text").focus();
  }
  $("act").addEventListener("close", () => {
    if (!wanted || $("act").returnValue !== "go") return;
    send(wanted.incident, wanted.verb, { note: $("act-text").value.trim() });
    wanted = null;
  });
  $("act-text").addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); $("act-form").requestSubmit($("act-go")); } });
  function act(incident, verb, key) {
    if (!isResponder || !incident) return;
    if (FORMS[verb]) ask(incident, verb); else send(incident.key, verb, key ? { dedup_key: key } : {});
  }
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest("button[data-verb]");
    if (!pressed) return;
    const id = pressed.dataset.incident ?? pressed.closest(".card")?.dataset.key;
    act(state.incidents.get(id) ?? { key: id, title: "" }, pressed.dataset.verb, pressed.dataset.key);
    if (pressed.dataset.verb === "contacted") pressed.disabled = true;
  });

  // Keys: j k a r ?

  function cards() { return [...$("incident-list").children]; }
  function selected() { return document.activeElement?.closest(".card") ?? null; }
  function move(step) {
    const all = cards(), at = all.indexOf(selected());
    const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + step))];
    next?.focus(); next?.scrollIntoView({ block: "nearest" });
  }
  const isTyping = (element) => element.closest("input:not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]");
  $("keys-on").checked = stored("keys") !== "off";
  $("keys-on").addEventListener("change", () => store("keys", $("keys-on").checked ? "on" : "off"));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    if (event.key === "?") { event.preventDefault(); $("keys").showModal(); return; }
    if (!$("keys-on").checked) return;
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "a" || event.key === "r") {
      if (!selected()) move(1);
      const incident = state.incidents.get(selected()?.dataset.key);
      if (incident && !(event.key === "a" && incident.state === "acknowledged")) act(incident, event.key === "a" ? "acknowledge" : "resolve");
    } else return;
    event.preventDefault();
  });
  $("help").addEventListener("click", () => $("keys").showModal());
  $("all-segments").addEventListener("click", () => { showsAll = !showsAll; draw(); });
  function goToHash() {
    const card = location.hash.startsWith("#incident-") && $(location.hash.slice(1));
    if (card && !goToHash.done) { goToHash.done = true; requestAnimationFrame(() => { card.focus(); card.scrollIntoView({ block: "center" }); }); }
  }
  connect();
})();
