// What every page does with script: theme, local times, copying a link, updates in place.
import { load } from './swap.js';
import { busy, isPast } from './asof.js';
import './keys.js';

const root = document.documentElement;
const dark = () => (root.dataset.theme ?? (matchMedia('(prefers-color-scheme:dark)').matches ? 'dark' : 'light')) === 'dark';
const buttons = document.querySelectorAll('.theme');
function nameTheme() {
  for (const b of buttons) {
    b.textContent = dark() ? 'Light' : 'Dark';
    b.setAttribute('aria-label', `${b.textContent} theme`);
  }
}
for (const b of buttons) {
  b.addEventListener('click', () => {
    root.dataset.theme = dark() ? 'light' : 'dark';
    try { localStorage.setItem('theme', root.dataset.theme); } catch { /* storage is off */ }
    nameTheme();
  });
}
matchMedia('(prefers-color-scheme:dark)').addEventListener('change', nameTheme);
nameTheme();

// Times are written in UTC; the reader's own time stands in the tooltip.
document.addEventListener('mouseover', (e) => {
  const t = e.target.closest?.('time[datetime*="T"]');
  if (t) t.title = `${new Date(t.dateTime).toLocaleString()} here`;
});

document.addEventListener('click', async (e) => {
  const a = e.target.closest?.('a[data-copy]');
  if (!a || !navigator.clipboard || e.metaKey || e.ctrlKey || e.shiftKey || e.button !== 0) return;
  e.preventDefault();
  const words = a.textContent;
  try { await navigator.clipboard.writeText(a.href); a.textContent = 'Copied'; } catch { location.assign(a.href); }
  setTimeout(() => { a.textContent = words; }, 1500);
});

// A page that shows now is asked again while it is looked at. When that fails the answer stays, with its age.
const EVERY = 5000;
let lost = null;
async function refresh() {
  const order = document.getElementById('main')?.dataset.page;
  const idle = !document.hidden && !isPast() && !busy() && !document.querySelector('dialog[open]');
  // What someone writes or is about to press stays as it is.
  const typing = /^(INPUT|TEXTAREA|BUTTON)$/.test(document.activeElement?.tagName) && document.activeElement.type !== 'range';
  const written = [...document.querySelectorAll('#main textarea, #main .form input')].some((f) => f.value !== f.defaultValue);
  if (['order', 'search', 'rebuild', 'quarantine'].includes(order) && idle && !typing && !written) {
    try {
      if (await load(location.href, { quiet: true })) lost = null;
    } catch {
      lost ??= new Date();
      const fresh = document.getElementById('fresh');
      const at = lost.toISOString().slice(11, 19);
      if (fresh) {
        fresh.className = 'fresh idle';
        fresh.innerHTML = '<svg class="g" aria-hidden="true"><use href="#g-idle"/></svg><span><b></b></span>';
        fresh.querySelector('b').textContent = `Not connected since ${at}Z`;
      }
    }
  }
  setTimeout(refresh, EVERY);
}
setTimeout(refresh, EVERY);
