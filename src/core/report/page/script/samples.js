// Totals as they were at several times: those that the module has kept, and after them those of each answer.
// A total that goes down is a beginning anew: nothing is known of the time between.

const SPAN = 900;
const NOW = 10;
const LATELY = 60;
// How long before a span the first step may begin that counts for it, as in the tool (rates.rs).
const NEXT_TO = 10;
const OUTCOMES = ["hit", "found", "miss", "miss_cached", "stale", "error", "timeout", "invalid"];

let answers = [], history = new Map(), ahead;

// The server's clock by the browser's own, which goes on evenly. It tells whole seconds: each answer bounds it from
// both sides. Where the two part, because one was set or the browser slept, only what the module has kept counts.
const own = () => performance.now() / 1000;
const now = () => own() + ahead;
let least = NaN, most = NaN;
const setClock = (told) => {
  const behind = told - own();
  [least, most] = [Math.max(least, behind), Math.min(most, behind + 1)];
  if (!(least < most + 2)) [least, most, answers] = [behind, behind + 1, []];
  ahead = (least + most) / 2;
};

const lookupTotals = ({ lookups }) =>
  Object.fromEntries(
    OUTCOMES.flatMap((outcome) => [
      [outcome, lookups[outcome].count],
      [outcome + "_microseconds", lookups[outcome].seconds * 1e6],
    ]),
  );
const TOTALS = {
  sendfile: (status) => status.sendfile && lookupTotals(status.sendfile),
  limit: (status, name) => status.limits[name],
  room: (status, name) => status.rooms[name],
  module: (status) => status,
};

const remember = ({ time, interval_seconds: interval, series }) => {
  history = new Map();
  for (const { kind, name, columns, samples } of series) {
    const named = (values) => values && Object.fromEntries(columns.map((column, at) => [column, values[at]]));
    // On average: these too are whole seconds.
    const first = time + 0.5 - (samples.length - 1) * interval;
    history.set(kind + " " + name, samples.map((values, at) => ({ time: first + at * interval, totals: named(values) })));
  }
};

const hear = (status) => {
  setClock(status.time);
  // Two that came at almost the same time would say nothing of a rate.
  if (answers.length && answers[answers.length - 1].at > own() - 1) answers.pop();
  answers.push({ at: own(), status });
  answers = answers.filter(({ at }) => at > own() - SPAN);
  // The longest part is not drawn.
  if (answers.length > 1) answers[answers.length - 2].status.buffers = null;
};

const ofAnswers = (pick) => answers.map(({ at, status }) => ({ time: at + ahead, totals: pick(status) }));
const samplesOf = (kind, name = "") => {
  const kept = (history.get(kind + " " + name) ?? []).filter(({ time }) => time > now() - SPAN);
  // Right behind the last one, a rate would be far off.
  const last = kept.length ? kept[kept.length - 1].time : -Infinity;
  return [...kept, ...ofAnswers((status) => TOTALS[kind](status, name)).filter(({ time }) => time > last + 3)];
};

// How much a total grew between two samples; null if that cannot be known.
const step = (before, after, pick) => {
  const from = before?.totals && pick(before.totals);
  const to = after.totals && pick(after.totals);
  return isKnown(from) && isKnown(to) && to >= from ? to - from : null;
};

// How much a total grew lately, and in how many seconds that was. Of what grew while nobody looked for longer, nothing
// says that it was lately.
const growth = (samples, pick, seconds) => {
  const begin = now() - seconds;
  let by = 0, during = 0;
  for (let at = samples.length - 1; at > 0 && samples[at].time > begin; at -= 1) {
    if (samples[at - 1].time < begin - NEXT_TO) break;
    const more = step(samples[at - 1], samples[at], pick);
    if (more === null) continue;
    by += more;
    during += samples[at].time - samples[at - 1].time;
  }
  return { by, during };
};
const perSecond = (samples, pick) => {
  const { by, during } = growth(samples, pick, NOW);
  return during > 0.5 ? by / during : null;
};
const lately = (samples, pick) => growth(samples, pick, LATELY).by;

// Quantiles of what came between two answers, as the module has those of all: the longest time of a bucket.
const quantiles = (pick, wanted) => {
  const recent = answers.filter(({ at }) => at > own() - NOW - 1);
  const [from, to] = [recent[0], recent[recent.length - 1]].map((answer) => answer && pick(answer.status));
  if (!from || !to || to.count <= from.count) return wanted.map(() => null);
  const before = new Map(from.distribution.map(({ to_seconds, count }) => [to_seconds, count]));
  const steps = to.distribution.map(({ to_seconds, count }) => ({ to_seconds, by: count - (before.get(to_seconds) ?? 0) }));
  const all = steps.reduce((sum, { by }) => sum + by, 0);
  return wanted.map((part) => {
    let left = part * all;
    return steps.find(({ by }) => (left -= by) <= 0).to_seconds;
  });
};
