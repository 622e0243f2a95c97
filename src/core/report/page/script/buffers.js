const STATES = { change: "change advised", fine: "fine", too_few_samples: "too few samples" };

const measuredRows = ({ request_body, upstream, response, gzip_ratio }) => {
  const sizes = [
    ["Upstream's header", upstream.header, bytes], ["Upstream's response", upstream.response, bytes],
    ["Own response", response, bytes], ["Request body", request_body, bytes], ["gzip ratio", gzip_ratio, digits],
  ];
  return sizes.filter(([, { count: times }]) => times).map(([name, { count: times, p50, p90, p99 }, format]) => ({
    key: name, cells: [name, count(times), format(p50), format(p90), format(p99)],
  }));
};

const MEASURED = ["Measured", " Count", " p50", " p90", " p99"];

const directiveRow = ({ directive, current, advised, reason }) =>
  make("div", { key: directive },
    make("dt", null, make("code", null, directive)),
    make("dd", null, make("code", null, current ?? "unknown"), " → ", make("code", { class: "advised" }, advised), make("p", null, reason)));

const effects = ({ memory_before_bytes, memory_after_bytes, one_buffer_before, one_buffer_after, spilled_before, spilled_after }) => {
  const change = (name, before, after, format) => figure(name, format(before) + " → " + format(after));
  const part = (value) => share(value, 1);
  return figures(
    change("Memory per request", memory_before_bytes, memory_after_bytes, bytes),
    change("Fit one buffer", one_buffer_before, one_buffer_after, part),
    change("Exceed all buffers", spilled_before, spilled_after, part));
};

const place = (kind, item, requests, rows) => {
  const { state, samples, needed, directives, remarks, effect } = item.advice;
  // Without a location's name: what belongs into the server.
  const query = "?server=" + encodeURIComponent(item.server) + "&location=" + encodeURIComponent(item.location ?? "");
  const few = state === "too_few_samples" ? ` (${count(samples)} of ${count(needed)})` : "";
  return make("details", { key: kind + " " + item.server + " " + item.location, class: "place" },
    make("summary", null,
      make("code", null, item.server || "(no name)"), " ", make("code", null, kind === "location" ? item.location || "(no location)" : "request headers"),
      make("span", { class: "quiet" }, requests),
      make("span", { class: "state " + state }, STATES[state] + few)),
    directives.length > 0 && make("dl", { class: "directives" }, ...directives.map(directiveRow)),
    make("ul", { class: "remarks" }, ...remarks.map((remark) => make("li", { key: remark }, remark))),
    effect && effects(effect),
    rows.length > 0 && table("Measured sizes", MEASURED, rows),
    directives.length > 0 && make("p", null, make("a", { href: "buffers.conf" + query }, "This as a file to include")));
};

const ORDER = ["change", "fine", "too_few_samples"];

const buffers = ({ buffers: all }) => {
  if (!all) return null;
  const places = [
    ...all.locations.map((item) => [item.advice.state, place("location", item, plural(item.requests, "request"), measuredRows(item.measured))]),
    ...all.servers.map((item) => {
      const { count: times, p50, p90, p99 } = item.header;
      const rows = [{ key: "header", cells: ["Request's header", count(times), bytes(p50), bytes(p90), bytes(p99)] }];
      return [item.advice.state, place("server", item, plural(times, "header"), rows)];
    }),
  ];
  places.sort(([one], [other]) => ORDER.indexOf(one) - ORDER.indexOf(other));
  const changes = places.filter(([state]) => state === "change").length;
  return section("buffers", "Buffers",
    make("p", { class: "quiet" }, changes ? `A change is advised in ${changes} of ${plural(places.length, "place")}. ` : "No change is advised. ",
      changes > 0 && make("a", { href: "buffers.conf" }, "All advice as one file")),
    make("div", { class: "places" }, ...places.map(([, item]) => item)));
};
