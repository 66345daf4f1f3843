import { answer } from '../processes/client-side.js';
import { peerCalls } from './peer-calls.js';
import type { Connect } from './quirks.js';

const [module = '', url = '', options = '{}'] = process.argv.slice(2);
const { connect }: { connect?: Connect } = await import(module);
if (typeof connect !== 'function') throw new Error(`${module} must export connect(url, options)`);
answer(peerCalls(connect(url, JSON.parse(options))));
