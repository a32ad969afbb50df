// A person's hands and eyes in a headless Chromium, see ../README.md.
// Comes in: what to do, by the names that a person (or a screen reader) sees. Goes out: `done`, and what a phone's camera would read.
// Must not call the gateway by itself, nor know any of its URLs beyond the page's own.
import { writeFile } from 'node:fs/promises';
import jsQR from 'jsqr';
import { chromium } from 'playwright-core';
import { PNG } from 'pngjs';
import { emit, required, serve } from '../shared/lines.mjs';

const PATIENCE_MS = 30_000;
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

const context = await chromium.launchPersistentContext(required('STATE_DIR'), {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: FLAGS,
  headless: true,
  viewport: { width: 1200, height: 900 },
});
context.setDefaultTimeout(PATIENCE_MS);
const page = context.pages()[0] ?? (await context.newPage());
page.on('pageerror', (error) => emit('error', { message: `the page threw: ${error.message}` }));
page.on('console', (line) => console.error(line.type(), line.text()));

/** The whole page, or the one element that `within` (CSS) names. */
const scope = ({ within }) => (within ? page.locator(within) : page);

async function open({ url, ref }) {
  await page.goto(url);
  emit('done', { ref });
}

async function fill({ label, text, ref, ...where }) {
  await scope(where).getByLabel(label, { exact: true }).fill(text);
  emit('done', { ref });
}

async function click({ button, ref, ...where }) {
  await scope(where).getByRole('button', { name: button, exact: true }).click();
  emit('done', { ref });
}

/** Waits until a text is visible, or until an element (CSS) is. */
async function see({ text, element, ref, ...where }) {
  const wanted = element ? page.locator(element) : scope(where).getByText(text);
  await wanted.first().waitFor({ state: 'visible' });
  emit('done', { ref });
}

/** Says whether an element (CSS) is absent now. */
async function missing({ element, ref }) {
  const count = await page.locator(element).count();
  if (count > 0) throw new Error(`${element} is on the page ${count} times`);
  emit('done', { ref });
}

/** Points a camera at the page until it reads a QR code other than `not`. */
async function scan({ not, ref }) {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    const { data, width, height } = PNG.sync.read(await page.screenshot());
    const code = jsQR(new Uint8ClampedArray(data), width, height);
    if (code?.data && code.data !== not) return emit('done', { ref, qr: code.data });
  }
  const images = await page.locator('img').evaluateAll((all) => all.map((image) => image.outerHTML.slice(0, 300)));
  throw new Error(`no QR code can be read on the page, which says: ${await page.innerText('body')} ${images.join(' ')}`);
}

async function screenshot({ path, ref }) {
  await writeFile(path, await page.screenshot({ fullPage: true }));
  emit('done', { ref, url: page.url() });
}

async function stop() {
  await context.close();
  process.exit(0);
}

await serve({ open, fill, click, see, missing, scan, screenshot, stop });
