// What is to be seen is made anew each time, as plain values, and the document is changed where it differs.
// So nothing flickers, and what the reader has opened, selected or focused stays. All text is only text.

const make = (tag, properties, ...children) => ({ tag, properties: properties ?? {}, children: children.flat() });

const SVG = "http://www.w3.org/2000/svg";
const HTML = "http://www.w3.org/1999/xhtml";
const shown = new WeakMap();

const setProperty = (node, name, value) => {
  if (name.startsWith("on")) node[name] = value;
  else if (value === undefined || value === null || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? "" : value);
};

const create = (parent, { tag }) => {
  if (!tag) return document.createTextNode("");
  const isDrawing = tag === "svg" || parent.namespaceURI === SVG;
  return document.createElementNS(isDrawing ? SVG : HTML, tag);
};

const update = (node, wanted) => {
  if (!wanted.tag) {
    if (node.data !== wanted.text) node.data = wanted.text;
    return;
  }
  const { properties, children } = wanted;
  const before = shown.get(node)?.properties ?? {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(properties)])) {
    if (name !== "key" && before[name] !== properties[name]) setProperty(node, name, properties[name]);
  }
  shown.get(node).properties = properties;
  fill(node, children);
};

// An element is the same as before if its key is, or else its tag and its place. Of those with one key, which are of
// what only looks alike, all are kept, and told apart by their order.
const fill = (parent, children) => {
  const wanted = new Map();
  children.forEach((child, place) => {
    if (child === undefined || child === null || child === false) return;
    const item = child.tag ? child : { text: String(child) };
    let key = item.properties?.key ?? place + " " + item.tag;
    while (wanted.has(key)) key += "+";
    wanted.set(key, item);
  });
  const old = new Map();
  for (const node of [...parent.childNodes]) {
    const key = shown.get(node)?.key;
    if (wanted.has(key)) old.set(key, node);
    else node.remove();
  }
  let next = parent.firstChild;
  for (const [key, item] of wanted) {
    const node = old.get(key) ?? create(parent, item);
    if (!old.has(key)) shown.set(node, { key });
    update(node, item);
    if (node === next) next = node.nextSibling;
    else parent.insertBefore(node, next);
  }
};

const write = (id, ...children) => fill(document.getElementById(id), children);
