// What is wrong, the worst first: `ngx-smart status` judges alike, by src/bin/ngx-smart/status/verdict.rs. Both are
// tested with tests/data/status/problems.json.

const FAILED = ["error", "timeout", "invalid"];
const failuresOf = (totals) => FAILED.reduce((sum, outcome) => sum + totals[outcome], 0);
const asksOf = (totals) => OUTCOMES.reduce((sum, outcome) => sum + totals[outcome], 0);
const placeOf = ({ server, location }) => [server, location].filter(Boolean).join(" ") || "the server without a name";

// What needs somebody at once is bad. A problem is the same as before if its kind is, whatever its numbers.
const problem = (isBad, where, kind, text) => ({ isBad, where, kind, text });

const panics = ({ panics: all }) => {
  if (!all) return [];
  const recent = lately(samplesOf("module"), (totals) => totals.panics);
  const when = recent ? `, ${count(recent)} of them in the last minute` : "";
  return [problem(recent > 0, "facts", "panics", `${plural(all, "panic")} caught${when}: the error log says where`)];
};

const lookupProblems = ({ sendfile }) => {
  if (!sendfile) return [];
  const found = [];
  const samples = samplesOf("sendfile");
  const failed = lately(samples, failuresOf), asked = lately(samples, asksOf), stale = lately(samples, ({ stale }) => stale);
  const isMany = failed > 0 && failed >= asked / 100;
  // Anybody may ask for what is invalid.
  if (isMany || failed > lately(samples, ({ invalid }) => invalid)) {
    const parts = FAILED.map((outcome) => [lately(samples, (totals) => totals[outcome]), outcome]).filter(([by]) => by);
    const named = parts.map(([by, outcome]) => count(by) + " " + outcome).join(", ");
    found.push(problem(isMany, "lookups", "failed", `Lookups fail: ${share(failed, asked)} in the last minute (${named})`));
  }
  for (const { address, connections } of sendfile.servers) {
    const totals = ofAnswers((status) => status.sendfile?.servers.find((server) => server.address === address));
    const failures = lately(totals, (server) => server.failures), timeouts = lately(totals, (server) => server.timeouts);
    if (!failures && !timeouts) continue;
    const without = connections ? "" : ", and has no connection now";
    const what = `${plural(failures, "failure")} and ${plural(timeouts, "timeout")} in the last minute`;
    found.push(problem(!connections, "lookups", "server " + address, `Store ${address} had ${what}${without}`));
  }
  if (stale) found.push(problem(false, "lookups", "stale", `${plural(stale, "lookup")} answered with an expired path in the last minute`));
  return found;
};

const limitProblems = ({ limits }) =>
  Object.entries(limits).flatMap(([name, limit]) => {
    const found = [];
    const samples = samplesOf("limit", name);
    const rejected = lately(samples, (totals) => totals.rejected);
    const all = rejected + lately(samples, ({ passed, delayed }) => passed + delayed);
    const inDebt = lately(samples, ({ evicted_in_debt: evicted }) => evicted);
    if (rejected >= 10 && rejected >= all / 10)
      found.push(problem(rejected >= all / 2, "limits", "rejected " + name, `Limit ${name} rejects ${share(rejected, all)} of its requests`));
    if (inDebt) found.push(problem(true, "limits", "evicted " + name, `Limit ${name} forgot ${plural(inDebt, "key")} that still owed: its zone is too small`));
    else if (limit.keys >= 0.9 * limit.capacity)
      found.push(problem(false, "limits", "full " + name, `Limit ${name} has ${share(limit.keys, limit.capacity)} of its zone in use`));
    return found;
  });

const roomProblems = ({ rooms }) =>
  Object.entries(rooms).flatMap(([name, room]) => {
    const found = [];
    const samples = samplesOf("room", name);
    const refused = lately(samples, (totals) => totals.refused);
    const rebuilt = lately(samples, (totals) => totals.rebuilt);
    const before = samples.find(({ time, totals }) => totals && time > now() - 300)?.totals.waiting;
    const away = refused ? `: ${plural(refused, "time")} in the last minute somebody was turned away` : "";
    if (room.max_waiting && room.waiting >= room.max_waiting)
      found.push(problem(true, "rooms", "full " + name, `Room ${name} is full${away}`));
    // Anybody may ask for more places than per_net gives him.
    else if (refused)
      found.push(problem(false, "rooms", "refused " + name, `Room ${name}${away}, for want of places or by per_net`));
    if (room.waiting && room.estimated_wait_seconds > 600)
      found.push(problem(false, "rooms", "wait " + name, `Room ${name}: who comes now waits ${time(room.estimated_wait_seconds)}`));
    if (room.waiting > before + 50 && room.waiting > 1.5 * before)
      found.push(problem(false, "rooms", "growth " + name, `Room ${name}: its queue has grown from ${count(before)} to ${count(room.waiting)} in five minutes`));
    if (rebuilt) found.push(problem(false, "rooms", "mended " + name, `Room ${name} was mended after a worker's death`));
    return found;
  });

// Whether a number is at least that part of all, of which there are enough.
const isMuch = (number, all, part) => all >= 100 && number >= all / part;

const bufferProblems = ({ buffers }) => {
  if (!buffers) return [];
  const found = [];
  const find = (item, kind, text) => found.push(problem(false, "buffers", kind + " " + placeOf(item), `${placeOf(item)}: ${text}`));
  // What the advice has found to be right is no problem, whatever was counted before it was followed.
  const mayBeWrong = ({ advice }) => advice.state !== "fine";
  for (const item of buffers.locations.filter(mayBeWrong)) {
    const { request_bodies_spilled: bodies, request_body: body, upstream } = item.measured;
    const { spilled, response, header_too_big: tooBig } = upstream;
    if (tooBig) find(item, "header", `${plural(tooBig, "header")} of upstreams too big for the buffer (inferred)`);
    if (isMuch(spilled, response.count, 20)) find(item, "spilled", `${share(spilled, response.count)} of the responses go through a file`);
    if (isMuch(bodies, body.count, 20)) find(item, "bodies", `${share(bodies, body.count)} of the request bodies go through a file`);
  }
  for (const item of buffers.servers.filter(mayBeWrong)) {
    const { header, header_too_big: tooBig } = item;
    // One client's huge cookie is no fault of the server.
    if (isMuch(tooBig, header.count + tooBig, 100)) find(item, "requests", `${plural(tooBig, "header")} of requests too big for the buffer (inferred)`);
  }
  if (buffers.unmeasured)
    found.push(problem(false, "buffers", "unmeasured", `${plural(buffers.unmeasured, "location")} not measured: smart_buffers_zone is too small`));
  return found;
};

const problemsOf = (status) => {
  const found = [panics, lookupProblems, limitProblems, roomProblems, bufferProblems].flatMap((find) => find(status));
  return [...found.filter(({ isBad }) => isBad), ...found.filter(({ isBad }) => !isBad)];
};
