// The page: camera, choice of avatar, canvas, figures, recording. Who computes is behind `painter`:
//   avatar(number), background(colour), paint(video, square), record(on), close()
// It answers by `page.show(picture, sent)`, the picture being what a canvas can draw, or null where no face is seen, and
// `sent` the time at which the camera's picture was taken.
import { openLocal } from "./local.js";
import { openRemote } from "./remote.js";
import { Square } from "./square.js";

const CAMERA = { video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } }, audio: false };
const REFUSALS = {
  NotAllowedError: "The camera was refused. Allow it for this page in the browser's settings, then press Start.",
  NotFoundError: "No camera was found. Connect one, then press Start.",
  NotReadableError: "The camera is in use by another program. Close that, then press Start.",
};
const SMOOTH = 0.9;

const part = (name) => document.getElementById(name);
const context = part("canvas").getContext("2d");
const square = new Square(part("square"), part("video"), part("side"));
const figures = { times: [], latency: 0 };
let facts, painter, camera, chosen = 0;

function say(text, problem = false) {
  part("message").textContent = text;
  part("message").classList.toggle("problem", problem);
}

function choose(number) {
  chosen = number;
  const { name, consent, licence } = facts.avatars[number];
  [...part("avatars").children].forEach((button, i) => button.setAttribute("aria-checked", String(i === number)));
  part("name").textContent = name;
  part("consent").textContent = consent;
  part("licence").textContent = licence;
  part("label").textContent = `AI-generated picture of ${name}`;
  painter?.avatar(number);
}

function count(sent) {
  const now = performance.now();
  figures.times = figures.times.filter((time) => now - time < 1000).concat(now);
  figures.latency = figures.latency ? SMOOTH * figures.latency + (1 - SMOOTH) * (now - sent) : now - sent;
  part("fps").textContent = String(figures.times.length);
  part("latency").textContent = `${Math.round(figures.latency)} ms`;
}

function show(picture, sent) {
  if (!camera) return;
  if (picture === null) return say("No face is seen. Move into the picture.");
  say("");
  context.drawImage(picture, 0, 0, facts.size_px, facts.size_px);
  count(sent);
}

async function step() {
  if (!camera) return;
  try {
    await painter.paint(part("video"), square.place());
  } catch (error) {
    stop();
    return say(`${error.message}. Press Start to try again.`, true);
  }
  if (camera) part("video").requestVideoFrameCallback(step);
}

async function start() {
  part("start").disabled = true;
  try {
    say("Waiting for the camera …");
    if (!navigator.mediaDevices) throw new Error("This page may not use the camera; open it as localhost or by https");
    camera = await navigator.mediaDevices.getUserMedia(CAMERA);
    part("video").srcObject = camera;
    await part("video").play();
    say("Loading …");
    const open = facts.where === "browser" ? openLocal : openRemote;
    painter = await open(facts, { show, saved, problem: (text) => say(text, true), canvas: part("canvas") });
    painter.avatar(chosen);
    painter.background(part("background").value);
    square.show(facts.where === "browser");
    part("hint").hidden = facts.where !== "browser";
    part("start").textContent = "Stop";
    part("record").disabled = false;
    part("video").requestVideoFrameCallback(step);
  } catch (error) {
    stop();
    say(REFUSALS[error.name] ?? `${error.message}.`, true);
  }
  part("start").disabled = false;
}

function stop() {
  record(false);
  camera?.getTracks().forEach((track) => track.stop());
  painter?.close();
  camera = painter = undefined;
  part("start").textContent = "Start";
  part("record").disabled = true;
  say("Stopped.");
}

function record(on) {
  const was = part("record").getAttribute("aria-pressed") === "true";
  if (on === was) return;
  part("record").setAttribute("aria-pressed", String(on));
  part("record").textContent = on ? "End recording" : "Record";
  painter?.record(on);
}

function saved(address, name) {
  Object.assign(part("saved"), { href: address, download: name, textContent: `Save ${name}`, hidden: false });
}

function mirror() {
  for (const name of ["canvas", "camera"]) part(name).classList.toggle("mirrored", part("mirror").checked);
}

facts = await (await fetch("/facts.json")).json();
Object.assign(part("canvas"), { width: facts.size_px, height: facts.size_px });
part("where").textContent = facts.where === "browser"
  ? "This browser computes. No picture leaves this machine."
  : `Pictures of the camera go to ${location.host}, which computes.`;
part("avatars").append(...facts.avatars.map(({ name }, i) => {
  const button = document.createElement("button");
  button.setAttribute("role", "radio");
  button.append(Object.assign(new Image(), { src: `/preview/${i}.png`, alt: "" }), name);
  button.addEventListener("click", () => choose(i));
  return button;
}));
choose(0);
mirror();
part("mirror").addEventListener("change", mirror);
part("background").addEventListener("input", (event) => {
  part("result").style.background = event.target.value;
  painter?.background(event.target.value);
});
part("start").addEventListener("click", () => (camera ? stop() : start()));
part("record").addEventListener("click", () => record(part("record").getAttribute("aria-pressed") !== "true"));
document.body.dataset.ready = "yes";
