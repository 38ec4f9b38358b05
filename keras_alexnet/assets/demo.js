"use strict";
// Names of files and classes are strangers' text: textContent only.

const find = (id) => document.getElementById(id);
const input = find("photo");
const drop = find("drop");
let largestUpload = Infinity;
let asked = 0; // photos so far: an answer that is overtaken is not shown

function say(text, bad = false) {
  find("status").textContent = text;
  find("status").classList.toggle("bad", bad);
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function percent(probability) {
  return `${(100 * probability).toFixed(1)} %`;
}

function bar(name, probability) {
  const item = element("li", "", "");
  const line = element("div", "name", "");
  line.append(
    element("span", "", name),
    element("span", "percent", percent(probability)),
  );
  const track = element("div", "track", "");
  track.setAttribute("aria-hidden", "true");
  const inner = element("div", "bar", "");
  inner.style.width = `${100 * probability}%`;
  track.append(inner);
  item.append(line, track);
  return item;
}

function show(file, answer) {
  const [name, probability] = answer.top[0];
  find("top").replaceChildren(...answer.top.map((pair) => bar(...pair)));
  find("seen").src = answer.seen;
  find("heat").src = answer.heat;
  find("heat").alt = `Grad-CAM: where the evidence for ${name} lies`;
  find("heat-caption").textContent = `Grad-CAM: the evidence for ${name}`;
  find("result").hidden = false;
  say(`${file.name}: ${name}, ${percent(probability)}`);
}

async function answerTo(file) {
  if (file.size > largestUpload) {
    const most = Math.floor(largestUpload / 2 ** 20);
    return { error: `This file is too large; at most ${most} MB are taken.` };
  }
  try {
    const options = {
      method: "POST",
      body: file,
      headers: { "Content-Type": "application/octet-stream" },
    };
    return await (await fetch("answer", options)).json();
  } catch {
    return {
      error: "The file cannot be read, or the server does not answer any more.",
    };
  }
}

async function ask(file) {
  const number = ++asked;
  find("result").hidden = true;
  say(`Looking at ${file.name} ...`);
  const answer = await answerTo(file);
  if (number !== asked) {
    return;
  }
  if (answer.error) {
    say(`${file.name}: ${answer.error}`, true);
  } else {
    show(file, answer);
  }
}

input.addEventListener("change", () => {
  if (input.files.length) {
    ask(input.files[0]);
  }
});
// The same file again is a change again.
input.addEventListener("click", () => {
  input.value = "";
});
// Anywhere: a photo that misses the frame must not replace the page.
window.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
window.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) {
    drop.classList.remove("over");
  }
});
window.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files.length) {
    input.value = "";
    ask(event.dataTransfer.files[0]);
  } else {
    say("That was no file; drop a photo from a folder.", true);
  }
});

async function start() {
  try {
    const told = await (await fetch("facts")).json();
    largestUpload = told.largest_upload;
    const pairs = told.facts.map(([term, text]) => [
      element("dt", "", term),
      element("dd", "", text),
    ]);
    find("facts").replaceChildren(...pairs.flat());
  } catch {
    say("The server does not answer.", true);
  }
}

start();
