// Headless Chromium that does what it is told, and says what it sees.
//
//   node drive.mjs --modules DIR [--chromium FILE] [--script off]
//
// DIR      where `npm install playwright-core axe-core` was run
// --script whether pages may run scripts: `on` unless it is said to be `off`
//
// Standard input: one JSON object a line, each a command:
//   { do: "open", url }         goes there
//   { do: "follow", name }      clicks the link of this accessible name
//   { do: "press", name }       clicks the button of this accessible name
//   { do: "fill", label, text } types into the input of this label
//   { do: "wait", text }        waits until this text can be seen
//   { do: "unfold", text }      opens what is folded away behind this text
//   { do: "save", path }        writes a picture of the whole page
// Standard output: one JSON object a line, the answer to each:
//   { url, title, text, html, frames, violations, overflow, errors }, or { failed: text }
//   (frames: the addresses of what is shown inside the page)
// Names and labels are whole; a command fails after TIMEOUT milliseconds.

import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { check } from "./check.mjs";

const TIMEOUT = 15_000;

const { values } = parseArgs({
  options: {
    modules: { type: "string", default: "." },
    chromium: { type: "string", default: "/usr/bin/chromium" },
    script: { type: "string", default: "on" },
  },
});
const require = createRequire(join(resolve(values.modules), "package.json"));
const { chromium } = require("playwright-core");
const axe = require("axe-core");

const browser = await chromium.launch({
  executablePath: values.chromium,
  chromiumSandbox: false,
  args: ["--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"],
});
const context = await browser.newContext({ javaScriptEnabled: values.script !== "off" });
const page = await context.newPage();
page.setDefaultTimeout(TIMEOUT);
let errors = [];
page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
page.on("pageerror", (error) => errors.push(String(error)));

/** Clicks, and waits for the page that follows. */
async function click(role, name) {
  const target = page.getByRole(role, { name, exact: true }).filter({ visible: true }).first();
  await Promise.all([page.waitForEvent("framenavigated"), target.click()]);
}

const commands = {
  open: async ({ url }) => {
    const answer = await page.goto(url);
    // A one-time link leads on by itself, unless it opens nothing.
    if (answer?.ok() && new URL(url).pathname.startsWith("/open/")) {
      await page.waitForURL((now) => !now.pathname.startsWith("/open/"));
    }
  },
  follow: ({ name }) => click("link", name),
  press: ({ name }) => click("button", name),
  fill: ({ label, text }) => page.getByLabel(label, { exact: true }).filter({ visible: true }).first().fill(text),
  wait: ({ text }) => page.getByText(text).first().waitFor(),
  unfold: ({ text }) => page.locator("summary", { hasText: text }).click(),
  save: ({ path }) => page.screenshot({ path, fullPage: true }),
};

try {
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    let answer;
    try {
      await commands[command.do](command);
      await page.waitForLoadState();
      const judged = values.script === "off" ? {} : await check(page, axe);
      const text = await page.innerText("body");
      const html = await page.content();
      const frames = page.frames().slice(1).map((frame) => frame.url());
      answer = { url: page.url(), title: await page.title(), text, html, frames, ...judged, errors };
      errors = [];
    } catch (error) {
      answer = { failed: `${line}: ${error.message}; at ${page.url()}` };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
} finally {
  await browser.close();
}
