// The sections, each of what the status has of it.

const figure = (name, value, note) =>
  make("div", { key: name }, make("dt", null, name), make("dd", null, value, note && make("small", null, note)));
const figures = (...all) => make("dl", { class: "figures" }, ...all);

// Columns whose names begin with a space are of numbers.
const table = (caption, columns, rows) =>
  make("div", { class: "scroll" },
    make("table", null,
      make("caption", null, caption),
      make("thead", null, make("tr", null, ...columns.map((name) => make("th", { key: name, scope: "col", class: name[0] === " " ? "number" : undefined }, name.trim())))),
      make("tbody", null, ...rows.map(({ key, cells }) =>
        make("tr", { key: "row " + key }, ...cells.map((cell, at) =>
          make(at ? "td" : "th", { key: columns[at], scope: at ? undefined : "row", class: columns[at][0] === " " ? "number" : undefined }, ...[cell].flat())))))));

const section = (id, title, ...children) =>
  make("section", { key: id, id, "aria-labelledby": id + "-title" }, make("h2", { id: id + "-title" }, title), ...children);

// Outcomes that mean the same to who is on call have one colour.
const BANDS = [
  { name: "hit", of: ["hit"], colour: "blue" },
  { name: "found", of: ["found"], colour: "sky" },
  { name: "miss", of: ["miss", "miss_cached"], colour: "grey" },
  { name: "stale", of: ["stale"], colour: "amber" },
  { name: "failed", of: FAILED, colour: "red" },
];
const sumOf = (outcomes, suffix = "") => (totals) => outcomes.reduce((sum, outcome) => sum + totals[outcome + suffix], 0);

const lookupCharts = (samples) => {
  const bands = BANDS.map(({ name, of, colour }) => ({ name, colour, pick: sumOf(of) }));
  const asked = (name, outcomes, colour) => ({
    name, colour, pick: (totals) => sumOf(outcomes, "_microseconds")(totals) / 1e6, per: sumOf(outcomes),
  });
  const means = [asked("answered", ["found", "miss"], "blue"), asked("failed", ["error", "timeout"], "red")];
  const mean = ({ pick, per }) => {
    const times = growth(samples, per, NOW).by;
    return times ? growth(samples, pick, NOW).by / times : null;
  };
  return make("div", { class: "charts" },
    chart({ id: "lookup-rate", title: "Lookups", unit: "per second", bands, samples, format: rate, isStacked: true,
      current: bands.map(({ pick }) => perSecond(samples, pick)) }),
    chart({ id: "lookup-time", title: "Mean time of the store", unit: "", bands: means, samples, format: time,
      current: means.map(mean) }));
};

const outcomeRows = ({ lookups }, samples) => {
  const all = growth(samples, asksOf, NOW).by;
  return OUTCOMES.map((outcome) => {
    const pick = (totals) => totals[outcome];
    const { by } = growth(samples, pick, NOW);
    const spent = growth(samples, (totals) => totals[outcome + "_microseconds"], NOW).by;
    const { colour } = BANDS.find(({ of }) => of.includes(outcome));
    const cells = [[swatch(colour), outcome], rate(perSecond(samples, pick)), share(by, all), time(by ? spent / by / 1e6 : null), count(lookups[outcome].count)];
    return { key: outcome, cells };
  });
};

const serverRows = ({ servers }) =>
  servers.map(({ address, connections, in_flight, reconnects, failures, timeouts }) => {
    const totals = ofAnswers((status) => status.sendfile?.servers.find((server) => server.address === address));
    const asked = perSecond(totals, (server) => server.questions);
    return { key: address, cells: [make("code", null, address), count(connections), count(in_flight), rate(asked), count(reconnects), count(failures), count(timeouts)] };
  });

const cacheRows = ({ caches }) =>
  Object.entries(caches).map(([name, { size_bytes, entries, misses, evicted }]) => ({
    key: name, cells: [make("code", null, name), bytes(size_bytes), count(entries), count(misses), count(evicted)],
  }));

const lookups = ({ sendfile }) => {
  if (!sendfile) return null;
  const samples = samplesOf("sendfile");
  const [half, most, nearlyAll] = quantiles((status) => status.sendfile?.latency, [0.5, 0.9, 0.99]);
  const hits = growth(samples, sumOf(["hit", "miss_cached", "stale"]), NOW).by, all = growth(samples, asksOf, NOW).by;
  return section("lookups", "Lookups", make("div", { class: "card" },
    figures(
      figure("Lookups", rate(perSecond(samples, asksOf)), "/s"),
      figure("Failed", share(growth(samples, failuresOf, NOW).by, all)),
      figure("From cache", share(hits, all)),
      figure("Waiting for the store", count(sendfile.in_flight)),
      figure("Store p50", time(half)), figure("p90", time(most)), figure("p99", time(nearlyAll))),
    lookupCharts(samples),
    make("div", { class: "tables" },
      table("Outcomes", ["Outcome", " Per second", " Share", " Mean time", " Total"], outcomeRows(sendfile, samples)),
      make("div", null,
        table("Servers", ["Server", " Connections", " In flight", " Per second", " Reconnects", " Failures", " Timeouts"], serverRows(sendfile)),
        Object.keys(sendfile.caches).length > 0 &&
          table("Caches", ["Cache", " Size", " Entries", " Misses", " Evicted"], cacheRows(sendfile))))));
};
