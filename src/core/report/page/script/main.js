const VERSION = 1;
const PERIOD = 2;
const PATIENCE = 5;
const STALE = 6;
const HISTORY_PERIOD = 60;
const KEYS_PERIOD = 5;

let heardAt = 0, seenAt = 0, historyAt = -Infinity, isAsking = false, isHurried = false, timer, trouble, frame;

const ask = async (path) => {
  const request = new AbortController();
  const end = setTimeout(() => request.abort(), PATIENCE * 1000);
  try {
    const response = await fetch(path, { cache: "no-store", credentials: "same-origin", signal: request.signal });
    if (!response.ok) throw Object.assign(new Error("status"), { status: response.status });
    return await response.json();
  } finally {
    clearTimeout(end);
  }
};

const askStatus = async () => {
  try {
    const status = await ask("status.json");
    if (status.version !== VERSION) throw new SyntaxError();
    hear(status);
    heardAt = own();
    trouble = undefined;
  } catch ({ status, name }) {
    trouble = status ? `answers with status ${status}` : name === "SyntaxError" ? "does not answer as this page expects, which may be reloaded" : "does not answer";
    // Who comes back wants to see what happened meanwhile.
    historyAt = -Infinity;
  }
};

const askHistory = async () => {
  if (trouble || own() < historyAt + HISTORY_PERIOD) return;
  try {
    remember(await ask("history.json"));
    historyAt = own();
  } catch {}
};

const askKeys = async () => {
  for (const [name, { at = -Infinity }] of opened) {
    if (trouble || own() < at + KEYS_PERIOD) continue;
    const told = { at: own() };
    try {
      told.top = (await ask(`limits/${encodeURIComponent(name)}?top=10`)).top;
    } catch {
      told.trouble = "The server does not tell.";
    }
    if (opened.has(name)) opened.set(name, told);
  }
};

// One question at a time, and none while nobody looks.
const askAll = async () => {
  clearTimeout(timer);
  if (isAsking || document.hidden) return;
  isAsking = true;
  for (const part of [askStatus, askHistory, askKeys]) {
    await part();
    renderSoon();
  }
  isAsking = false;
  timer = setTimeout(askAll, isHurried ? 0 : PERIOD * 1000);
  isHurried = false;
};
const askSoon = () => {
  isHurried = isAsking;
  askAll();
};

const ICONS = { well: "✓", warn: "!", bad: "✕" };
const COLOURS = { well: "1a7f64", warn: "9a6700", bad: "b3361f" };

// The tab says it too.
const tell = (level, words) => {
  const title = words + " · " + location.host;
  if (document.title === title) return;
  document.title = title;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="4" fill="#${COLOURS[level]}"/></svg>`;
  document.getElementById("icon").href = "data:image/svg+xml," + encodeURIComponent(svg);
};

let spoken;
const verdict = (problems, isStale) => {
  const level = problems.some(({ isBad }) => isBad) ? "bad" : problems.length ? "warn" : "well";
  const words = isStale ? "No answer" : problems.length ? plural(problems.length, "problem") : "All is well";
  tell(level, words);
  write("verdict",
    make("div", { class: "verdict " + level },
      make("span", { class: "icon", "aria-hidden": "true" }, ICONS[level]),
      make("div", null,
        make("h2", null, words),
        make("ul", null, ...problems.map(({ isBad, where, kind, text }) =>
          make("li", { key: where + " " + kind, class: isBad ? "bad" : "warn" },
            make("b", { "aria-hidden": "true" }, ICONS[isBad ? "bad" : "warn"]), make("a", { href: "#" + where }, text)))))));
  // Spoken is what is wrong, not each number that changes in it.
  const news = level + problems.map(({ where, kind }) => where + " " + kind).join();
  if (spoken !== undefined && spoken !== news) write("spoken", [words, ...problems.map(({ text }) => text)].join(". "));
  spoken = news;
};

const facts = ({ ngx_smart, nginx, workers, configured, process }) =>
  `ngx_smart ${ngx_smart}, ${nginx}, ${plural(workers, "worker")}, process ${process}, configured ${day(configured)}`;

const render = () => {
  frame = undefined;
  const age = own() - heardAt;
  // Who has just come back does not yet know.
  const isStale = own() - Math.max(heardAt, seenAt) > STALE;
  const { status } = answers[answers.length - 1] ?? {};
  const silence = () => problem(true, "facts", "silence", `The server ${trouble ?? "does not answer"}: nothing new for ${time(Math.floor(age))}`);
  write("fresh", isStale ? "As of " + (status ? clock(now() - age) : "never") : status ? "Live, " + clock(now() - age) : "Asking the server…");
  document.body.className = isStale ? "stale" : "";
  if (status || isStale) verdict(isStale ? [silence()] : problemsOf(status), isStale);
  if (!status) return;
  write("host", location.host);
  write("facts", facts(status));
  document.getElementById("footer").hidden = false;
  const parts = [lookups(status), limits(status), rooms(status), buffers(status)];
  const isEmpty = !parts.some(Boolean);
  write("main", ...parts, isEmpty && make("p", { class: "quiet" }, "Nothing is configured that this page could show."));
};
const renderSoon = () => {
  frame ??= requestAnimationFrame(render);
};

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  seenAt = own();
  historyAt = -Infinity;
  askSoon();
});
setInterval(() => !document.hidden && renderSoon(), 1000);
askAll();
