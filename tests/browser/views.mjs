// Drives Rebuild and Quarantine: a view is built, compared, promoted and taken back by the page's own forms.
import { accessible, equal, fits, ok } from './lib.mjs';

const PHONE = { width: 390, height: 844 };
const LOOKS = [['light', {}], ['dark', { scheme: 'dark' }], ['phone', PHONE], ['phone-dark', { ...PHONE, scheme: 'dark' }]];

async function api(base, path) {
  const answer = await fetch(new URL(path, base));
  equal(answer.status, 200, `status of ${path}`);
  return answer.json();
}

/** The page in every look: readable, not wider than its window. */
async function looks({ open, shot }, path, name) {
  for (const [look, options] of LOOKS) {
    const page = await open(options);
    await page.goto(path);
    await fits(page);
    await accessible(page);
    await shot(page, `${name}-${look}`, look.startsWith('phone'));
    await page.context().close();
  }
}

async function until(what, test) {
  for (let i = 0; i < 240; i += 1) {
    if (await test()) return;
    await new Promise((done) => { setTimeout(done, 250); });
  }
  throw new Error(`waiting until ${what}`);
}

async function rebuild(tools) {
  const { base, check, open, shot } = tools;
  let number = 0;
  await check('rebuild: with nothing built the page says how to begin', async () => {
    await looks(tools, '/rebuild', 'rebuild-idle');
    const page = await open({ errors: false });
    await page.goto('/rebuild');
    await page.fill('#from', 'checkpoint:no-such');
    const [answer] = await Promise.all([page.waitForNavigation(), page.click('.form .btn.pri')]);
    equal(answer.status(), 400, 'status of a wrong place');
    ok(/no-such/.test(await page.locator('#notice').innerText()), 'what is wrong is not said');
    await accessible(page);
    await page.context().close();
  });
  await check('rebuild: a view is built by the form, without script', async () => {
    const page = await open({ script: false });
    await page.goto('/rebuild');
    await page.fill('#note', 'to see that it agrees');
    await page.click('.form .btn.pri');
    ok(/beside v1/.test(await page.locator('h1').innerText()), await page.locator('h1').innerText());
    number = (await api(base, '/v1/views')).views[0].number;
    await until('it was compared', async () => (await fetch(new URL(`/v1/views/${number}/compare`, base))).status === 200);
    await page.context().close();
  });
  await check('rebuild: the page says what the API says, and Promote is on', async () => {
    const page = await open();
    await page.goto('/rebuild');
    const report = await api(base, `/v1/views/${number}/compare`);
    equal(report.blue.log_hash, report.green.log_hash, 'log hash of a rebuild of the same log');
    const shown = await page.locator('.lane2 code').evaluateAll((all) => all.map((e) => e.title));
    equal(shown, [report.blue.log_hash, report.green.log_hash], 'hashes on the page');
    ok(await page.locator('button[data-to=P]').isEnabled(), 'Promote is off');
    await page.keyboard.press('Shift+P');
    equal(await page.evaluate(() => document.activeElement.dataset.to), 'P', 'focus after Shift P');
    equal((await api(base, '/v1/views')).serving, 1, 'a letter alone decided');
    await page.context().close();
    await looks(tools, '/rebuild', 'rebuild-compared');
  });
  await check('rebuild: promoted by the keyboard, and rolled back', async () => {
    const page = await open();
    await page.goto('/rebuild');
    await page.keyboard.press('Shift+P');
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    equal((await api(base, '/v1/views')).serving, number, 'the view that serves');
    ok(/promote/.test(await page.locator('#earlier').innerText()), 'the decision is not shown');
    await shot(page, 'rebuild-promoted-light');
    await accessible(page);
    await Promise.all([page.waitForNavigation(), page.click('#back .btn')]);
    equal((await api(base, '/v1/views')).serving, 1, 'the view that serves after going back');
    await page.context().close();
  });
  await check('rebuild: a form of another site is refused', async () => {
    const answer = await fetch(new URL('/rebuild', base), {
      method: 'POST', body: 'from=start', headers: { 'sec-fetch-site': 'cross-site' },
    });
    equal(answer.status, 403, 'status');
  });
}

async function quarantine(tools) {
  const { base, check, open, shot } = tools;
  const waiting = await api(base, '/v1/quarantine');
  await check('quarantine: the page adds up', async () => {
    await looks(tools, '/quarantine', 'quarantine-list');
    const page = await open();
    await page.goto('/quarantine');
    ok(/nothing lost/.test(await page.locator('#eq').innerText()), await page.locator('#eq').innerText());
    const listed = await page.locator('[data-list] .row').count();
    equal(listed, Math.min(waiting.length, 200), 'records listed');
    await page.context().close();
  });
  if (waiting.length === 0) return;
  await check('quarantine: keys lead to a record and to what decides', async () => {
    const page = await open();
    await page.goto('/quarantine');
    await page.keyboard.press('j');
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    ok(/quarantine\/.+\/\d+\/\d+/.test(page.url()), page.url());
    ok(await page.locator('.hex').isVisible(), 'no bytes');
    await Promise.all([page.waitForURL(/bytes=text/), page.keyboard.press('b')]);
    ok(await page.locator('.raw').isVisible(), 'no text');
    await page.keyboard.press('r');
    equal(await page.evaluate(() => document.activeElement.dataset.to), 'r', 'focus after r');
    await shot(page, 'quarantine-record-light');
    const path = new URL(page.url()).pathname;
    await page.context().close();
    await looks(tools, path, 'quarantine-record');
  });
  await check('quarantine: a value that would be refused stays to be mended; a record is discarded', async () => {
    const { evidence } = waiting.find((row) => row.state === 'refused');
    const path = `/quarantine/${evidence.topic}/${evidence.partition}/${evidence.offset}`;
    const page = await open({ errors: false });
    await page.goto(path);
    if (await page.locator('#value').count()) {
      await page.fill('#value', 'still "wrong');
      const [answer] = await Promise.all([page.waitForNavigation(), page.click('.form .btn.pri')]);
      equal(answer.status(), 422, 'status of a value that is refused');
      equal(await page.inputValue('#value'), 'still "wrong', 'the value that was written');
      await accessible(page);
    }
    await page.goto(path);
    await page.keyboard.press('x');
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    equal((await api(base, `/v1${path}`)).state, 'discarded', 'state');
    await page.context().close();
  });
}

/** All of it. */
export async function views(tools) {
  await quarantine(tools);
  await rebuild(tools);
}
