// Opens pages of the dashboard in headless Chromium, as light and dark, wide and narrow as asked,
// and checks each with axe-core.
//
//   node look.mjs --open LINK [--modules DIR] [--chromium FILE] [--shots DIR]
//                 [--schemes light,dark] [--widths 1280,390] [URL|PATH]...
//
// LINK     a one-time link (`authsome ui`); the browser is signed in by it
// DIR      where `npm install playwright-core axe-core` was run (else: the current directory)
// URL      a page; a path is one of LINK's host. None: they are read from standard input, one a line
//
// Standard output: one JSON array, an object for each page, scheme and width:
//   { url, scheme, width, status, title, overflow, violations: [{ id, impact, help, nodes }],
//     errors: [text], screenshot }
// `overflow`: does the page scroll sideways? `errors`: what the browser's console complained about,
// refusals by the Content-Security-Policy included.
//
// Exit status: 0 nothing serious; 1 a serious or critical violation, an error or an overflow;
// 2 wrong usage or no browser.

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

import { check, SERIOUS } from "./check.mjs";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"];

function usage(text) {
  process.stderr.write(`look.mjs: ${text}\n`);
  process.exit(2);
}

function options() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      open: { type: "string" },
      modules: { type: "string", default: "." },
      chromium: { type: "string", default: "/usr/bin/chromium" },
      shots: { type: "string" },
      schemes: { type: "string", default: "light" },
      widths: { type: "string", default: "1280" },
    },
  });
  if (!values.open) usage("--open LINK is missing");
  const typed = positionals.length ? positionals : readFileSync(0, "utf8").split("\n");
  const pages = typed.map((page) => page.trim()).filter(Boolean);
  return {
    ...values,
    urls: pages.map((page) => new URL(page, values.open).href),
    schemes: values.schemes.split(","),
    widths: values.widths.split(",").map(Number),
  };
}

/** Looks at one page. */
async function look(context, axe, url, scheme, width, shots) {
  const page = await context.newPage();
  const errors = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.setViewportSize({ width, height: 900 });
  await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
  // Not "networkidle": a live view never is.
  const answer = await page.goto(url, { waitUntil: "load" });
  const { overflow, violations } = await check(page, axe);
  let screenshot = null;
  if (shots) {
    const { pathname, search } = new URL(url);
    const name = (pathname + search).replaceAll(/[^a-z0-9]+/gi, "-").replaceAll(/^-|-$/g, "");
    screenshot = join(shots, `${name || "overview"}-${scheme}-${width}.png`);
    await page.screenshot({ path: screenshot, fullPage: true });
  }
  const title = await page.title();
  await page.close();
  return {
    url, scheme, width, status: answer?.status() ?? null, title, overflow, violations, errors,
    screenshot,
  };
}

const wanted = options();
const require = createRequire(join(resolve(wanted.modules), "package.json"));
const { chromium } = require("playwright-core");
const axe = require("axe-core");
if (wanted.shots) mkdirSync(wanted.shots, { recursive: true });

const browser = await chromium
  .launch({ executablePath: wanted.chromium, headless: true, args: FLAGS })
  .catch((error) => usage(`no browser: ${error.message}`));
const looks = [];
try {
  const context = await browser.newContext();
  const door = await context.newPage();
  await door.goto(wanted.open);
  await door.waitForURL((url) => !url.pathname.startsWith("/open/"));
  await door.close();
  for (const url of wanted.urls) {
    for (const scheme of wanted.schemes) {
      for (const width of wanted.widths) {
        looks.push(await look(context, axe, url, scheme, width, wanted.shots));
      }
    }
  }
} finally {
  await browser.close();
}
process.stdout.write(`${JSON.stringify(looks, null, 2)}\n`);
const bad = ({ violations, errors, overflow }) =>
  overflow || errors.length || violations.some(({ impact }) => SERIOUS.has(impact));
process.exitCode = looks.some(bad) ? 1 : 0;
