// Drives Search, Order, Quarantine and Rebuild in headless Chromium and compares the pages with the API.
//
//   node run.mjs BASE_URL [--shots DIR] [--order ID]
//
// Without --order the first order that the Search page lists is taken. Prints one line a check, then
// `N passed, N failed`; the exit status tells.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Ledger, accessible, equal, fits, launch, ok } from './lib.mjs';
import { views } from './views.mjs';

const { values: args, positionals } = parseArgs({
  allowPositionals: true, options: { shots: { type: 'string' }, order: { type: 'string' }, only: { type: 'string' } },
});
const base = positionals[0];
if (!base) {
  console.error('usage: node run.mjs BASE_URL [--shots DIR] [--order ID]');
  process.exit(2);
}
if (args.shots) mkdirSync(args.shots, { recursive: true });

const PHONE = { width: 390, height: 844 };
// Steps through the past that one run walks; an order under way may have hundreds.
const MAX_STEPS = 40;

const ledger = new Ledger();
const check = (name, run) => (args.only && !name.includes(args.only) ? undefined : ledger.check(name, run));
const { open, close, trouble } = await launch(base);

async function shot(page, name, fullPage = false) {
  if (args.shots) await page.screenshot({ path: join(args.shots, `${name}.png`), fullPage, animations: 'disabled' });
}

async function api(id, asOf) {
  const url = new URL(`/v1/track/${encodeURIComponent(id)}`, base);
  if (asOf) url.searchParams.set('as_of', asOf);
  const answer = await fetch(url);
  equal(answer.status, 200, `status of ${url}`);
  return answer.json();
}

/** What the page says, read from the words one sees and the values behind them. */
function said(page) {
  return page.evaluate(() => {
    const field = (name) => document.querySelector(`[data-field="${name}"]`);
    const date = (name) => field(name)?.querySelector(':scope > time')?.getAttribute('datetime') ?? null;
    const late = field('days_late');
    return {
      promised: date('promised'), estimated: date('estimated'), delivered: date('delivered'),
      days_late: late ? Number(late.dataset.value) : null, state: document.getElementById('main').dataset.state,
      words: { promised: field('promised').innerText, delivered: field('delivered').innerText, late: late?.innerText ?? null },
    };
  });
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');
function dayWords(iso) {
  const [y, m, d] = iso.slice(0, 10).split('-').map(Number);
  return `${d} ${MONTHS[m - 1]} ${y}`;
}

/** The page's answer equals the API's, in values and in words. */
function agrees(page, json) {
  const day = (v) => (v ? v.slice(0, 10) : null);
  for (const field of ['promised', 'estimated', 'delivered']) equal(page[field], day(json[field]), field);
  equal(page.state, json.state, 'state');
  equal(page.days_late, json.days_late ?? null, 'days_late');
  if (json.promised) ok(page.words.promised.startsWith(dayWords(json.promised)), `promise reads "${page.words.promised}"`);
  if (json.delivered) ok(page.words.delivered.startsWith(dayWords(json.delivered)), `delivered reads "${page.words.delivered}"`);
  if (json.days_late > 0) ok(page.words.late.includes(`${json.days_late} day`), `lateness reads "${page.words.late}"`);
}

const settled = (page, test, arg) => page.waitForFunction(test, arg, { timeout: 20_000 });
const hasMoment = (page, moment) => settled(page, (m) => {
  const at = document.getElementById('asof')?.dataset.at;
  return m === null ? at === undefined : Number(at) === m;
}, moment);

/**
 * The moments that the page steps through, oldest first, in milliseconds: each is the record time of a line of the
 * API's history. (The history has more: readings within their limits are no steps.)
 */
async function moments(page) {
  const steps = (await page.getAttribute('#asof', 'data-steps')).split(' ').filter(Boolean).map(Number);
  const told = new Set((await api(id)).history.map((h) => Date.parse(h.record_time)));
  ok(steps.length >= 2, `the order has ${steps.length} moments; nothing to walk`);
  equal(steps, [...steps].sort((a, b) => a - b), 'order of the steps');
  for (const step of steps) ok(told.has(step), `the API's history has nothing told at ${new Date(step).toISOString()}`);
  return steps;
}

// ---- Search ----------------------------------------------------------------------------------------------------

let id = args.order ?? null;

await check('search: the page stands and leads to orders', async () => {
  const page = await open();
  const answer = await page.goto('/');
  equal(answer.status(), 200, 'status');
  const policy = answer.headers()['content-security-policy'] ?? '';
  ok(/script-src 'self'/.test(policy) && !/script-src[^;]*unsafe/.test(policy), `policy: ${policy}`);
  equal(await page.locator('h1').count(), 1, 'headings of the first rank');
  ok(await page.locator('#sources tbody tr').count() > 0, 'no source is listed');
  ok(await page.locator('[data-list] a[data-open]').count() > 0, 'no order is listed');
  id ??= await page.locator('[data-list] a[data-open]').first().innerText();
  await shot(page, 'search-light');
  await page.context().close();
});

await check('search: keys find and open', async () => {
  const page = await open();
  await page.goto('/');
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  equal(await page.locator('.row[aria-current=true]').count(), 1, 'selected rows');
  await page.keyboard.press('/');
  equal(await page.evaluate(() => document.activeElement.id), 'q', 'focus after /');
  await page.keyboard.type('jk[]?g');
  equal(await page.inputValue('#q'), 'jk[]?g', 'letters typed into the field');
  await page.keyboard.press('Escape');
  equal(await page.evaluate(() => document.activeElement.tagName), 'BODY', 'focus after Esc');
  await page.fill('#q', id);
  await Promise.all([page.waitForURL(/q=/), page.keyboard.press('Enter')]);
  await page.locator('#main').waitFor();
  await shot(page, 'search-results-light');
  await page.goto('/');
  await page.keyboard.press('j');
  await Promise.all([page.waitForURL(/\/orders\//), page.keyboard.press('o')]);
  await page.context().close();
});

await check('search: nothing found says what was looked in', async () => {
  const page = await open();
  await page.goto('/?q=no-such-thing-4711');
  const text = await page.locator('#results').innerText();
  ok(/no-such-thing-4711/.test(text) && /Looked in \d/.test(text), text);
  await shot(page, 'search-none-light');
  await accessible(page);
  await page.context().close();
});

// ---- Order -----------------------------------------------------------------------------------------------------

const path = () => `/orders/${encodeURIComponent(id)}`;

await check('order: the page says what the API says', async () => {
  const page = await open();
  // Events may arrive between the two questions: ask again then.
  for (let attempt = 1; ; attempt += 1) {
    await page.goto(path());
    try {
      agrees(await said(page), await api(id));
      break;
    } catch (e) {
      if (attempt === 3) throw e;
    }
  }
  ok((await page.locator('#answer').innerText()).length > 10, 'no sentence');
  equal(await page.locator('#facts > div').count(), 6, 'facts');
  ok(await page.locator('.rug i').count() > 0, 'no tick on the strip');
  ok(await page.locator('#timeline .ev').count() > 0, 'no evidence in the timeline');
  await shot(page, 'order-light');
  await shot(page, 'order-light-full', true);
  await page.context().close();
});

await check('order: [ and ] walk from record to record, each equal to the API', async () => {
  const page = await open();
  await page.goto(path());
  const all = await moments(page);
  await page.evaluate(() => { window.stayed = true; });
  const back = all.slice(0, -1).reverse().slice(0, MAX_STEPS);
  for (const moment of back) {
    await page.keyboard.press('[');
    await hasMoment(page, moment);
    const asOf = new URL(page.url()).searchParams.get('as_of');
    equal(Date.parse(asOf), moment, 'moment in the address');
    agrees(await said(page), await api(id, asOf));
    ok(await page.locator('main[data-past] .pastbar').isVisible(), 'no band says that this is the past');
  }
  for (const moment of [...back].reverse().slice(1)) {
    await page.keyboard.press(']');
    await hasMoment(page, moment);
  }
  await page.keyboard.press(']');
  await hasMoment(page, null);
  equal(new URL(page.url()).searchParams.get('as_of'), null, 'moment in the address of now');
  ok(await page.evaluate(() => window.stayed), 'the page was loaded anew');
  await page.context().close();
});

await check('order: rapid keys step on, Esc returns to now', async () => {
  const page = await open();
  await page.goto(path());
  const all = await moments(page);
  const steps = Math.min(4, all.length - 1);
  for (let i = 0; i < steps; i += 1) await page.keyboard.press('[');
  await hasMoment(page, all[all.length - 1 - steps]);
  await page.keyboard.press('Escape');
  await hasMoment(page, null);
  await page.context().close();
});

await check('order: the slider is a slider, spoken and by keys', async () => {
  const page = await open();
  await page.goto(path());
  const all = await moments(page);
  await page.focus('#asof');
  await page.keyboard.press('ArrowLeft');
  await hasMoment(page, all[all.length - 2]);
  equal(await page.evaluate(() => document.activeElement.id), 'asof', 'focus after a step');
  const spoken = await page.getAttribute('#asof', 'aria-valuetext');
  ok(/\d{4}, \d\d:\d\d(:\d\d)?Z, \d+ facts? known/.test(spoken), `spoken: ${spoken}`);
  const box = await page.locator('#asof').boundingBox();
  await page.mouse.move(box.x + box.width - 8, box.y + box.height / 2);
  const thumb = await page.evaluate(() => { const r = document.getElementById('asof'); return (r.value - r.min) / (r.max - r.min); });
  await page.mouse.move(box.x + 8 + (box.width - 16) * thumb, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.4, box.y + box.height / 2, { steps: 6 });
  await page.mouse.up();
  await settled(page, () => document.getElementById('asof').dataset.at !== undefined && !document.getElementById('main').dataset.busy);
  await page.waitForTimeout(300);
  const at = Number(await page.getAttribute('#asof', 'data-at'));
  equal(Date.parse(new URL(page.url()).searchParams.get('as_of')), at, 'moment dragged to');
  agrees(await said(page), await api(id, new Date(at).toISOString()));
  await page.context().close();
});

await check('order: a past moment has its look, its table and no later fact', async () => {
  const page = await open();
  await page.goto(path());
  const all = await moments(page);
  const moment = new Date(all[Math.floor((all.length - 1) * 0.6)]).toISOString();
  await page.goto(`${path()}?as_of=${moment}`);
  agrees(await said(page), await api(id, moment));
  ok(await page.locator('#thennow').isVisible(), 'no table of then and now');
  const later = await page.$$eval('.tl .row', (rows, t) => rows.filter((r) => Number(r.dataset.told) > t).length, Date.parse(moment));
  equal(later, 0, 'later facts shown');
  await shot(page, 'order-past-light');
  await accessible(page);
  await page.context().close();
});

await check('order: works without script', async () => {
  const page = await open({ script: false });
  await page.goto(path());
  const all = await moments(page);
  const before = await page.locator('#asof-prev').getAttribute('href');
  equal(Date.parse(new URL(before, base).searchParams.get('as_of')), all[all.length - 2], 'step back');
  await page.click('#asof-prev');
  ok(/as_of=/.test(page.url()) && await page.locator('.pastbar').isVisible(), 'the link did not lead to the past');
  await page.click('.pastbar a');
  ok(!/as_of=/.test(page.url()), 'the way back');
  equal(await page.locator('.js:visible').count(), 0, 'controls that need script');
  await page.goto('/');
  await page.fill('#q', id);
  await page.keyboard.press('Enter');
  await page.waitForURL(/q=/);
  await page.context().close();
});

await check('order: j, k and Enter go through the timeline; ? lists the keys; letters can be switched off', async () => {
  const page = await open();
  await page.goto(path());
  // Also of a row that names another subject, with a link: that is what `o` opens.
  const other = await page.locator('.tl .row').evaluateAll((rows) => rows.findIndex((row) => row.querySelector('a[data-open]')));
  ok(other >= 0, 'no row names another subject');
  for (let i = 0; i <= other; i += 1) await page.keyboard.press('j');
  const there = await page.locator('.tl .row').nth(other).getAttribute('data-told');
  await page.keyboard.press('Enter');
  await hasMoment(page, Number(there));
  await page.goto(path());
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('k');
  equal(await page.locator('.tl .row').first().getAttribute('aria-current'), 'true', 'first row');
  const told = await page.locator('.tl .row').first().getAttribute('data-told');
  await page.keyboard.press('Enter');
  await hasMoment(page, Number(told));
  equal(await page.locator('.tl .row[aria-current=true]').count(), 1, 'selection after the swap');
  await page.keyboard.press('?');
  ok(await page.locator('dialog#keys').isVisible(), 'the list of keys');
  await shot(page, 'keys-light');
  await page.uncheck('#letters');
  await page.click('dialog#keys .btn');
  const url = page.url();
  await page.keyboard.press('[');
  await page.waitForTimeout(200);
  equal(page.url(), url, 'address after a letter that is off');
  await page.context().close();
});

await check('order: the link to this moment is copied', async () => {
  const page = await open();
  await page.goto(path());
  await page.click('[data-copy]');
  await settled(page, () => document.querySelector('[data-copy]').textContent === 'Copied');
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  ok(/\/orders\/.*as_of=\d{4}-/.test(copied), copied);
  await page.context().close();
});

await check('order: when the service is gone the answer stays, with its age', async () => {
  const page = await open({ errors: false });
  await page.goto(path());
  const sentence = await page.locator('#answer').innerText();
  await page.route('**/*fragment=1*', (r) => r.abort());
  await settled(page, () => /Not connected since/.test(document.getElementById('fresh').innerText)).catch(() =>
    page.waitForFunction(() => /Not connected since/.test(document.getElementById('fresh').innerText), null, { timeout: 20_000 }));
  equal(await page.locator('#answer').innerText(), sentence, 'sentence');
  await shot(page, 'order-lost-light');
  await page.unroute('**/*fragment=1*');
  await page.waitForFunction(() => !/Not connected/.test(document.getElementById('fresh').innerText), null, { timeout: 30_000 });
  await page.context().close();
});

// ---- problems --------------------------------------------------------------------------------------------------

await check('problems: an unknown order is a page with status 404', async () => {
  const page = await open({ errors: false });
  const answer = await page.goto('/orders/NO-SUCH-ORDER-4711');
  equal(answer.status(), 404, 'status');
  ok(/NO-SUCH-ORDER-4711/.test(await page.locator('#main').innerText()), 'the id is named');
  await shot(page, 'not-found-light');
  await accessible(page);
  await page.context().close();
});

await check('problems: a bad moment is a page with status 400', async () => {
  const page = await open({ errors: false });
  const answer = await page.goto(`${path()}?as_of=tuesday`);
  equal(answer.status(), 400, 'status');
  await accessible(page);
  await page.context().close();
});

// ---- looks -----------------------------------------------------------------------------------------------------

for (const scheme of ['light', 'dark']) {
  await check(`accessibility: search and order, ${scheme}`, async () => {
    const page = await open({ scheme });
    await page.goto('/');
    await accessible(page);
    await shot(page, `search-${scheme}`);
    await page.goto(path());
    await accessible(page);
    await shot(page, `order-${scheme}`);
    await page.context().close();
  });
  await check(`phone: search and order, ${scheme}`, async () => {
    const page = await open({ ...PHONE, scheme });
    await page.goto('/');
    await fits(page);
    await accessible(page);
    await shot(page, `search-phone-${scheme}`, true);
    await page.goto(path());
    await fits(page);
    await accessible(page);
    await shot(page, `order-phone-${scheme}`);
    await shot(page, `order-phone-${scheme}-full`, true);
    await page.click('#asof-prev');
    await settled(page, () => document.getElementById('main').hasAttribute('data-past'));
    await fits(page);
    await accessible(page);
    await shot(page, `order-phone-past-${scheme}`);
    await page.context().close();
  });
}

await check('looks: nothing is wider than its window from 320 to 1920 px', async () => {
  for (const width of [320, 480, 640, 768, 961, 1181, 1920]) {
    const page = await open({ width });
    for (const at of ['/', `/?q=${encodeURIComponent(id)}`, path(), '/rebuild', '/quarantine']) {
      await page.goto(at);
      await fits(page).catch((e) => { throw new Error(`${at}: ${e.message}`); });
    }
    await page.context().close();
  }
});

await check('looks: a chosen theme is kept', async () => {
  const page = await open({ scheme: 'light' });
  await page.goto('/');
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.click('.top .theme');
  const dark = await ground();
  ok(light !== dark, 'the ground did not change');
  await page.goto(path());
  equal(await ground(), dark, 'ground of the next page');
  await page.context().close();
});

await views({ base, check, open, shot });

await check('network: nothing left the host, no script error, no policy violation', () => equal(trouble, [], 'trouble'));

await close();
process.exit(ledger.close());
