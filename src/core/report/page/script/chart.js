// A chart of the last minutes: bands upon one another, or lines. Whoever points at a time, or goes there by keys,
// reads the values of that time in the legend.

const WIDTH = 900;
const HEIGHT = 100;
const pointed = new Map();

// The rates, or values, between each sample and the one before.
const rates = (samples, bands) =>
  samples.map((sample, at) => {
    const before = samples[at - 1];
    const seconds = before && sample.time - before.time;
    const values = bands.map(({ pick, per, isLevel }) => {
      if (isLevel) return sample.totals ? pick(sample.totals) : null;
      const more = step(before, sample, pick);
      if (more === null || !per) return more === null ? null : more / seconds;
      const times = step(before, sample, per);
      return times ? more / times : null;
    });
    return { time: sample.time, values };
  });

// The parts of a line that have no gap in them.
const runs = (points, isThere) => {
  const all = [];
  points.forEach((point, at) => {
    if (!isThere(point)) return;
    if (at && isThere(points[at - 1])) all[all.length - 1].push(point);
    else all.push([point]);
  });
  return all;
};

const niceTop = (value) => {
  const unit = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 2, 4, 5, 10].map((step) => step * unit).find((top) => top >= value * 0.999) ?? 10 * unit;
};

const path = (run, x, y) => run.map((point, at) => (at ? "L" : "M") + x(point) + " " + y(point)).join("");

const drawBand = (points, bands, at, x, scale, isStacked) => {
  const below = (point, end) => point.values.slice(0, end).reduce((sum, value) => sum + (value ?? 0), 0);
  const y = (value) => (HEIGHT - (value / scale) * HEIGHT).toFixed(1);
  const isThere = ({ values }) => isKnown(values[at]);
  const lines = runs(points, isThere).map((run) => {
    // A lone sample is a short line.
    const whole = run.length > 1 ? run : [run[0], run[0]];
    if (!isStacked) return path(whole, x, ({ values }) => y(values[at])) + (run.length > 1 ? "" : "h2");
    const top = path(whole, x, (point) => y(below(point, at + 1)));
    return top + path([...whole].reverse(), x, (point) => y(below(point, at))).replace("M", "L") + "Z";
  });
  const kind = (isStacked ? "band " : "line ") + bands[at].colour;
  return make("path", { key: bands[at].name, class: kind, d: lines.join("") || "M0 0" });
};

const nearest = (points, time) =>
  points.reduce((best, point) => (Math.abs(point.time - time) < Math.abs(best.time - time) ? point : best), points[0]);

const chart = ({ id, title, unit, bands, samples, format, isStacked, current }) => {
  const points = rates(samples, bands);
  const end = now();
  const x = ({ time }) => (WIDTH - ((end - time) / SPAN) * WIDTH).toFixed(1);
  const heights = points.map(({ values }) =>
    values.reduce((most, value) => (isStacked ? most + (value ?? 0) : Math.max(most, value ?? 0)), 0));
  const top = Math.max(...heights, 0);
  const scale = niceTop(top || 1);
  const ago = pointed.get(id);
  const at = ago === undefined || !points.length ? null : nearest(points, end - ago);
  const values = at ? at.values : current;
  const told = bands.map(({ name }, place) => name + " " + format(values[place])).join(", ");
  const point = (seconds) => {
    if (seconds === undefined) pointed.delete(id);
    else pointed.set(id, Math.min(Math.max(seconds, 0), SPAN));
    renderSoon();
  };
  const onpointermove = ({ clientX, currentTarget }) => {
    const { left, width } = currentTarget.getBoundingClientRect();
    point(SPAN * (1 - (clientX - left) / width));
  };
  const onkeydown = (event) => {
    const by = { ArrowLeft: 5, ArrowRight: -5, PageUp: 60, PageDown: -60 }[event.key];
    if (!by) return;
    event.preventDefault();
    point((ago ?? 0) + by);
  };
  const reading = {
    role: "slider", tabindex: 0, "aria-label": title + ", time", "aria-valuemin": -SPAN, "aria-valuemax": 0,
    "aria-valuenow": ago === undefined ? 0 : -Math.round(ago), "aria-valuetext": (at ? clock(at.time) : "now") + ": " + told,
    onpointermove, onkeydown, onpointerleave: () => point(), onblur: () => point(),
  };
  return make("figure", { key: id, id, class: "chart" },
    make("figcaption", null, make("span", null, title), make("span", { class: "unit" }, unit), make("time", null, at ? clock(at.time) : "now")),
    make("div", { class: "plot" },
      make("span", { class: "top" }, format(scale)),
      make("span", { class: "middle" }, format(scale / 2)),
      make("span", { class: "bottom" }, "0"),
      make("div", { ...reading, class: "area" },
        make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
          make("path", { class: "grid", d: "M0 0H900M0 50H900M300 0V100M600 0V100" }),
          ...bands.map((_, place) => drawBand(points, bands, place, x, scale, isStacked)),
          make("path", { class: "axis", d: "M0 100H900" }),
          at && make("path", { class: "pointer", d: `M${x(at)} 0V${HEIGHT}` })))),
    make("div", { class: "times", "aria-hidden": "true" },
      make("span", null, "15 min ago"), make("span", null, "10"), make("span", null, "5"), make("span", null, "now")),
    make("ul", { class: "legend" },
      ...bands.map(({ name, colour }, place) =>
        make("li", { key: name }, swatch(colour), make("span", null, name), " ", make("b", null, format(values[place]))))));
};

const swatch = (colour) => make("i", { class: "swatch " + colour, "aria-hidden": "true" });
