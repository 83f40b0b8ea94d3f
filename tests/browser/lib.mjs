// Browser, checks and accessibility: what every test here needs.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--font-render-hinting=none'];

/** Every rule of WCAG 2.0 to 2.2, A and AA, and axe's best practices. */
const AXE_TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

export class Ledger {
  passed = 0;
  failed = 0;

  /** One check with a name; a thrown error is its failure. */
  async check(name, run) {
    try {
      await run();
      this.passed += 1;
      console.log(`ok   ${name}`);
    } catch (e) {
      this.failed += 1;
      console.log(`FAIL ${name}\n     ${String(e.message ?? e).split('\n').join('\n     ')}`);
    }
  }

  /** Prints the sum; returns the exit status. */
  close() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    return this.failed === 0 && this.passed > 0 ? 0 : 1;
  }
}

export function equal(found, wanted, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: found ${a}, wanted ${b}`);
}

export function ok(value, what) {
  if (!value) throw new Error(what);
}

/** Starts Chromium with an empty profile of its own; `close` removes it. */
export async function launch(base) {
  const profile = mkdtempSync(join(tmpdir(), 'waybill-browser-'));
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: FLAGS });
  const trouble = [];
  const host = new URL(base).host;

  /** A page in a context of its own that records every foreign request, error and policy violation. */
  async function open({ width = 1440, height = 900, scheme = 'light', script = true, errors = true } = {}) {
    const context = await browser.newContext({
      viewport: { width, height }, colorScheme: scheme, javaScriptEnabled: script, reducedMotion: 'reduce', baseURL: base,
      hasTouch: width < 500, permissions: script ? ['clipboard-read', 'clipboard-write'] : [],
    });
    const page = await context.newPage();
    // Generous: a loaded machine is slow, and a wait that ends early tells nothing.
    page.setDefaultTimeout(30_000);
    page.on('request', (r) => {
      const url = new URL(r.url());
      if (/^https?:|^wss?:/.test(url.protocol) && url.host !== host) trouble.push(`request to ${url.host}: ${r.url()}`);
    });
    page.on('pageerror', (e) => trouble.push(`script error on ${page.url()}: ${e.message}`));
    page.on('console', (m) => {
      // A 404 or 400 page is told to the console too: that is what those tests ask for.
      if (m.type() === 'error' && !(/Failed to load resource/.test(m.text()) && !errors)) trouble.push(`console on ${page.url()}: ${m.text()}`);
    });
    return page;
  }

  async function close() {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  }
  return { open, close, trouble };
}

/** No violation of any rule; each is told with the elements it stands on. */
export async function accessible(page) {
  // By a session of the debugger: the page's own policy forbids script that it did not bring.
  const session = await page.context().newCDPSession(page);
  const run = (expression) => session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
  await run(axeSource);
  const options = JSON.stringify({ runOnly: { type: 'tag', values: AXE_TAGS }, resultTypes: ['violations'] });
  const { result, exceptionDetails } = await run(`axe.run(document, ${options}).then((r) => JSON.stringify({
    rules: r.passes.length, violations: r.violations.map((v) => ({ id: v.id, help: v.help,
      nodes: v.nodes.slice(0, 5).map((n) => n.html.slice(0, 160) + ' :: ' + (n.failureSummary ?? '').replace(/\\s+/g, ' ').slice(0, 200)) })) }))`);
  await session.detach();
  if (exceptionDetails) throw new Error(`axe did not run: ${exceptionDetails.text}`);
  const { rules, violations } = JSON.parse(result.value);
  ok(rules > 10, `axe looked at ${rules} rules only`);
  if (violations.length) throw new Error(violations.map((v) => `${v.id}: ${v.help}\n${v.nodes.join('\n')}`).join('\n'));
}

/** The page is not wider than its window. */
export async function fits(page) {
  const [content, window_] = await page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
  ok(content <= window_, `content is ${content} px wide in a window of ${window_} px`);
}
