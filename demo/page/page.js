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
  why: { en: "Show what this answer is based on", ko: "무엇을 보고 판단했는지 보기" },
  legend: {
    en: "Orange: the answer is based on this part. It becomes less likely when the part is covered; the stronger the colour, the more so.",
    ko: "주황색: 답의 근거가 된 부분입니다. 가리면 답의 확률이 낮아지며, 색이 진할수록 더 많이 낮아집니다.",
  },
  picture: { en: (faces) => `The picture with its faces: ${faces}`, ko: (faces) => `얼굴이 표시된 사진: ${faces}` },
  sample: { en: (n) => `Drawn sample ${n}`, ko: (n) => `그림 예제 ${n}` },
  compared: { en: (names) => `Compare ${names}`, ko: (names) => `${names} 비교` },
  and: { en: " and ", ko: ", " },
  trained: { en: (name, faces) => `${name}: trained on ${faces}`, ko: (name, faces) => `${name}: ${faces} 학습` },
  photos: { en: "photos of FER2013, mostly of Western people", ko: "FER2013 사진(주로 서양인)으로" },
  photos_korean: { en: (people) => `photos of FER2013, then of ${people} people`, ko: (people) => `FER2013 사진, 이어서 ${people} 사진으로` },
  drawings: { en: "drawn faces that stand in for FER2013", ko: "FER2013을 대신하는 그린 얼굴로" },
  drawings_korean: { en: (people) => `drawn faces that stand in for FER2013, then for ${people} faces`, ko: (people) => `FER2013을 대신하는 그린 얼굴, 이어서 ${people}을 대신하는 그린 얼굴로` },
  others: { en: (n) => `${n} more left out: one picture at a time.`, ko: (n) => `나머지 ${n}개는 읽지 않았습니다. 한 번에 한 장씩 넣으세요.` },
  nofile: { en: "There is no picture file in it.", ko: "사진 파일이 없습니다." },
  hidden: { en: "This browser cannot show this kind of picture.", ko: "이 브라우저는 이 종류의 사진을 표시할 수 없습니다." },
  first: { en: (n) => `Only the first of its ${n} pictures was read.`, ko: (n) => `사진 ${n}장 중 첫 장만 읽었습니다.` },
  nocamera: { en: "No camera can be used. Was it allowed?", ko: "카메라를 사용할 수 없습니다. 허용했나요?" },
  ended: { en: "The live picture has ended.", ko: "실시간 화면이 끝났습니다." },
  fer2013: { en: "FER2013 faces", ko: "FER2013 얼굴" },
  korean: { en: (people) => `${people} faces`, ko: (people) => `${people} 얼굴` },
  Korean: { en: "Korean", ko: "한국인" },
};
// What the server answers instead of faces.
const REASONS = {
  offline: { en: "The server does not answer. Is it still running?", ko: "서버가 응답하지 않습니다. 아직 실행 중인가요?" },
  fault: { en: "Something went wrong here. Try another picture.", ko: "문제가 생겼습니다. 다른 사진으로 시도하세요." },
  busy: { en: "Too many pictures at once. Try again in a moment.", ko: "요청이 너무 많습니다. 잠시 후 다시 시도하세요." },
  slow: { en: "The picture did not arrive in time. Try again.", ko: "사진이 제때 도착하지 않았습니다. 다시 시도하세요." },
  "too large": {
    en: () => `The picture is larger than ${about.megabytes} MB. Choose a smaller one.`,
    ko: () => `사진이 ${about.megabytes} MB보다 큽니다. 더 작은 사진을 고르세요.`,
  },
  "empty file": { en: "The file is empty.", ko: "빈 파일입니다." },
  "not a picture": { en: "This file is not a picture that can be read.", ko: "읽을 수 있는 사진 파일이 아닙니다." },
  "too many pixels": { en: "The picture has too many pixels.", ko: "사진의 픽셀 수가 너무 많습니다." },
  "cut off": { en: "The picture is cut off; its end is missing.", ko: "사진 파일이 잘려 있습니다." },
  "HEIC is not read: convert it to JPEG": {
    en: "HEIC pictures cannot be read. Convert it to JPEG (iPhone: Settings, Camera, Formats, Most Compatible).",
    ko: "HEIC 사진은 읽을 수 없습니다. JPEG로 변환하세요(아이폰: 설정 > 카메라 > 포맷 > 높은 호환성).",
  },
  "orientation not understood": {
    en: "The picture says in an unknown way how it is turned. Turn it upright and save it again.",
    ko: "사진의 방향 정보를 해석할 수 없습니다. 똑바로 돌려 다시 저장하세요.",
  },
  "not of the size in its header": {
    en: "The picture is damaged: its size is not the one in its header.",
    ko: "사진 파일이 손상되었습니다. 실제 크기가 파일에 적힌 크기와 다릅니다.",
  },
};
const element = (id) => document.getElementById(id);
let about, choice = 0, chosen = null, shown = null, camera = null, latest = 0;

const language = () => document.documentElement.lang;
const textOf = (texts, ...values) => {
  const text = texts[language()];
  return typeof text === "function" ? text(...values) : text;
};
const word = (name, ...values) => (WORDS[name] ? textOf(WORDS[name], ...values) : name);
const reason = (name) => textOf(REASONS[name] ?? REASONS.fault);
const models = () => about.choices[choice];
// A shipped network may be called as a data set is.
const modelName = ({ name }) => (name === "before" || name === "after" ? word(name) : name);
const emotionName = (model, name) => (language() === "ko" && model.emotions[name]) || word(name);
// In the order of the classes; models may call one by different names.
const emotionNames = () => Object.keys(models()[0].emotions).map((_, index) =>
  [...new Set(models().map((model) => emotionName(model, Object.keys(model.emotions)[index])))].join("\u00a0/ "));
const percent = (share) => `${Math.round(100 * share)}%`;

function make(kind, properties = {}, ...children) {
  const node = Object.assign(document.createElement(kind), properties);
  node.append(...children);
  return node;
}

// A status is kept as a function of the language. The same one is not read out again for each frame.
let status = () => "";
function say(text) {
  status = text;
  if (element("status").textContent !== text()) element("status").textContent = text();
}

async function answer(path, body) {
  const response = await fetch(path, body ? { method: "POST", body } : undefined).catch(() => null);
  const result = await response?.json().catch(() => null);
  if (response?.ok && result) return result;
  throw result?.error ?? (response?.status === 413 ? "too large" : "offline");
}

async function readPicture(blob, others = 0) {
  stopCamera();
  chosen = blob;
  const turn = ++latest;
  show(null);
  say(() => word("reading"));
  try {
    if (blob.size > about.megabytes * 1e6) throw "too large";
    const result = await answer(`/${choice}/faces`, blob);
    const bitmap = await createImageBitmap(blob).catch(() => null);
    if (turn !== latest) return;
    // Browsers understand fewer turns than the server; the boxes would lie elsewhere.
    const same = bitmap?.width === result.width && bitmap?.height === result.height;
    show({ ...result, others, bitmap: same ? bitmap : null });
  } catch (error) {
    if (turn === latest) say(() => reason(error));
  }
}

function show(result) {
  shown = result;
  element("invitation").hidden = Boolean(result?.faces.length);
  element("stage").hidden = !result?.bitmap;
  if (!result) {
    element("faces").replaceChildren();
    return;
  }
  const count = result.faces.length;
  say(() => [
    count ? word("found", count) : word("none"),
    ...(result.frames > 1 ? [word("first", result.frames)] : []),
    ...(result.others ? [word("others", result.others)] : []),
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
const nameOf = (given, place = -1) => emotionName(models().at(place), given.label);
const colourOf = (given) =>
  given.label === "unsure" ? GREY : COLOURS[Object.keys(models().at(-1).emotions).indexOf(given.label) % COLOURS.length];

function drawPicture({ bitmap, width, faces }) {
  const canvas = element("canvas");
  const scale = Math.min(1, SHOWN / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  canvas.ariaLabel = word("picture", faces.map((face) => nameOf(best(face))).join(", "));
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const size = Math.max(12, canvas.width / 32);
  context.font = `600 ${size}px ${getComputedStyle(document.body).fontFamily}`;
  context.textBaseline = "middle";
  [...faces.entries()].reverse().forEach(([number, face]) => {
    const [left, top, right, bottom] = face.box.map((side) => (side * canvas.width) / width);
    const given = best(face), colour = colourOf(given);
    const text = `${face.number ?? number + 1} ${nameOf(given)}`;
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = Math.max(2, size / 7);
    context.strokeRect(left, top, right - left, bottom - top);
    const above = Math.max(0, top - 1.5 * size), wide = context.measureText(text).width + size;
    context.fillRect(left, above, wide, 1.5 * size);
    context.fillStyle = colour === "#0072b2" ? "#fff" : "#000";
    context.fillText(text, left + size / 2, above + 0.78 * size);
  });
}

function faceCard(face, number) {
  const card = make("section", { className: "face" });
  card.append(make("h2", { tabIndex: -1 }, `${word("face", face.number ?? number + 1)}: `, make("span", { className: "label" }, nameOf(best(face)))));
  card.append(barsOf(face));
  if (face.maps) {
    card.append(...mapsOf(face));
  } else if (chosen) {
    const button = make("button", { type: "button" }, word("why"));
    button.addEventListener("click", () => explain(button, number));
    card.append(button);
  }
  return card;
}

// A row for each emotion; the models side by side.
function barsOf(face) {
  const bars = make("table", { className: "bars" });
  if (models().length > 1) {
    bars.append(make("tr", {}, make("td"), ...face.answers.map((given, place) =>
      make("th", { scope: "col" }, modelName(models()[place]), make("br"), make("strong", {}, nameOf(given, place))))));
  }
  emotionNames().forEach((name, index) => {
    const row = make("tr", {}, make("th", { scope: "row" }, name));
    face.answers.forEach((given, place) => {
      const bar = make("b"), share = percent(given.probability[index]), figure = make("span", { className: "share" }, share);
      bar.style.width = share;
      bar.style.background = COLOURS[index % COLOURS.length];
      Object.assign(figure.dataset, { model: models()[place].name, emotion: Object.keys(models()[place].emotions)[index] });
      row.append(make("td", {}, make("i", {}, bar), figure));
    });
    bars.append(row);
  });
  return bars;
}

async function explain(button, number) {
  const { faces } = shown;
  button.disabled = true;
  try {
    faces[number].maps = await answer(`/${choice}/saliency/${number}`, chosen);
    if (shown?.faces !== faces) return;
    draw();
    // The button is gone: who uses the keyboard goes on from here.
    element("faces").children[number].querySelector("h2").focus();
  } catch (error) {
    say(() => reason(error));
    button.disabled = false;
  }
}

function mapsOf(face) {
  const figures = face.maps.maps.map((map, place) =>
    make("figure", {},
      make("div", {}, make("img", { src: face.maps.picture, alt: "" }), make("img", { src: map, alt: "", className: "map" })),
      make("figcaption", {}, modelName(models()[place]), ": ", nameOf(face.answers[place], place))));
  return [make("div", { className: "maps" }, ...figures), make("p", { className: "legend" }, word("legend"))];
}

async function startCamera() {
  chosen = null;
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
  const socket = new WebSocket(`ws://${location.host}/${choice}/live`);
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
      if (result.error === "busy") stopCamera();
      say(() => reason(result.error));
    } else {
      const bitmap = await createImageBitmap(frame);
      if (camera?.socket !== socket) return;
      show({ ...result, bitmap });
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
  fill();
  element("status").textContent = status();
  draw();
}

// All of the page that depends on the models and the language.
function fill() {
  const last = models().at(-1);
  const faces = (model) => word((model.drawn ? "drawings" : "photos") + (model.korean ? "_korean" : ""), word(model.population));
  element("drawn").hidden = !last.drawn;
  element("choices").hidden = about.choices.length < 2;
  [...element("choices").children].forEach((button, number) => {
    const names = about.choices[number].map(modelName).join(word("and"));
    button.textContent = about.choices[number].length > 1 ? word("compared", names) : names;
    button.ariaPressed = String(number === choice);
  });
  element("trained").replaceChildren(...models().map((model) => make("li", {}, word("trained", modelName(model), faces(model)))));
  element("emotions").replaceChildren(...emotionNames().map((name, index) => {
    const dot = make("i");
    dot.style.background = COLOURS[index % COLOURS.length];
    return make("li", {}, dot, name);
  }));
  document.querySelectorAll("#samples img").forEach((image, number) => { image.alt = word("sample", number + 1); });
  document.querySelectorAll(".surprised").forEach((line) => { line.hidden = models().every((model) => model.korean); });
  document.querySelectorAll(".unsure").forEach((place) => { place.textContent = percent(last.unsure); });
  const columns = models().flatMap((model) => Object.entries(model.recognised).map(([dataset, shares]) => [model, dataset, Object.values(shares)]));
  const heading = columns.map(([model, dataset]) => make("th", { scope: "col" }, word(dataset, word(model.population)), make("br"), modelName(model)));
  const rows = emotionNames().map((name, index) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...columns.map(([, , shares]) => make("td", {}, percent(1 - shares[index])))));
  element("errors").replaceChildren(make("tr", {}, make("td"), ...heading), ...rows);
  element("provenance").replaceChildren(...models().map((model) =>
    make("tr", {}, make("th", { scope: "row" }, modelName(model)), make("td", {}, model.weights))));
}

// Ask other models; what is shown, or still being read, is read again.
function choose(number) {
  const live = Boolean(camera);
  choice = number;
  stopCamera();
  show(null);
  say(() => "");
  fill();
  if (live) startCamera();
  else if (chosen) readPicture(chosen);
}

function addSamples() {
  for (let number = 0; number < about.samples; number++) {
    const image = make("img", { src: `/samples/${number}.jpg` });
    const button = make("button", { type: "button" }, image);
    button.addEventListener("click", () =>
      fetch(image.src).then((response) => response.blob()).then((picture) => readPicture(picture), () => {
        show(null);
        say(() => reason("offline"));
      }));
    element("samples").append(button);
  }
}

async function start() {
  try {
    about = await answer("/about");
  } catch (error) {
    element("status").textContent = reason(error);
    return;
  }
  addSamples();
  about.choices.forEach((_, number) => {
    const button = make("button", { type: "button" });
    button.addEventListener("click", () => choose(number));
    element("choices").append(button);
  });
  setLanguage(navigator.language.startsWith("ko") ? "ko" : "en");
  document.querySelectorAll("[data-language]").forEach((button) =>
    button.addEventListener("click", () => setLanguage(button.dataset.language)));
  const file = element("file");
  const take = ({ files }) => (files.length ? readPicture(files[0], files.length - 1) : say(() => word("nofile")));
  file.addEventListener("change", () => {
    take(file);
    file.value = "";
  });
  element("choose").addEventListener("click", () => file.click());
  element("camera").addEventListener("click", () => (camera ? (stopCamera(), show(null), say(() => "")) : startCamera()));
  const mark = (over) => element("drop").classList.toggle("over", over);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || mark(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    take(event.dataTransfer);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData));
  document.querySelector("a[href='#limits']").closest("p").addEventListener("click", (event) => {
    if (event.target.closest("a")) element("limits").open = true;
  });
  document.documentElement.dataset.ready = "true";
}

start();
