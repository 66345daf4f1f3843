import {
  combineLatest,
  connect,
  delay,
  filter,
  ignoreElements,
  merge,
  type Observable,
  pairwise,
  take,
  takeLast,
  takeUntil,
  tap,
  timer,
} from 'rxjs';
import { type Crew, crewInThisProcess, crewOfProcesses, workers } from './crew.js';
import type { Happening } from './happening.js';
import { screenFor } from './screen.js';
import { judge } from './verdict.js';

const quietMs = 1_800;
/** From the start of this process to the end of the story, whatever happens. */
const limitMs = 13_000;

/** The crew works; when all have joined and one leads, that one is taken out; soon after another leads, it ends. */
function story(crew: Crew): Observable<Happening> {
  return crew.happening$.pipe(
    connect((happening$) => {
      const elected$ = happening$.pipe(filter(({ what }) => what === 'leads'));
      const joined$ = happening$.pipe(filter(({ what }) => what === 'joins'));
      const takenOut$ = combineLatest([elected$.pipe(take(1)), joined$.pipe(take(workers.length), takeLast(1))]).pipe(
        delay(quietMs),
        tap(([leader]) => crew.takeOut(leader.worker)),
        ignoreElements(),
      );
      const takenOver$ = elected$.pipe(
        pairwise(),
        filter(([before, after]) => before.worker !== after.worker),
        delay(quietMs),
      );
      return merge(happening$, takenOut$).pipe(takeUntil(merge(takenOver$, timer(limitMs - performance.now()))));
    }),
  );
}

/** Returns the exit code. */
async function main(url: string | undefined): Promise<number> {
  const crew = url === undefined ? crewInThisProcess() : await crewOfProcesses(url);
  console.log(`${crew.title}\n`);
  const happenings: Happening[] = [];
  const screen = screenFor(process.stdout, workers);
  try {
    await story(crew).forEach((happening) => {
      happenings.push(happening);
      screen.tell(happening);
    });
  } finally {
    screen.end();
    await crew.close();
  }
  const { summary, complaints } = judge(happenings, workers);
  if (summary !== '') console.log(`\n${summary}`);
  if (complaints.length > 0) console.error(`\nThat should not be: ${complaints.join(' ')}`);
  else console.log('Never two leaders, never two holders of the lock; each token was greater than the one before.');
  return complaints.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv[2]);
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
}
