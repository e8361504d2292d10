"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const createNode = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
const clamp = (low, value, high) => Math.max(low, Math.min(high, value));
for (const kind of ["blocky", "damaged"]) byId(kind + "-key").hidden = !data.timeline.left.includes(kind);
byId("copied-key").hidden = !data.timeline.copied.some(Boolean);
const lanes = { pass: "untouched", resize: "resized", enhance: "repaired" };

/* m:ss, h:mm:ss from an hour on; `digits` after the point */
function formatTime(seconds, digits = 0) {
  const unit = 10 ** digits, ticks = Math.round(Math.max(0, seconds) * unit);
  const total = Math.floor(ticks / unit), rest = digits ? "." + String(ticks % unit).padStart(digits, "0") : "";
  const h = Math.floor(total / 3600), m = Math.floor(total / 60) % 60, s = total % 60;
  return (h ? h + ":" + String(m).padStart(2, "0") : m) + ":" + String(s).padStart(2, "0") + rest;
}

function fillTables() {
  for (const [label, value] of data.numbers) {
    const row = createNode("tr"), head = createNode("th", "", label);
    head.scope = "row";
    row.append(head, createNode("td", "num", value));
    row.lastChild.style.whiteSpace = "normal";
    byId("numbers").append(row);
  }
  byId("ranges").hidden = !data.ranges.length;
  for (const r of data.ranges) {
    const row = createNode("tr"), many = r.last_frame > r.first_frame;
    row.append(createNode("td", "", formatTime(r.start_s, 2) + " – " + formatTime(r.end_s, 2)),
      createNode("td", "", many ? r.first_frame + " – " + r.last_frame : String(r.first_frame)),
      createNode("td", "num", r.block_px === null ? "–" : +r.block_px.toFixed(2) + " px"));
    byId("range-rows").append(row);
  }
  const more = data.range_count - data.ranges.length;
  byId("range-more").hidden = !more;
  byId("range-more").textContent = "And " + more.toLocaleString("en") + " more; a .json report lists all of them.";
  byId("work").hidden = !data.stages.length;
  const longest = Math.max(...data.stages.map((s) => s[1]), 1e-9);
  for (const [stage, seconds] of data.stages) {
    const track = createNode("div", "track"), fill = createNode("div", "fill");
    fill.style.width = 100 * seconds / longest + "%";
    track.append(fill);
    const each = data.frames ? " · " + (1000 * seconds / data.frames).toFixed(1) + " ms" : "";
    byId("stages").append(createNode("p", "", stage), track, createNode("p", "", seconds.toFixed(2) + " s" + each));
  }
}

function drawTimeline() {
  const line = data.timeline, count = line.start.length, svg = byId("plot"), box = byId("plot-box");
  byId("timeline").hidden = !count;
  if (!count) return;
  byId("mark-key").hidden = !data.pictures.length;
  const begin = line.start[0], end = Math.max(line.end[0], begin + 1e-3);
  const left = 46, right = 10, top = 16, foot = 24;
  let width = 0, height = 0, selected = -1;
  const x = (t) => left + (width - left - right) * (t - begin) / (end - begin);
  const y = (score) => top + (height - top - foot) * (1 - score);
  const until = (i) => i + 1 < count ? line.start[i + 1] : end;
  const middle = (i) => (line.start[i] + until(i)) / 2;

  function axes() {
    let out = "";
    for (const score of [0, 0.25, 0.5, 0.75, 1]) {
      out += `<line class="grid" x1="${left}" x2="${width - right}" y1="${y(score)}" y2="${y(score)}"/>`;
      if (score * 2 % 1 === 0) out += `<text x="${left - 8}" y="${y(score) + 4}" text-anchor="end">${score}</text>`;
    }
    out += `<text transform="translate(13 ${y(0.5)}) rotate(-90)" text-anchor="middle">score</text>`;
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200];
    const step = steps.find((s) => (s >= 1 || end - begin < 3) && (end - begin) / s <= Math.max(2, (width - left) / 78)) || 86400;
    for (let t = Math.ceil(begin / step - 1e-9) * step; t <= end + 1e-6; t += step) {
      const anchor = x(t) > width - 28 ? "end" : "middle";
      out += `<line class="grid" x1="${x(t)}" x2="${x(t)}" y1="${y(0)}" y2="${y(0) + 5}"/>`;
      out += `<text x="${x(t)}" y="${height - 5}" text-anchor="${anchor}">${formatTime(t, step < 1 ? 1 : 0)}</text>`;
    }
    return out;
  }
  function areas() {
    const name = (i) => line.fixed[i] ? "fixed" : line.left[i] || (line.copied[i] ? "copied" : "");
    let out = "";
    for (let i = 0; i < count; i++) {
      if (!name(i)) continue;
      const first = i;
      while (i + 1 < count && name(i + 1) === name(first)) i++;
      const from = x(line.start[first]);
      out += `<rect class="${name(first)}" x="${from}" y="${top}" width="${Math.max(1.5, x(until(i)) - from)}" height="${y(0) - top}"/>`;
    }
    return out;
  }
  function draw() {
    width = Math.max(260, box.clientWidth);
    height = svg.clientHeight || 230;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const point = (i, score) => x(middle(i)).toFixed(1) + " " + y(score).toFixed(1);
    const high = line.high.map((s, i) => point(i, s)), low = line.low.map((s, i) => point(i, s));
    const spread = line.high.some((s, i) => s - line.low[i] > 0.004);
    const limit = `<line class="limit" x1="${left}" x2="${width - right}" y1="${y(0.5)}" y2="${y(0.5)}"/>`
      + `<text class="limit-name" x="${width - right - 4}" y="${y(0.5) - 5}" text-anchor="end">threshold 0.5</text>`;
    const marks = data.pictures.map((p) => `<path class="mark" d="M${x(p.time_s) - 5} ${top - 12}h10l-5 9z"/>`).join("");
    svg.innerHTML = areas() + axes() + limit
      + (spread ? `<path class="band" d="M${high.join("L")}L${low.reverse().join("L")}Z"/>` : "")
      + `<path class="line" d="M${high.join("L")}${count === 1 ? "h1" : ""}"/>` + marks
      + `<g class="cursor" visibility="hidden"><line y1="${top}" y2="${y(0)}"/><circle r="5"/></g>`;
    if (selected >= 0) select(selected);
  }
  function select(i) {
    selected = clamp(0, i, count - 1);
    const cursor = svg.querySelector(".cursor"), px = x(middle(selected));
    cursor.setAttribute("visibility", "visible");
    cursor.firstChild.setAttribute("x1", px);
    cursor.firstChild.setAttribute("x2", px);
    cursor.lastChild.setAttribute("cx", px);
    cursor.lastChild.setAttribute("cy", y(line.high[selected]));
    const low = line.low[selected], high = line.high[selected];
    const text = formatTime(line.start[selected], 2) + " · frame " + line.frame[selected] + " · score " + high.toFixed(2)
      + (high - low > 0.004 ? " (lowest nearby " + low.toFixed(2) + ")" : "")
      + " · " + line.kind[selected] + " · " + (lanes[line.lane[selected]] || line.lane[selected])
      + (line.copied[selected] ? " · copied" : "");
    byId("readout").textContent = text;
    box.setAttribute("aria-valuenow", selected);
    box.setAttribute("aria-valuetext", text);
  }
  function selectAtPointer(event) {
    const where = (event.clientX - svg.getBoundingClientRect().left) * width / svg.clientWidth;
    const t = begin + (where - left) / (width - left - right) * (end - begin);
    let low = 0, high = count - 1;
    while (low < high) {
      const half = (low + high + 1) >> 1;
      if (line.start[half] <= t) low = half; else high = half - 1;
    }
    select(low);
  }
  box.setAttribute("aria-valuemax", count - 1);
  svg.addEventListener("pointermove", selectAtPointer);
  svg.addEventListener("pointerdown", selectAtPointer);
  box.addEventListener("keydown", (event) => {
    const pageStep = Math.max(1, Math.round(count / 20));
    const moves = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -pageStep, PageUp: pageStep, Home: -count, End: count };
    if (!(event.key in moves)) return;
    event.preventDefault();
    select(Math.max(0, selected) + moves[event.key]);
  });
  window.addEventListener("resize", draw);
  draw();
}

function showPictures() {
  const pictures = data.pictures, stage = byId("stage"), divide = byId("divide");
  byId("compare").hidden = !pictures.length;
  if (!pictures.length) return;
  let share = 50, zoom = 3, centre = [0.5, 0.5], dragStart = null;

  function setDivider(value) {
    share = clamp(0, value, 100);
    byId("before-box").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
    divide.style.left = share + "%";
    divide.setAttribute("aria-valuenow", Math.round(share));
    divide.setAttribute("aria-valuetext", Math.round(share) + " percent before, " + Math.round(100 - share) + " percent after");
  }
  function applyTransform() {
    const [left, top] = centre.map((c) => -100 * clamp(0, c * zoom - 0.5, zoom - 1));
    const shift = `translate(${left}%, ${top}%) scale(${zoom})`;
    byId("before").style.transform = byId("after").style.transform = shift;
    stage.classList.toggle("zoomed", zoom > 1);
    for (const b of document.querySelectorAll("[data-zoom]")) b.setAttribute("aria-pressed", String(+b.dataset.zoom === zoom));
  }
  function pan(right, down) {
    const edge = 0.5 / zoom;
    centre = [centre[0] + right / zoom, centre[1] + down / zoom].map((c) => clamp(edge, c, 1 - edge));
    applyTransform();
  }
  function show(number) {
    const p = pictures[number];
    byId("before").src = p.before;
    byId("after").src = p.after;
    centre = p.focus;
    applyTransform();
    byId("caption").textContent = "Frame " + p.index + " at " + formatTime(p.time_s, 2) + " · score " + p.score.toFixed(2);
    [...byId("thumbs").children].forEach((b, i) => b.setAttribute("aria-pressed", String(i === number)));
  }
  pictures.forEach((p, number) => {
    const button = createNode("button"), image = createNode("img");
    button.type = "button";
    image.src = p.thumb;
    image.alt = "";
    button.append(image, formatTime(p.time_s, 1));
    button.setAttribute("aria-label", "Frame " + p.index + " at " + formatTime(p.time_s, 1));
    button.addEventListener("click", () => show(number));
    byId("thumbs").append(button);
  });
  byId("thumbs").hidden = pictures.length < 2;
  for (const b of document.querySelectorAll("[data-zoom]")) b.addEventListener("click", () => { zoom = +b.dataset.zoom; applyTransform(); });

  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    dragStart = { pans: zoom > 1 && event.target !== divide, x: event.clientX, y: event.clientY };
    stage.setPointerCapture(event.pointerId);
    drag(event);
  });
  function drag(event) {
    if (!dragStart) return;
    const frame = stage.getBoundingClientRect();
    if (!dragStart.pans) return setDivider(100 * (event.clientX - frame.left) / frame.width);
    pan((dragStart.x - event.clientX) / frame.width, (dragStart.y - event.clientY) / frame.height);
    dragStart.x = event.clientX;
    dragStart.y = event.clientY;
  }
  stage.addEventListener("pointermove", drag);
  for (const over of ["pointerup", "pointercancel"]) stage.addEventListener(over, () => { dragStart = null; });
  divide.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    if (event.shiftKey && zoom > 1 && event.key.startsWith("Arrow")) {
      const step = 0.1 * Math.sign(moves[event.key]);
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") pan(step, 0); else pan(0, -step);
    } else {
      setDivider(share + moves[event.key]);
    }
  });
  setDivider(50);
  const worst = pictures.reduce((best, p, i) => p.score > pictures[best].score ? i : best, 0);
  show(worst);
}

fillTables();
showPictures();
drawTimeline();
