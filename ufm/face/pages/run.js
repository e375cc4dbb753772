"use strict";
// The recorded points are in `run`: turned by `turn`, seen from `distance`, drawn at frame `time.value`.
const run = JSON.parse(document.getElementById("run").textContent);
const element = (id) => document.getElementById(id);
const [canvas, time, play, loop] = ["space", "time", "play", "loop"].map(element);
const shown = { features: element("show-features"), means: element("show-means"), rows: element("show-rows"),
                paths: element("show-paths") };
const SCALE = 10000; // of the coordinates, as in run.py
const FRAMES = run.steps.length;
const CLASSES = run.means[0].length / 3;
const FEW = 12; // classes up to which paths and numbers are drawn; edges up to half as many
const STEP = 0.1; // radians of one key
const FOCAL = 5; // of the perspective, in units of the scene
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#8c564b", "#7f7f7f"];
const HOME = product(aboutX(0.35), aboutY(0.5));
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let turn = HOME;
let distance = 1;
let timer = null;

function colour(k) {
  return CLASSES <= COLOURS.length ? COLOURS[k] : `hsl(${Math.round((360 * k) / CLASSES)} 65% 50%)`;
}

function aboutX(angle) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return [[1, 0, 0], [0, c, -s], [0, s, c]];
}

function aboutY(angle) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return [[c, 0, s], [0, 1, 0], [-s, 0, c]];
}

function product(A, B) {
  return A.map((row) => [0, 1, 2].map((j) => row[0] * B[0][j] + row[1] * B[1][j] + row[2] * B[2][j]));
}

// Where point i of a list of coordinates is on the canvas: x, y, and z towards the reader.
function project(list, i, view) {
  const p = [list[3 * i] / SCALE, list[3 * i + 1] / SCALE, list[3 * i + 2] / SCALE];
  const [x, y, z] = turn.map((row) => row[0] * p[0] + row[1] * p[1] + row[2] * p[2]);
  const size = (view.unit * FOCAL) / Math.max(FOCAL - z, 0.5);
  return { x: view.x + size * x, y: view.y - size * y, z };
}

function draw() {
  const ratio = devicePixelRatio || 1;
  const box = canvas.getBoundingClientRect();
  canvas.width = Math.round(box.width * ratio);
  canvas.height = Math.round(box.height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const view = { x: box.width / 2, y: box.height / 2, unit: (0.45 * Math.min(box.width, box.height)) / distance };
  const style = getComputedStyle(document.documentElement);
  const [soft, panel] = ["--soft", "--panel"].map((name) => style.getPropertyValue(name).trim());
  const t = Number(time.value);
  const origin = { x: view.x, y: view.y, z: 0 };
  if (2 * CLASSES <= FEW && shown.means.checked) drawEdges(pen, t, view, soft);
  if (CLASSES <= FEW && shown.paths.checked) drawPaths(pen, t, view);
  const items = [{ z: 0, paint: () => cross(pen, origin, soft) }];
  if (shown.rows.checked) collect(items, run.rows[t], view, (p, k) => rod(pen, origin, p, colour(k)), 0.5);
  if (shown.features.checked) collect(items, run.features[t], view, (p, i) => dot(pen, p, colour(run.labels[i])));
  if (shown.means.checked) collect(items, run.means[t], view, (p, k) => ring(pen, p, colour(k)));
  items.sort((a, b) => a.z - b.z).forEach((item) => item.paint());
  if (CLASSES <= FEW && shown.means.checked) drawNumbers(pen, t, view, panel);
  pen.globalAlpha = 1;
}

function collect(items, list, view, paint, share = 1) {
  for (let i = 0; 3 * i < list.length; i += 1) {
    const p = project(list, i, view);
    items.push({ z: share * p.z, paint: () => paint(p, i) });
  }
}

function nearness(p) {
  return Math.min(Math.max(0.65 + 0.35 * p.z, 0.25), 1);
}

function cross(pen, p, stroke) {
  pen.globalAlpha = 1;
  pen.strokeStyle = stroke;
  pen.lineWidth = 1;
  line(pen, { x: p.x - 5, y: p.y }, { x: p.x + 5, y: p.y });
  line(pen, { x: p.x, y: p.y - 5 }, { x: p.x, y: p.y + 5 });
}

function rod(pen, origin, p, stroke) {
  pen.globalAlpha = nearness(p);
  pen.strokeStyle = stroke;
  pen.lineWidth = 3;
  line(pen, origin, p);
}

function dot(pen, p, fill) {
  pen.globalAlpha = 0.7 * nearness(p);
  pen.fillStyle = fill;
  circle(pen, p, 2.6);
  pen.fill();
}

function ring(pen, p, stroke) {
  pen.globalAlpha = nearness(p);
  pen.strokeStyle = stroke;
  pen.lineWidth = 2.2;
  circle(pen, p, 7);
  pen.stroke();
}

function line(pen, from, to) {
  pen.beginPath();
  pen.moveTo(from.x, from.y);
  pen.lineTo(to.x, to.y);
  pen.stroke();
}

function circle(pen, p, radius) {
  pen.beginPath();
  pen.arc(p.x, p.y, radius, 0, 2 * Math.PI);
}

function drawEdges(pen, t, view, stroke) {
  pen.globalAlpha = 0.5;
  pen.strokeStyle = stroke;
  pen.lineWidth = 1;
  pen.setLineDash([5, 4]);
  const corners = Array.from({ length: CLASSES }, (_, k) => project(run.means[t], k, view));
  corners.forEach((from, k) => corners.slice(k + 1).forEach((to) => line(pen, from, to)));
  pen.setLineDash([]);
}

function drawPaths(pen, t, view) {
  pen.globalAlpha = 0.6;
  pen.lineWidth = 1;
  for (let k = 0; k < CLASSES; k += 1) {
    pen.strokeStyle = colour(k);
    pen.beginPath();
    for (let s = 0; s <= t; s += 1) {
      const p = project(run.means[s], k, view);
      pen.lineTo(p.x, p.y);
    }
    pen.stroke();
  }
}

// The number of each class, a little outwards of its mean.
function drawNumbers(pen, t, view, halo) {
  pen.font = "600 14px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineWidth = 4;
  pen.strokeStyle = halo;
  pen.globalAlpha = 1;
  for (let k = 0; k < CLASSES; k += 1) {
    const p = project(run.means[t], k, view);
    const away = Math.hypot(p.x - view.x, p.y - view.y) || 1;
    const place = [p.x + (18 * (p.x - view.x)) / away, p.y + (18 * (p.y - view.y)) / away];
    pen.strokeText(String(k), ...place);
    pen.fillStyle = colour(k);
    pen.fillText(String(k), ...place);
  }
}

function written(x, digits = 3) {
  if (x === null) return "undefined";
  if (x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5)) return x.toExponential(2).replaceAll("-", "−");
  return String(Number(x.toPrecision(digits))).replaceAll("-", "−");
}

// Everything that depends on the frame: the numbers, the cursors, the picture.
function update() {
  const t = Number(time.value);
  for (const [name, values] of Object.entries(run.series)) {
    element(`at-${name}`).textContent = written(values[t], name === "f" ? 10 : 3);
  }
  for (const [name, values] of Object.entries(run.shares)) {
    const share = values[t];
    element(`at-share-${name}`).textContent = share === null ? "undefined" : `${(100 * share).toFixed(1)} %`;
  }
  const told = `step ${run.steps[t]}: f ${written(run.series.f[t], 6)}, NC1 ${written(run.series.nc1[t])}`;
  element("step").textContent = run.steps[t];
  time.setAttribute("aria-valuetext", told);
  canvas.setAttribute("aria-label", `Features, class means and classifiers of ${CLASSES} classes at ${told}`);
  document.querySelectorAll(".cursor").forEach((cursor) => cursor.setAttribute("transform", `translate(${run.x[t]})`));
  draw();
}

function go(t) {
  time.value = t;
  update();
}

function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = "Play";
}

function advance() {
  const t = Number(time.value);
  if (t < FRAMES - 1) go(t + 1);
  else if (loop.checked) go(0);
  else stop();
}

play.addEventListener("click", () => {
  if (timer !== null) return stop();
  if (Number(time.value) === FRAMES - 1) go(0);
  const pause = Math.min(Math.max(9000 / FRAMES, 70), 400); // the whole path in about nine seconds
  timer = setInterval(advance, calm.matches ? Math.max(pause, 500) : pause);
  play.textContent = "Pause";
});

time.addEventListener("input", () => {
  stop();
  update();
});

function rotate(across, down) {
  turn = product(product(aboutX(down), aboutY(across)), turn);
  draw();
}

function approach(factor) {
  distance = Math.min(Math.max(distance * factor, 0.1), 10);
  draw();
}

function reset() {
  turn = HOME;
  distance = 1;
  draw();
}

canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
canvas.addEventListener("pointermove", (event) => {
  if (canvas.hasPointerCapture(event.pointerId)) rotate(0.01 * event.movementX, 0.01 * event.movementY);
});

const KEYS = {
  ArrowLeft: () => rotate(-STEP, 0),
  ArrowRight: () => rotate(STEP, 0),
  ArrowUp: () => rotate(0, -STEP),
  ArrowDown: () => rotate(0, STEP),
  "+": () => approach(0.9),
  "-": () => approach(1 / 0.9),
  Home: reset,
};
canvas.addEventListener("keydown", (event) => {
  const act = KEYS[event.key];
  if (act === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
});

element("closer").addEventListener("click", () => approach(0.8));
element("farther").addEventListener("click", () => approach(1.25));
element("reset").addEventListener("click", reset);
Object.values(shown).forEach((box) => box.addEventListener("change", draw));
document.querySelectorAll(".chart").forEach((chart) =>
  chart.addEventListener("click", (event) => {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse()).x;
    const away = run.x.map((x) => Math.abs(x - place));
    stop();
    go(away.indexOf(Math.min(...away)));
  }),
);
shown.paths.disabled = CLASSES > FEW;
new ResizeObserver(draw).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
update();
