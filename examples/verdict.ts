import type { Happening, What } from './happening.js';

/** What came of a run: a summary, and what must not have happened; no complaints if all is well. */
export interface Verdict {
  readonly summary: string;
  readonly complaints: readonly string[];
}

/** Goes through everything in the order in which it happened, whoever reported it first. */
export function judge(happenings: readonly Happening[], workers: readonly string[]): Verdict {
  const inOrder = [...happenings].sort((a, b) => a.atMs - b.atMs);
  const startMs = inOrder[0]?.atMs ?? 0;
  const at = ({ atMs }: Happening): string => `${((atMs - startMs) / 1_000).toFixed(2)} s`;
  const first = (...whats: readonly What[]): Happening | undefined => inOrder.find(({ what }) => whats.includes(what));

  const complaints = workers
    .filter((worker) => !inOrder.some((each) => each.worker === worker && each.what === 'joins'))
    .map((worker) => `${worker} did not join the group.`);
  complaints.push(...oneAtATime(inOrder, 'leads', ['leads no longer', 'is killed']));
  complaints.push(...oneAtATime(inOrder, 'takes the lock', ['releases the lock', 'loses the lock', 'is killed']));
  complaints.push(...onlyTheLeaderWorks(inOrder));

  const leader = first('leads');
  const blow = first('is cut off', 'is killed');
  const told = first('leads no longer');
  const next = inOrder.find(({ what, worker }) => what === 'leads' && worker !== leader?.worker);
  if (leader === undefined) complaints.push('Nobody was elected.');
  else if (blow === undefined) complaints.push('The leader was not taken out.');
  else if (next === undefined) complaints.push('Nobody took over.');
  if (leader === undefined || blow === undefined || next === undefined) return { summary: '', complaints };

  if (blow.what === 'is cut off' && told?.worker !== leader.worker) complaints.push(`${leader.worker} was not told.`);
  return {
    summary:
      `${leader.worker} led from ${at(leader)} on, with token ${leader.token}. It ${past(blow)} at ${at(blow)}` +
      `${told === undefined ? '' : `, was told at ${at(told)}`}; ` +
      `${next.worker} took over at ${at(next)}, with token ${next.token}.`,
    complaints,
  };
}

/** Whoever begins must find that the one before has ended, and get a greater token. */
function oneAtATime(inOrder: readonly Happening[], begin: What, ends: readonly What[]): readonly string[] {
  const complaints: string[] = [];
  let current: Happening | undefined;
  let lastToken = -1n;
  for (const each of inOrder) {
    if (each.what === begin) {
      const { worker, token = -1n } = each;
      if (current !== undefined) complaints.push(`${worker} ${begin}, but ${current.worker} did already.`);
      if (token <= lastToken)
        complaints.push(`${worker} ${begin} with token ${token}, which is not over ${lastToken}.`);
      current = each;
      lastToken = token;
    } else if (ends.includes(each.what) && each.worker === current?.worker) {
      current = undefined;
    }
  }
  return complaints;
}

function onlyTheLeaderWorks(inOrder: readonly Happening[]): readonly string[] {
  const complaints: string[] = [];
  const leaders = new Set<string>();
  for (const { worker, what } of inOrder) {
    if (what === 'leads') leaders.add(worker);
    if (what === 'leads no longer' || what === 'is killed') leaders.delete(worker);
    if (what === 'runs a job' && !leaders.has(worker)) complaints.push(`${worker} ran a job without leading.`);
  }
  return complaints;
}

function past({ what }: Happening): string {
  return what === 'is killed' ? 'was killed' : 'was cut off';
}
