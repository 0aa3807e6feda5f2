"use strict";
// Sorts and copies tables, enlarges figures, follows the reader in the contents. Without it the page is complete, but still.

const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const text = (cell) => cell.textContent.trim().replace(/\s+/g, " ");

// ---- sorting ----

const MISSING = /^(n\/a|nan|[-–—]?)$/i;

function leadingNumber(words) {
  const found = words.replace(/\u2212/g, "-").match(/^([<>≤≥=±~\s]*)([+-]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?)/i);
  if (!found) return null;
  const value = Number(found[2].replace(/,/g, ""));
  // "< 0.001" comes before 0.001 and "> 0.999" after 0.999
  return value + (found[1].includes("<") ? -1e-9 : found[1].includes(">") ? 1e-9 : 0);
}

function compare(one, other, sign) {
  if (one.missing || other.missing) return one.missing - other.missing;
  if (one.number !== null && other.number !== null) return sign * (one.number - other.number);
  if (one.number !== null || other.number !== null) return one.number === null ? 1 : -1;
  return sign * one.words.localeCompare(other.words, "en", { numeric: true });
}

function sort(table, head) {
  const column = head.cellIndex;
  const next = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")];
  for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", next);
  const body = table.tBodies[0];
  const rows = table.rowsAsWritten.map((row) => {
    const words = text(row.cells[column]);
    return { row, words, missing: MISSING.test(words), number: leadingNumber(words) };
  });
  const sign = next === "descending" ? -1 : 1;
  if (next !== "none") rows.sort((one, other) => compare(one, other, sign));
  body.append(...rows.map(({ row }) => row));
}

function isRanking(table) {
  // rows of one kind, each with a name of its own, and numbers to rank them by
  const names = table.rowsAsWritten.map((row) => text(row.cells[0]));
  return table.querySelector("td.number") && names.every(Boolean) && new Set(names).size === names.length;
}

function makeSortable(table) {
  table.rowsAsWritten = [...table.tBodies[0].rows];
  if (table.rowsAsWritten.length < 3 || !isRanking(table)) return;
  for (const head of table.tHead.rows[0].cells) {
    // a value beside another in brackets ranks nothing
    if (head.cellIndex && (!head.matches(".number") || text(head).includes("["))) continue;
    head.setAttribute("aria-sort", "none");
    const button = make("button", { type: "button", className: "sort" }, ...head.childNodes);
    button.addEventListener("click", () => sort(table, head));
    head.append(button);
  }
}

// ---- what is too wide ----

function showMore(box) {
  const mark = () => {
    box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
    const fits = box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight;
    box.tabIndex = fits ? -1 : 0; // the keyboard stops where there is something to scroll
  };
  box.addEventListener("scroll", mark, { passive: true });
  new ResizeObserver(mark).observe(box);
}

// ---- copying ----

function forSpreadsheet(words) {
  // a spreadsheet knows no minus sign but the hyphen, and takes "+0.1 (+0.0 to +0.2)" or a name that begins with "=" for a formula
  const plain = words.replace(/\u2212/g, "-");
  if (/^[+-]?[\d,.]+( ?%)?$/.test(plain)) return plain;
  return /^[=+@-]/.test(plain) ? ` ${words}` : words;
}

async function copy(table, button) {
  const lines = [...table.rows].map((row) => [...row.cells].map((cell) => forSpreadsheet(text(cell))).join("\t"));
  const content = lines.join("\n") + "\n";
  let done = true;
  try {
    await navigator.clipboard.writeText(content);
  } catch {
    const area = make("textarea", { value: content });
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = done ? "Copied" : "Not copied";
  setTimeout(() => (button.textContent = "Copy table"), 2000);
}

function makeCopiable(figure) {
  const table = figure.querySelector("table");
  const button = make("button", { type: "button", className: "copy", textContent: "Copy table" });
  button.title = "Copy as tab-separated values";
  button.setAttribute("aria-describedby", figure.querySelector("figcaption").id);
  button.addEventListener("click", () => copy(table, button));
  figure.prepend(button);
}

// ---- enlarging ----

const dialog = document.getElementById("page-zoom");
const view = dialog.querySelector(".view");
const zoom = { factor: 1, fitting: 0, ratio: 1, image: null };
const LIMITS = [0.25, 12];

function setZoom(factor, x = view.clientWidth / 2, y = view.clientHeight / 2) {
  const before = zoom.factor;
  zoom.factor = Math.min(Math.max(factor, LIMITS[0]), LIMITS[1]);
  const ratio = zoom.factor / before;
  const [left, top] = [(view.scrollLeft + x) * ratio - x, (view.scrollTop + y) * ratio - y];
  zoom.image.style.width = `${zoom.fitting * zoom.factor}px`;
  view.scrollTo(left, top);
  dialog.querySelector("output").textContent = `${Math.round(100 * zoom.factor)} %`;
}

function fit() {
  const wide = view.clientWidth - 2;
  // a column of panels is read from the top, at full width
  zoom.fitting = zoom.ratio < 0.7 ? wide : Math.min(wide, (view.clientHeight - 2) * zoom.ratio);
  zoom.factor = 1;
  setZoom(1);
}

function enlarge(figure) {
  const image = figure.querySelector("img");
  zoom.image = make("img", { src: image.src, alt: image.alt, draggable: false });
  zoom.ratio = image.clientWidth / image.clientHeight || 1;
  zoom.image.style.aspectRatio = zoom.ratio;
  view.replaceChildren(zoom.image);
  dialog.querySelector("#page-zoom-caption").textContent = text(figure.querySelector("figcaption")) || image.alt;
  dialog.showModal();
  zoom.image.decode().then(fit, fit);
  view.focus();
}

function makeZoomable(figure) {
  const sheet = figure.querySelector(".sheet");
  const image = sheet.querySelector("img");
  if (!image) return;
  const button = make("button", { type: "button", className: "enlarge" }, image);
  button.setAttribute("aria-label", `Enlarge: ${image.alt}`);
  button.addEventListener("click", () => enlarge(figure));
  sheet.append(button);
}

function driveDialog() {
  const actions = {
    in: () => setZoom(zoom.factor * 1.25),
    out: () => setZoom(zoom.factor / 1.25),
    fit,
    close: () => dialog.close(),
  };
  dialog.addEventListener("click", (event) => {
    const name = event.target.dataset?.zoom ?? (event.target === dialog ? "close" : "");
    actions[name]?.();
  });
  dialog.addEventListener("keydown", (event) => {
    const name = { "+": "in", "=": "in", "-": "out", 0: "fit" }[event.key];
    if (name && !event.ctrlKey && !event.metaKey) actions[name]();
  });
  view.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const box = view.getBoundingClientRect();
      setZoom(zoom.factor * Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
    },
    { passive: false },
  );
  view.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button === 0) view.setPointerCapture(event.pointerId);
  });
  view.addEventListener("pointermove", (event) => {
    if (view.hasPointerCapture(event.pointerId)) view.scrollBy(-event.movementX, -event.movementY);
  });
  addEventListener("resize", () => dialog.open && fit());
}

// ---- contents ----

function driveContents() {
  const contents = document.querySelector("#page-contents > details");
  const wide = matchMedia("(min-width: 84rem)");
  const follow = () => (contents.open = wide.matches);
  wide.addEventListener("change", follow);
  follow();
  contents.addEventListener("click", (event) => {
    if (event.target.closest("a") && !wide.matches) contents.open = false;
  });
  const links = new Map([...contents.querySelectorAll(":scope > ol a")].map((link) => [link.hash.slice(1), link]));
  const parts = [...links.keys()].map((id) => document.getElementById(decodeURIComponent(id)));
  const mark = () => {
    const passed = parts.filter((part) => part && part.getBoundingClientRect().top < innerHeight / 3);
    for (const link of links.values()) link.removeAttribute("aria-current");
    if (passed.length) links.get(encodeURIComponent(passed.at(-1).id))?.setAttribute("aria-current", "true");
  };
  addEventListener("scroll", () => requestAnimationFrame(mark), { passive: true });
  mark();
}

for (const figure of document.querySelectorAll("figure.table")) {
  makeSortable(figure.querySelector("table"));
  makeCopiable(figure);
  showMore(figure.querySelector(".scroll"));
}
document.querySelectorAll("figure.drawing").forEach(makeZoomable);
document.querySelectorAll(".sheet").forEach(showMore);
document.querySelector(".hint").hidden = false;
driveDialog();
driveContents();
