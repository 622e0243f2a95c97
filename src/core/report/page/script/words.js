// Numbers as a person reads them. What is not known is a dash.

const UNKNOWN = "–";
const isKnown = (value) => value !== undefined && value !== null && !Number.isNaN(value);

const grouped = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const digits = (value) => {
  const places = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return value.toLocaleString("en", { maximumFractionDigits: places });
};

const count = (value) => {
  if (!isKnown(value)) return UNKNOWN;
  return (value < 1e6 ? grouped : compact).format(Math.round(value));
};

const rate = (value) => {
  if (!isKnown(value)) return UNKNOWN;
  if (value > 0 && value < 0.1) return "<0.1";
  return value < 9.95 ? String(Math.round(value * 10) / 10) : count(value);
};

const share = (part, whole) => {
  if (!isKnown(part) || !whole) return UNKNOWN;
  const percent = (100 * part) / whole;
  if (percent > 0 && percent < 0.1) return "<0.1 %";
  return (percent < 9.95 ? Math.round(percent * 10) / 10 : Math.round(percent)) + " %";
};

const SPANS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
const time = (seconds) => {
  if (!isKnown(seconds)) return UNKNOWN;
  if (seconds === 0) return "0 s";
  if (seconds < 0.0009995) return digits(seconds * 1e6) + " µs";
  if (seconds < 0.9995) return digits(seconds * 1e3) + " ms";
  if (seconds < 10) return digits(seconds) + " s";
  const all = Math.round(seconds);
  const at = SPANS.findIndex(([length]) => all >= length);
  const [length, unit] = SPANS[at];
  const rest = SPANS[at + 1] ? Math.floor((all % length) / SPANS[at + 1][0]) : 0;
  const large = Math.floor(all / length) + " " + unit;
  return rest ? large + " " + rest + " " + SPANS[at + 1][1] : large;
};

const bytes = (value) => {
  if (!isKnown(value)) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  for (; value >= 1000 && at < units.length - 1; at += 1) value /= 1024;
  return digits(value) + " " + units[at];
};

const plural = (number, one, many = one + "s") => count(number) + " " + (number === 1 ? one : many);
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");
const day = (seconds) => new Date(seconds * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
