/*
 * Speaks conclave for the driver of tooz. Reads a call in each line, `{ id, coordinator, verb, args }`, and answers it when it
 * is done, with `{ id, result }` or `{ id, error: { name, message } }`. When its input ends it closes all backends.
 */
import { createInterface } from 'node:readline';
import { Coordinator } from './coordinator.js';

interface Call {
  readonly id: number;
  readonly coordinator: number | null;
  readonly verb: string;
  readonly args: readonly unknown[];
}

const coordinators = new Map<number, Coordinator>();
let made = 0;
let hasEnded = false;

async function connectOne(...given: Parameters<typeof Coordinator.connect>): Promise<number> {
  const coordinator = await Coordinator.connect(...given);
  const id = ++made;
  coordinators.set(id, coordinator);
  if (hasEnded) await closeOne(id, coordinator);
  return id;
}

async function closeOne(id: number, coordinator: Coordinator): Promise<void> {
  coordinators.delete(id);
  await coordinator.close();
}

function resultOf({ coordinator: id, verb, args }: Call): Promise<unknown> {
  if (id === null) return connectOne(...(args as Parameters<typeof Coordinator.connect>));
  const coordinator = coordinators.get(id);
  if (coordinator === undefined) throw new Error(`coordinator ${id} is closed`);
  if (verb === 'close') return closeOne(id, coordinator);
  const method: unknown = Reflect.get(coordinator, verb);
  if (typeof method !== 'function') throw new TypeError(`there is no ${verb}`);
  return method.apply(coordinator, args);
}

async function answer(call: Call): Promise<void> {
  const { id } = call;
  const say = (words: object): boolean => process.stdout.write(`${JSON.stringify({ id, ...words })}\n`);
  try {
    say({ result: await resultOf(call) });
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    say({ error: { name, message } });
  }
}

createInterface(process.stdin)
  .on('line', (line) => answer(JSON.parse(line)))
  .on('close', () => {
    hasEnded = true;
    for (const [id, coordinator] of coordinators) void closeOne(id, coordinator);
  });
