import { weakenings } from './weakenings.mjs';

/** @type {import('./weakenings.mjs').Weakening | undefined} */
let weakening;

/** @param {string} name */
export function initialize(name) {
  weakening = weakenings[name];
  if (weakening === undefined) throw new Error(`there is no weakening ${name}`);
}

/** @type {import('node:module').LoadHook} */
export async function load(url, context, nextLoad) {
  const loaded = await nextLoad(url, context);
  const edits = weakening?.edits.filter(({ file }) => url.endsWith(file)) ?? [];
  if (edits.length === 0) return loaded;
  let source = String(loaded.source);
  for (const { file, from, to } of edits) {
    if (!source.includes(from)) throw new Error(`${file} does not contain what is to be weakened: ${from}`);
    source = source.replace(from, () => to);
  }
  return { ...loaded, source };
}
