// How much of something is taken. Some things may well be full.
const meter = (label, value, most, { note, mayFill } = {}) =>
  make("div", { key: label, class: "meter" },
    make("span", null, label), make("b", null, count(value), most ? make("small", null, " of " + count(most)) : null),
    most ? make("meter", { "aria-label": label, min: 0, max: most, high: mayFill ? undefined : most * 0.9, optimum: 0, value }) : null,
    note && make("small", null, note));

// What of a limit is looked at closely: its heaviest keys, while they are open.
const opened = new Map();

const heaviest = (name) => {
  const told = opened.get(name);
  const ontoggle = ({ currentTarget }) => {
    if (currentTarget.open === opened.has(name)) return;
    if (currentTarget.open) opened.set(name, {});
    else opened.delete(name);
    askSoon();
  };
  const rows = (told?.top ?? []).map(({ key, count: times, excess, idle_seconds }) => ({
    key, cells: [make("code", null, key), count(times), isKnown(excess) ? digits(excess) : UNKNOWN, time(idle_seconds)],
  }));
  const empty = told?.trouble ?? (told?.top ? "No key was delayed or rejected." : "Asking…");
  return make("details", { ontoggle },
    make("summary", null, "Heaviest keys"),
    rows.length ? table("Keys that were delayed or rejected most", ["Key", " Times", " Excess", " Idle"], rows) : make("p", { class: "quiet" }, empty));
};

const VERDICTS = [
  { name: "passed", colour: "blue" }, { name: "delayed", colour: "amber" }, { name: "rejected", colour: "red" },
  { name: "delayed_dry_run", colour: "amber dry" }, { name: "rejected_dry_run", colour: "red dry" },
];

const limit = ([name, limit]) => {
  const samples = samplesOf("limit", name);
  // Of dry runs only where there are any.
  const bands = VERDICTS.filter((verdict, at) => at < 3 || limit[verdict.name])
    .map((verdict) => ({ ...verdict, name: verdict.name.replaceAll("_", " "), pick: (totals) => totals[verdict.name] }));
  return make("article", { key: "limit " + name },
    make("h3", null, name),
    make("p", { class: "quiet" }, make("code", null, limit.rate), " for each ", make("code", null, limit.key)),
    make("div", { class: "beside" },
      chart({ id: "limit " + name, title: "Requests", unit: "per second", bands, samples, format: rate, isStacked: true,
        current: bands.map(({ pick }) => perSecond(samples, pick)) }),
      make("div", { class: "meters" },
        meter("Keys", limit.keys, limit.capacity),
        meter("Evicted", limit.evicted), meter("Evicted in debt", limit.evicted_in_debt))),
    heaviest(name));
};

const limits = ({ limits: all }) => {
  const list = Object.entries(all);
  return list.length > 0 && section("limits", "Limits", make("div", { class: "cards" }, ...list.map(limit)));
};
