"use strict";
// The page talks to its own server alone; pictures live in this tab and, while they are read, in the server's memory.

const FRAME = 640; // pixels of the longer side of a camera's frame
const SHOWN = 1280; // pixels of the longer side of a picture on the page
// Okabe and Ito (2008): told apart by colour-blind readers. The order is that of the annotated pictures.
const COLOURS = ["#d55e00", "#e69f00", "#009e73", "#0072b2", "#cc79a7", "#56b4e9", "#f0e442"];
const GREY = "#828282";
const WORDS = {
  reading: { en: "Reading the picture …", ko: "사진을 읽는 중 …" },
  none: { en: "No face found.", ko: "얼굴을 찾지 못했습니다." },
  found: { en: (n) => (n === 1 ? "1 face" : `${n} faces`), ko: (n) => `얼굴 ${n}개` },
  face: { en: (n) => `Face ${n}`, ko: (n) => `얼굴 ${n}` },
  unsure: { en: "unsure", ko: "불확실" },
  before: { en: "before transfer", ko: "전이 학습 전" },
  after: { en: "after transfer", ko: "전이 학습 후" },
  why: { en: "What does this rest on?", ko: "무엇을 보고 판단했나요?" },
  hidden: { en: "This browser cannot show this kind of picture.", ko: "이 브라우저는 이 종류의 사진을 표시할 수 없습니다." },
  first: { en: (n) => `Only the first of its ${n} pictures was read.`, ko: (n) => `사진 ${n}장 중 첫 장만 읽었습니다.` },
  offline: { en: "The server does not answer. Is it still running?", ko: "서버가 응답하지 않습니다. 아직 실행 중인가요?" },
  large: { en: (n) => `The picture is larger than ${n} MB. Choose a smaller one.`, ko: (n) => `사진이 ${n} MB보다 큽니다. 더 작은 사진을 고르세요.` },
  nocamera: { en: "No camera can be used. Was it allowed?", ko: "카메라를 사용할 수 없습니다. 허용했나요?" },
  ended: { en: "The live picture has ended.", ko: "실시간 화면이 끝났습니다." },
  fer2013: { en: "FER2013 faces", ko: "FER2013 얼굴" },
  korean: { en: "Korean faces", ko: "한국인 얼굴" },
};
const element = (id) => document.getElementById(id);
let about, shown = null, camera = null, latest = 0;

const language = () => document.documentElement.lang;
const word = (name, ...values) => {
  const text = WORDS[name]?.[language()] ?? name;
  return typeof text === "function" ? text(...values) : text;
};
// A shipped network may be called as a data set is.
const modelName = ({ name }) => (name === "before" || name === "after" ? word(name) : name);
const emotionName = (name) => (language() === "ko" && about.emotions[name]) || word(name);
const percent = (share) => `${Math.round(100 * share)}%`;

function make(kind, properties = {}, ...children) {
  const node = Object.assign(document.createElement(kind), properties);
  node.append(...children);
  return node;
}

// A status is kept as a function of the language.
let status = () => "";
function say(text) {
  status = text;
  element("status").textContent = text();
}

async function answer(path, body) {
  let response;
  try {
    response = await fetch(path, body ? { method: "POST", body } : undefined);
  } catch {
    throw { en: WORDS.offline.en, ko: WORDS.offline.ko };
  }
  const result = await response.json().catch(() => ({ error: WORDS.offline }));
  if (result.error) throw result.error;
  return result;
}

async function readPicture(blob) {
  stopCamera();
  const turn = ++latest;
  show(null);
  if (blob.size > about.megabytes * 1e6) {
    say(() => word("large", about.megabytes));
    return;
  }
  say(() => word("reading"));
  try {
    const result = await answer("/faces", blob);
    const bitmap = await createImageBitmap(blob).catch(() => null);
    if (turn !== latest) return;
    // Browsers understand fewer turns than the server; the boxes would lie elsewhere.
    const same = bitmap?.width === result.width && bitmap?.height === result.height;
    show({ ...result, blob, bitmap: same ? bitmap : null });
  } catch (error) {
    if (turn === latest) say(() => error[language()] ?? String(error));
  }
}

function show(result) {
  shown = result;
  element("stage").hidden = !result?.bitmap;
  if (!result) {
    element("faces").replaceChildren();
    return;
  }
  const count = result.faces.length;
  say(() => [
    count ? word("found", count) : word("none"),
    ...(result.frames > 1 ? [word("first", result.frames)] : []),
    ...(result.bitmap ? [] : [word("hidden")]),
  ].join(" · "));
  draw();
}

function draw() {
  if (!shown) return;
  if (shown.bitmap) drawPicture(shown);
  element("faces").replaceChildren(...shown.faces.map(faceCard));
}

const best = (face) => face.answers.at(-1);
const colourOf = (given) =>
  given.label === "unsure" ? GREY : COLOURS[Object.keys(about.emotions).indexOf(given.label) % COLOURS.length];

function drawPicture({ bitmap, width, faces }) {
  const canvas = element("canvas");
  const scale = Math.min(1, SHOWN / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const size = Math.max(12, canvas.width / 32);
  context.font = `600 ${size}px ${getComputedStyle(document.body).fontFamily}`;
  context.textBaseline = "middle";
  [...faces.entries()].reverse().forEach(([number, face]) => {
    const [left, top, right, bottom] = face.box.map((side) => (side * canvas.width) / width);
    const given = best(face), colour = colourOf(given);
    const text = `${face.number ?? number + 1} ${emotionName(given.label)}`;
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = Math.max(2, size / 7);
    context.strokeRect(left, top, right - left, bottom - top);
    const above = Math.max(0, top - 1.5 * size), wide = context.measureText(text).width + size;
    context.fillRect(left, above, wide, 1.5 * size);
    context.fillStyle = ["#e69f00", "#56b4e9", "#f0e442"].includes(colour) ? "#000" : "#fff";
    context.fillText(text, left + size / 2, above + 0.78 * size);
  });
}

function faceCard(face, number) {
  const card = make("section", { className: "face" });
  card.append(make("h2", {}, `${word("face", face.number ?? number + 1)}: `, make("span", { className: "label" }, emotionName(best(face).label))));
  card.append(barsOf(face));
  if (shown.blob) {
    const button = make("button", { type: "button" }, word("why"));
    button.addEventListener("click", () => explain(button, number));
    card.append(button);
  }
  if (face.maps) card.append(mapsOf(face));
  return card;
}

// A row for each emotion; the models side by side.
function barsOf(face) {
  const bars = make("div", { className: "bars" }, make("span"));
  bars.style.gridTemplateColumns = `auto repeat(${face.answers.length}, minmax(2rem, 1fr) 2.6rem)`;
  face.answers.forEach((given, place) =>
    bars.append(make("h3", {}, modelName(about.models[place]), make("br"), make("strong", {}, emotionName(given.label)))));
  Object.keys(about.emotions).forEach((emotion, index) => {
    bars.append(make("span", {}, emotionName(emotion)));
    face.answers.forEach((given, place) => {
      const bar = make("b"), share = percent(given.probability[index]), figure = make("output", {}, share);
      bar.style.width = share;
      bar.style.background = COLOURS[index % COLOURS.length];
      Object.assign(figure.dataset, { model: about.models[place].name, emotion });
      bars.append(make("i", {}, bar), figure);
    });
  });
  return bars;
}

async function explain(button, number) {
  const { blob, faces } = shown;
  button.disabled = true;
  try {
    faces[number].maps = await answer(`/saliency/${number}`, blob);
    if (shown?.faces === faces) draw();
  } catch (error) {
    say(() => error[language()] ?? String(error));
    button.disabled = false;
  }
}

function mapsOf(face) {
  const figures = face.maps.maps.map((map, place) =>
    make("figure", {},
      make("div", {}, make("img", { src: face.maps.picture, alt: "" }), make("img", { src: map, alt: "", className: "map" })),
      make("figcaption", {}, modelName(about.models[place]))));
  return make("div", { className: "maps" }, ...figures);
}

async function startCamera() {
  const turn = ++latest;
  show(null);
  say(() => "");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: FRAME, height: 480, facingMode: "user" } });
  } catch {
    say(() => word("nocamera"));
    return;
  }
  if (turn !== latest) {
    stream.getTracks().forEach((track) => track.stop());
    return;
  }
  const video = make("video", { srcObject: stream, muted: true, playsInline: true });
  const socket = new WebSocket(`ws://${location.host}/live`);
  camera = { stream, socket };
  element("camera").classList.add("live");
  const playing = video.play();
  const frame = make("canvas");
  const send = () => {
    if (camera?.socket !== socket || socket.readyState !== WebSocket.OPEN) return;
    const scale = Math.min(1, FRAME / Math.max(video.videoWidth, video.videoHeight));
    frame.width = Math.round(video.videoWidth * scale);
    frame.height = Math.round(video.videoHeight * scale);
    frame.getContext("2d").drawImage(video, 0, 0, frame.width, frame.height);
    frame.toBlob((blob) => blob && socket.readyState === WebSocket.OPEN && socket.send(blob), "image/jpeg", 0.9);
  };
  socket.addEventListener("open", () => playing.then(send));
  socket.addEventListener("message", async ({ data }) => {
    if (camera?.socket !== socket) return;
    const result = JSON.parse(data);
    if (result.error) {
      say(() => result.error[language()]);
    } else {
      show({ ...result, bitmap: await createImageBitmap(frame) });
    }
    requestAnimationFrame(send);
  });
  socket.addEventListener("close", () => {
    if (camera?.socket !== socket) return;
    stopCamera();
    say(() => word("ended"));
  });
}

function stopCamera() {
  if (!camera) return;
  const { stream, socket } = camera;
  camera = null;
  latest++;
  stream.getTracks().forEach((track) => track.stop());
  socket.close();
  element("camera").classList.remove("live");
}

function setLanguage(name) {
  document.documentElement.lang = name;
  document.querySelectorAll("[data-language]").forEach((button) =>
    button.setAttribute("aria-pressed", String(button.dataset.language === name)));
  fillTables();
  element("status").textContent = status();
  draw();
}

function fillTables() {
  const columns = about.models.flatMap((model) => Object.keys(model.recognised).map((dataset) => [model, dataset]));
  const heading = columns.map(([model, dataset]) => make("th", {}, word(dataset), make("br"), modelName(model)));
  const rows = Object.keys(about.emotions).map((emotion) =>
    make("tr", {}, make("th", {}, emotionName(emotion)), ...columns.map(([model, dataset]) => make("td", {}, percent(1 - model.recognised[dataset][emotion])))));
  element("errors").replaceChildren(make("tr", {}, make("th"), ...heading), ...rows);
  const origins = about.models.flatMap((model) => Object.entries(model.provenance).map(([what, digest]) =>
    make("tr", {}, make("th", {}, `${modelName(model)}, ${what}`), make("td", {}, digest))));
  element("provenance").replaceChildren(...origins);
  document.querySelectorAll(".unsure").forEach((place) => { place.textContent = percent(about.unsure); });
}

function addSamples() {
  for (let number = 0; number < about.samples; number++) {
    const image = make("img", { src: `/samples/${number}.jpg`, alt: `${number + 1}` });
    const button = make("button", { type: "button" }, image);
    button.addEventListener("click", async () => readPicture(await (await fetch(image.src)).blob()));
    element("samples").append(button);
  }
}

async function start() {
  try {
    about = await answer("/about");
  } catch (error) {
    element("status").textContent = error.en;
    return;
  }
  element("drawn").hidden = !about.drawn;
  addSamples();
  setLanguage(navigator.language.startsWith("ko") ? "ko" : "en");
  document.querySelectorAll("[data-language]").forEach((button) =>
    button.addEventListener("click", () => setLanguage(button.dataset.language)));
  const file = element("file");
  file.addEventListener("change", () => {
    if (file.files.length) readPicture(file.files[0]);
    file.value = "";
  });
  element("choose").addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") file.click();
  });
  element("camera").addEventListener("click", () => (camera ? (stopCamera(), show(null), say(() => "")) : startCamera()));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) readPicture(event.dataTransfer.files[0]);
  });
  document.querySelector("a[href='#limits']").closest("p").addEventListener("click", (event) => {
    if (event.target.closest("a")) element("limits").open = true;
  });
  document.documentElement.dataset.ready = "true";
}

start();
