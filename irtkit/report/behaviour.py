"""The scripts of the pages: sorting tables; and finding, opening and drawing items.

They move and draw what stands in the page: no number is computed, nothing is fetched, and texts
are put in as texts only. `page.py` allows them by their hashes.
"""

SORTING = """
for (const button of document.querySelectorAll("thead th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), whole = button.closest("table");
    const place = head.cellIndex, down = head.getAttribute("aria-sort") === "ascending";
    const value = (row) => row.cells[place].dataset.value ?? row.cells[place].textContent;
    const numeric = head.classList.contains("number");
    const text = new Intl.Collator("en", { numeric: true });
    const order = (a, b) => numeric
      ? (a === "") - (b === "") || (down ? b - a : a - b)
      : (down ? -1 : 1) * text.compare(a, b);
    const parts = whole.tBodies.length > 1
      ? [...whole.tBodies].map((body) => [value(body.rows[0]), body])
      : [...whole.tBodies[0].rows].map((row) => [value(row), row]);
    parts.sort((one, other) => order(one[0], other[0]));
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    (whole.tBodies.length > 1 ? whole : whole.tBodies[0]).append(...parts.map((part) => part[1]));
    whole.dispatchEvent(new Event("sorted"));
  });
}
"""

ITEMS = """
const WIDE = 400, TALL = 250, LEFT = 40, RIGHT = 390, TOP = 8, BOTTOM = 210;
const drawn = (svg, tag, attributes, text) => {
  const made = document.createElementNS(svg.namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  svg.append(made);
};
const draw = (svg) => {
  if (!svg || svg.firstChild) return;
  const [low, high] = svg.closest("table").dataset.reach.split(",").map(Number);
  const x = (theta) => (LEFT + (RIGHT - LEFT) * (theta - low) / (high - low)).toFixed(1);
  const y = (share) => (BOTTOM - (BOTTOM - TOP) * share).toFixed(1);
  svg.setAttribute("viewBox", `0 0 ${WIDE} ${TALL}`);
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    drawn(svg, "line", { class: "axis", x1: LEFT, x2: RIGHT, y1: y(share), y2: y(share) });
    const place = { x: LEFT - 5, y: Number(y(share)) + 4, "text-anchor": "end" };
    if (share % 0.5 === 0) drawn(svg, "text", place, share);
  }
  const step = Math.max(1, Math.ceil((high - low) / 9));
  for (let theta = Math.ceil(low / step) * step; theta <= high; theta += step) {
    drawn(svg, "line", { class: "axis", x1: x(theta), x2: x(theta), y1: TOP, y2: BOTTOM });
    const place = { x: x(theta), y: BOTTOM + 15, "text-anchor": "middle" };
    drawn(svg, "text", place, String(theta).replace("-", "\\u2212"));
  }
  drawn(svg, "text", { x: (LEFT + RIGHT) / 2, y: TALL - 6, "text-anchor": "middle" },
    svg.closest("table").dataset.axis);
  svg.dataset.lines.split(";").forEach((line, number) => {
    const shares = line.split(",");
    const points = shares.map((share, n) =>
      `${x(low + (high - low) * n / (shares.length - 1))},${y(share / 1000)}`);
    drawn(svg, "polyline", { class: `line-${number}`, points: points.join(" ") });
  });
  (svg.dataset.seen || "").split("|").forEach((group, number) => {
    for (const point of group.split(";").filter(Boolean)) {
      const [theta, share, least, most] = point.split(",").map(Number);
      if (theta < low || theta > high) continue;
      const kind = `seen seen-${number}`;
      drawn(svg, "line", { class: kind, x1: x(theta), x2: x(theta), y1: y(least), y2: y(most) });
      drawn(svg, "circle", { class: kind, cx: x(theta), cy: y(share), r: 3.5 });
    }
  });
};
const open = (body, wanted) => {
  const button = body.querySelector("th button");
  body.rows[1].hidden = !wanted;
  button.setAttribute("aria-expanded", wanted);
  if (wanted) draw(body.querySelector("svg.curve"));
};
const closed = () => [...document.querySelectorAll("details:not([open])")];
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = closed();
  for (const one of unfolded) one.open = true;
});
addEventListener("afterprint", () => { for (const one of unfolded) one.open = false; });
const SOME = 200;
for (const part of document.querySelectorAll(".findable")) {
  const whole = part.querySelector("table"), told = part.querySelector("output");
  const search = part.querySelector("input"), opener = part.querySelector(".opener");
  const more = part.querySelector(".more");
  const words = new Map(), others = new Set();
  let most = SOME;
  const show = () => {
    let n = 0;
    for (const body of whole.tBodies) {
      const away = others.has(body) || ++n > most;
      if (body.hidden !== away) body.hidden = away;
    }
    more.hidden = n <= most;
    told.textContent = `${n.toLocaleString("en")} of ${whole.tBodies.length.toLocaleString("en")} `
      + `items${n > most ? `, the first ${most} shown` : ""}`;
  };
  const shown = () => [...whole.tBodies].filter((body) => !body.hidden);
  whole.addEventListener("sorted", show);
  whole.addEventListener("click", (event) => {
    const row = event.target.closest("tbody tr");
    if (!row || row.classList.contains("opened")) return;
    if (!event.target.closest("button") && String(getSelection())) return;
    open(row.parentNode, row.parentNode.rows[1].hidden);
  });
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase().split(" ").filter(Boolean);
    others.clear();
    for (const body of whole.tBodies) {
      if (!words.has(body)) words.set(body, body.textContent.toLowerCase());
      if (!wanted.every((word) => words.get(body).includes(word))) others.add(body);
    }
    show();
  });
  opener.addEventListener("click", () => {
    const wanted = opener.getAttribute("aria-pressed") !== "true";
    for (const body of shown()) open(body, wanted);
    opener.setAttribute("aria-pressed", wanted);
    opener.textContent = wanted ? "Close these items" : "Open these items";
  });
  let chosen = SOME;
  const limit = (number) => { most = number; show(); };
  more.addEventListener("click", () => { chosen = Infinity; limit(chosen); });
  addEventListener("beforeprint", () => limit(Infinity));
  addEventListener("afterprint", () => limit(chosen));
  show();
}
"""
