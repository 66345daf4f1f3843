// Loaded into an actor before everything else: takes out of the library what CONCLAVE_WEAKENED names.
import { register } from 'node:module';

const name = process.env['CONCLAVE_WEAKENED'];
if (name !== undefined) register('./hooks.mjs', import.meta.url, { data: name });
