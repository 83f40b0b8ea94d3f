// Fetches a page's fragment and puts in what differs. The previous answer stays until the new one is there.
let pending = null;

/** The same address, asking for a fragment. */
function fragmentOf(url) {
  const u = new URL(url, location.href);
  u.searchParams.set('fragment', '1');
  return u;
}

/** Remembers what has the focus, so that it can be given back to what takes its place. */
function focusKey() {
  const el = document.activeElement;
  if (!el || el === document.body) return null;
  if (el.id) return () => document.getElementById(el.id);
  const row = el.closest('[data-key]');
  if (!row) return null;
  const index = [...row.querySelectorAll('a')].indexOf(el);
  const key = CSS.escape(row.dataset.key);
  return () => {
    const again = document.querySelector(`[data-key="${key}"]`);
    return again && (index < 0 ? again : again.querySelectorAll('a')[index]);
  };
}

/** Makes the children of `old` those of `fresh`. Children are told apart by id; equal ones stay untouched. */
function patch(old, fresh, keep) {
  for (const a of [...old.attributes]) if (!fresh.hasAttribute(a.name)) old.removeAttribute(a.name);
  for (const a of fresh.attributes) if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value);
  const wanted = [...fresh.children];
  const ids = new Set(wanted.map((e) => e.id));
  for (const e of [...old.children]) if (!ids.has(e.id)) e.remove();
  let at = old.firstElementChild;
  for (const next of wanted) {
    const here = [...old.children].find((e) => e.id === next.id);
    if (!here) {
      old.insertBefore(next, at);
      continue;
    }
    if (here === at) at = at.nextElementSibling;
    else old.insertBefore(here, at);
    replace(here, next, keep);
  }
}

function replace(here, next, keep) {
  if (here.id === keep) {
    const label = document.getElementById('asof-label');
    const fresh = next.querySelector('#asof-label');
    if (label && fresh) label.innerHTML = fresh.innerHTML;
  } else if (here.hasAttribute('data-group')) {
    patch(here, next, keep);
  } else if (!same(here, next)) {
    // A live region speaks only when the element stays and its content changes.
    if (here.hasAttribute('aria-live')) here.replaceChildren(...next.childNodes);
    else swapIn(here, next);
  }
}

function swapIn(here, next) {
  for (const d of next.querySelectorAll('details[id]')) {
    const before = document.getElementById(d.id);
    if (before instanceof HTMLDetailsElement) d.open = before.open;
  }
  here.replaceWith(next);
}

/** Equal but for what script itself has set. */
function same(a, b) {
  const clean = (e) => {
    const c = e.cloneNode(true);
    for (const r of c.querySelectorAll('.row')) { r.removeAttribute('aria-current'); r.removeAttribute('tabindex'); }
    for (const d of c.querySelectorAll('details')) d.removeAttribute('open');
    return c.outerHTML;
  };
  return clean(a) === clean(b);
}

/**
 * Loads `url` in place. Resolves to true when it is shown, false when a newer load took over.
 * `keep` is the id of an element that must not be replaced now (a slider being dragged).
 */
export async function load(url, { keep = '', quiet = false } = {}) {
  if (quiet && pending) return false;
  pending?.abort();
  const mine = pending = new AbortController();
  try {
    const answer = await fetch(fragmentOf(url), { signal: mine.signal, headers: { accept: 'text/html' } });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const doc = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const main = doc.getElementById('main');
    if (!main || mine.signal.aborted) return false;
    const focus = focusKey();
    for (const id of ['fresh', 'clock']) {
      const fresh = doc.getElementById(id);
      if (fresh) document.getElementById(id)?.replaceWith(fresh);
    }
    if (doc.title) document.title = doc.title;
    patch(document.getElementById('main'), main, keep);
    const again = focus?.();
    if (again && again !== document.activeElement) again.focus({ preventScroll: true });
    document.dispatchEvent(new CustomEvent('swapped'));
    return true;
  } catch (e) {
    if (e.name === 'AbortError') return false;
    throw e;
  } finally {
    if (pending === mine) pending = null;
  }
}
