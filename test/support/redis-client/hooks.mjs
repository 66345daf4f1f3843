import { missing, packageFor } from './packages.mjs';

/** @type {import('node:module').ResolveHook} */
export async function resolve(specifier, context, nextResolve) {
  const found = packageFor(specifier, context.parentURL);
  if (found === undefined) throw missing(specifier);
  return nextResolve(found, context);
}
