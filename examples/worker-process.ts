import { connect } from 'conclave';
import type { Report } from './crew.js';
import { optionsFor } from './options.js';
import { work } from './worker.js';

/** One worker, as a process of its own: `worker-process.ts <url> <name>`, started by crew.ts. */
const [url = '', worker = ''] = process.argv.slice(2);
const backend = connect(url, optionsFor(url));

const tell = (report: Report): void => {
  process.send?.(report, undefined, undefined, () => {}); // nobody listens any more: nothing to do about it
};

const working = work(backend, worker).subscribe({
  next: (happening) => tell({ happening }),
  error: (error) => tell({ failure: String(error) }),
});

const leave = async (): Promise<void> => {
  working.unsubscribe();
  await backend.close();
  process.exit();
};

process.on('SIGINT', () => {}); // Ctrl+C ends the process that started this one, which disconnects
// Also when the process that started this one is killed.
process.once('disconnect', leave);
if (!process.connected) leave();
