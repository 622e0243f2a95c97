(() => {
  const type = "application/vnd.ngx-smart.room+json";
  const element = (id) => document.getElementById(id);
  const { dataset } = element("room");
  const report = JSON.parse(dataset.report);
  const phrases = JSON.parse(dataset.phrases);
  const isGet = dataset.method === "get";
  const isDrawn = dataset.order === "random";
  const url = location.origin + location.pathname + location.search;
  const takesCookies = () => {
    const cookie = "smart_limit_cookie_test";
    try {
      document.cookie = cookie + "=1";
      const isTaken = document.cookie.includes(cookie);
      document.cookie = cookie + "=;max-age=0";
      return navigator.cookieEnabled && isTaken;
    } catch {}
  };
  let refresh = report.refresh_seconds, spokenAt = 0, timer, request, isOver;
  // Polls in a row that failed, and that found no place: where cookies are blocked, none will.
  let failed = 0, unplaced = takesCookies() ? 0 : 2;

  const write = (id, text) => {
    if (element(id).textContent !== text) element(id).textContent = text;
  };
  const count = (number) => number.toLocaleString(document.documentElement.lang);
  const phrase = (name, number) => phrases[name].replace("#", count(number ?? 0));

  // As a person would say it, and as the page says it before any script runs.
  const wait = (seconds) => {
    if (seconds === null) return phrase("unknown");
    if (seconds < 60) return phrase("moment");
    const minutes = Math.floor((seconds + 30) / 60);
    if (minutes < 10) return phrase(minutes === 1 ? "minute" : "minutes", minutes);
    const fives = Math.floor((minutes + 2) / 5) * 5;
    if (fives < 60) return phrase("minutes", fives);
    const halves = Math.floor((minutes + 15) / 30);
    if (halves >= 48) return phrase("day");
    if (halves === 2) return phrase("hour");
    return phrase(halves % 2 ? "half_hours" : "hours", Math.floor(halves / 2));
  };

  // The tab's memory, which may be forbidden: the place first seen, from which progress is measured.
  const key = "smart_limit_room_" + report.room;
  const first = (position) => {
    try {
      position = Math.max(position, +sessionStorage.getItem(key) || 0);
      sessionStorage.setItem(key, position);
    } catch {}
    return position;
  };
  const forget = () => {
    try {
      sessionStorage.removeItem(key);
    } catch {}
  };

  const show = (report) => {
    const { status, position, waiting } = report;
    const isFull = status === "full";
    const isIn = status === "admitted" || status === "passed";
    const view = isIn ? "turn" : isFull ? "full" : isDrawn ? "lot" : "queue";
    const isForVisitor = !isGet && !isIn && !isFull;
    write("heading", phrases["heading_" + view]);
    write("lead", phrases[isIn && !isGet ? "send" : "lead_" + view]);
    write("keep", phrases["keep_" + (isForVisitor ? "other" : view)]);
    element("place").hidden = view !== "queue";
    element("figures").hidden = isIn;
    element("estimate").hidden = isFull;
    element("again").hidden = isGet || !isIn;
    document.title = position && !isIn ? phrase("title", position) : phrases["heading_" + view];
    if (isIn) return write("spoken", phrases.heading_turn);
    write("label", phrases[position ? "place" : "joining"]);
    write("position", position ? count(position) : "");
    write("waiting", phrase(waiting === 1 ? "person" : "people", waiting));
    write("wait", wait(report.wait_seconds));
    if (!position) return;
    const from = first(position);
    element("progress").value = (1000 * (from - position + 1)) / (from + 1);
    if (Date.now() - spokenAt < 30000) return;
    spokenAt = Date.now();
    write("spoken", phrase("spoken", position).replace("~", wait(report.wait_seconds)));
  };

  const note = (name) => write("note", name ? phrases[name] : "");

  const hear = (report) => {
    // Who is only held back is told to come back later than that.
    const isSoon = report.refresh_seconds <= 15;
    const isLost = report.status === "waiting" && !report.position && !isDrawn && isSoon;
    const isIn = report.status === "admitted" || report.status === "passed";
    failed = 0;
    unplaced = isLost ? unplaced + 1 : 0;
    refresh = report.refresh_seconds || refresh;
    note(unplaced > 1 && "cookies");
    show(report);
    if (!isIn) return;
    forget();
    // Who has to send something again may take his time.
    refresh = 60;
    isOver = isGet;
    if (isOver) location.reload();
  };

  const ask = async (signal) => {
    const response = await fetch(url, {
      headers: { Accept: type + (document.hidden ? ";hidden=1" : "") },
      credentials: "same-origin",
      cache: "no-store",
      redirect: "manual",
      signal,
    });
    const isRoom = (response.headers.get("Content-Type") || "").startsWith(type);
    if (isRoom) return response.json();
    // There is no room any more: it is the site that answers, or sends elsewhere.
    if (response.status < 500 && response.status !== 429) return { status: "passed" };
    throw response.status;
  };

  const poll = async () => {
    if (request) request.abort();
    clearTimeout(timer);
    const mine = (request = new AbortController());
    const end = setTimeout(() => mine.abort(), 30000);
    try {
      const report = await ask(mine.signal);
      if (mine === request) hear(report);
    } catch {
      if (mine !== request) return;
      failed += 1;
      note("trouble");
    }
    clearTimeout(end);
    if (mine === request) rest();
  };

  // Failures make the pause longer, up to a minute, and not the same for all: but a short trouble costs no place.
  const rest = () => {
    const slower = Math.min(Math.max(failed - 3, 0) + Math.max(unplaced - 2, 0), 6);
    const pause = slower ? Math.min(refresh * 2 ** slower, 60) * (0.8 + Math.random() * 0.4) : refresh;
    if (!isOver) timer = setTimeout(poll, Math.max(pause, 1) * 1000);
  };

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !isOver) poll();
  });
  element("again").onclick = () => location.reload();
  write("site", location.host);
  note(unplaced > 1 && "cookies");
  show(report);
  rest();
})();
