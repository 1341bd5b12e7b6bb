// A person at a browser: headless Chromium opens the page of an authorization server, logs in, consents
// and comes back.
//
//   node browser.mjs --clients DIR --port PORT --url URL [--user-code CODE] [--deny] [--shots DIR]
//
// `*.example.test` is the server on 127.0.0.1:PORT; no other name resolves. Writes one line of JSON:
// {finalUrl, title, text, pages}. With --shots there is a picture of each page.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    clients: { type: 'string' },
    port: { type: 'string' },
    url: { type: 'string' },
    'user-code': { type: 'string' },
    deny: { type: 'boolean', default: false },
    shots: { type: 'string' },
    timeout: { type: 'string', default: '30' },
  },
});

const { chromium } = createRequire(`${values.clients}/package.json`)('playwright-core');
const profile = mkdtempSync(join(tmpdir(), 'authsome-browser-'));
if (values.shots) mkdirSync(values.shots, { recursive: true });

const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.AUTHSOME_TEST_CHROMIUM ?? '/usr/bin/chromium',
  chromiumSandbox: false,
  ignoreHTTPSErrors: true,
  args: [
    '--disable-gpu',
    '--disable-background-networking',
    '--disable-dev-shm-usage',
    `--host-resolver-rules=MAP *.example.test:443 127.0.0.1:${values.port}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
  ],
});
try {
  const page = browser.pages()[0] ?? await browser.newPage();
  page.setDefaultTimeout(Number(values.timeout) * 1000);
  const pages = [];
  const seen = async () => {
    const title = await page.title();
    pages.push(title);
    if (values.shots) await page.screenshot({ path: join(values.shots, `${pages.length}.png`) });
    return title;
  };
  const press = async (name) => {
    await Promise.all([
      page.waitForEvent('framenavigated'),
      page.getByRole('button', { name, exact: true }).click(),
    ]);
    await page.waitForLoadState();
  };
  await page.goto(values.url);
  // One page after another, until there is one with nothing to do.
  for (let step = 0; step < 8; step += 1) {
    const title = await seen();
    if (title === 'Enter code') {
      await page.locator('[name=user_code]').fill(values['user-code']);
      await press('Continue');
    } else if (title === 'Confirm code') {
      await press('Continue');
    } else if (title === 'Sign in') {
      await page.getByLabel('Account').fill('ada');
      await page.getByLabel('Password').fill('correct horse');
      await press('Sign in');
    } else if (title === 'Authorize') {
      await press(values.deny ? 'Cancel' : 'Authorize');
    } else {
      break;
    }
  }
  process.stdout.write(`${JSON.stringify({
    finalUrl: page.url(), title: await page.title(), text: await page.innerText('body'), pages,
  })}\n`);
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
