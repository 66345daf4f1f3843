import { failOnLeaks } from './fail-on-leaks.js';

/** What a client process can be asked to do. Arguments and results must survive the structured clone. */
export type Calls = Readonly<Record<string, (...args: never[]) => unknown>>;

export interface Request {
  readonly id: number;
  readonly call: string;
  readonly args: readonly unknown[];
}

export type FromClient =
  | { readonly kind: 'ready' }
  | { readonly kind: 'message'; readonly message: unknown }
  | { readonly kind: 'result'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: { name: string; message: string; stack: string } };

/** To be called once by the module that runs in the client process, when it is ready to be asked. */
export function answer(calls: Calls): void {
  failOnLeaks();
  process.on('message', ({ id, call, args }: Request) => {
    void perform(calls[call], call, args).then(
      (result) => send({ kind: 'result', id, result }),
      (error: unknown) => sendError(id, error),
    );
  });
  process.once('disconnect', () => process.exit());
  send({ kind: 'ready' });
}

/** Reports something that happened to the process that started this one. */
export function tell(message: unknown): void {
  send({ kind: 'message', message });
}

async function perform(action: Calls[string] | undefined, call: string, args: readonly unknown[]): Promise<unknown> {
  if (action === undefined) throw new Error(`this client has no call '${call}': add it to what answer() is given`);
  return (action as (...args: readonly unknown[]) => unknown)(...args);
}

function sendError(id: number, thrown: unknown): void {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const { name, message, stack = '' } = error;
  send({ kind: 'error', id, error: { name, message, stack } });
}

function send(message: FromClient): void {
  if (process.send === undefined)
    throw new Error('this module only runs as a client process: start it with spawnClient');
  process.send(message);
}
