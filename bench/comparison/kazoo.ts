import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { OtherClient } from '../../test/backends/zookeeper/other-client.js';
import type { Participant } from './participant.js';

const python = '/usr/bin/python3';
const program = fileURLToPath(new URL('kazoo-process.py', import.meta.url));
const isInstalled = existsSync(python) && existsSync('/usr/lib/python3/dist-packages/kazoo');
/** A hundred who wait are let in one after the other. */
const LIMIT_MS = 60_000;

/** Measures itself, in a process of its own with a thread for each contender: only figures cross over. */
export const kazoo: Participant = {
  name: 'kazoo, in a process of its own',
  open: async (url, clients) => {
    if (!isInstalled) return undefined;
    const process = new OtherClient(python, [program, new URL(url).host, String(clients)]);
    const ask = async (words: string): Promise<readonly string[]> => {
      process.say('kazoo', words);
      return (await process.next('kazoo', LIMIT_MS)).split(' ');
    };
    const [version = '?'] = await ask('version');
    return {
      version: `kazoo ${version}`,
      pairs: async (durationMs) => Number((await ask(`pairs ${durationMs}`))[0]),
      contend: async (durationMs) => {
        const [overlaps, ...sections] = (await ask(`contend ${durationMs}`)).map(Number);
        return { overlaps: overlaps ?? Number.NaN, sections };
      },
      line: async (waiters) => {
        await ask(`line ${waiters}`);
        return {
          handOver: async () => Number((await ask('hand-over'))[0]),
          end: async () => {
            await ask('end');
          },
        };
      },
      [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
    };
  },
};
