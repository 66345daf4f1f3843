import { type EventOf, isKind } from '../history.js';
import { type Interval, later, msToNs, nsToMs, overlap, total, without } from '../intervals.js';
import type { Reading, Violation } from './reading.js';

/** From joining to leaving, being dropped, or dying. */
interface Stay {
  readonly process: string;
  readonly group: string;
  readonly member: string;
  /** When the entry may have come to be in the store. */
  readonly earliest: bigint;
  /** When the member was told that it is one. */
  readonly from: bigint;
  readonly to: bigint;
}

interface View {
  readonly watcher: string;
  readonly group: string;
  readonly members: ReadonlySet<string>;
  readonly from: bigint;
  /** When the next view came, or the watcher ended. */
  readonly to: bigint;
}

/** Shorter than that nobody is missing: so far apart lie what happens and what a process writes down of it. */
const briefly = msToNs(100);

/**
 * What watchers see is true, give or take `toleranceMs` (the ttl and a second): no ghosts, nobody reported gone while
 * its session lives, nobody missing, no false empty set.
 */
export function checkMembership(reading: Reading, toleranceMs: number): Violation[] {
  const tolerance = msToNs(toleranceMs);
  const stays = staysOf(reading, tolerance);
  const arrivals = arrivalsOf(reading, tolerance);
  const losses = reading.losses.map((loss) => extended(loss, tolerance));
  return viewsOf(reading).flatMap((view) => {
    const inGroup = stays.filter(({ group }) => group === view.group);
    /** When the watcher could not know better. */
    const blind = [...reading.stops(view.watcher), ...reading.cuts(view.watcher)].map((cut) =>
      extended(cut, tolerance),
    );
    return [
      ...ghosts(view, [...inGroup, ...arrivals.filter((one) => one.group === view.group)], blind, tolerance),
      ...absent(view, inGroup, reading, losses, tolerance),
      ...missing(view, inGroup, reading, [...blind, ...losses], tolerance),
    ];
  });
}

function ghosts(view: View, stays: readonly Stay[], blind: readonly Interval[], tolerance: bigint): Violation[] {
  return [...view.members].flatMap((member): Violation[] => {
    const present = stays
      .filter((stay) => stay.member === member)
      .map(({ earliest, to }) => ({ from: earliest, to: to + tolerance }));
    const [ghost] = without(view, [...present, ...blind]);
    if (ghost === undefined) return [];
    const lasted = nsToMs(total([ghost]));
    const message = `${view.watcher} saw ${member} in ${view.group} for ${lasted} ms more than it may after its end`;
    return [{ claim: 'ghost', at: ghost.from, message }];
  });
}

/** At the moment when a view is given, it is one of the store's: whoever has been there all along is in it. */
function absent(
  view: View,
  stays: readonly Stay[],
  reading: Reading,
  losses: readonly Interval[],
  tolerance: bigint,
): Violation[] {
  const at = view.from;
  if (contains(losses, at)) return [];
  const gone = stays.filter((stay) => {
    if (view.members.has(stay.member) || at >= stay.to || at - tolerance < stay.from) return false;
    return !contains(reading.stops(stay.process), at);
  });
  if (view.members.size > 0 || gone.length === 0)
    return gone.map(({ member }) => ({
      claim: 'gone',
      at,
      message: `${view.watcher} was told that ${member} is not in ${view.group}, and it was`,
    }));
  const whole = gone.map(({ member }) => member).join(', ');
  const message = `${view.watcher} was told that nobody is in ${view.group}, and there was ${whole}`;
  return [{ claim: 'empty set', at, message }];
}

/** While nothing is broken, whoever has been there for the tolerance is in view. */
function missing(
  view: View,
  stays: readonly Stay[],
  reading: Reading,
  excused: readonly Interval[],
  tolerance: bigint,
): Violation[] {
  return stays.flatMap((stay): Violation[] => {
    if (view.members.has(stay.member)) return [];
    const certain = overlap(view, { from: stay.from + tolerance, to: stay.to });
    if (certain === undefined) return [];
    const own = [...reading.stops(stay.process), ...reading.cuts(stay.process)].map((cut) => extended(cut, tolerance));
    const [unseen] = without(certain, [...excused, ...own]);
    if (unseen === undefined || unseen.to - unseen.from < briefly) return [];
    const message = `${view.watcher} did not see ${stay.member} in ${view.group} for ${nsToMs(total([unseen]))} ms`;
    return [{ claim: 'missing', at: unseen.from, message }];
  });
}

function staysOf(reading: Reading, tolerance: bigint): Stay[] {
  const open = new Map<string, Stay>();
  const stays: Stay[] = [];
  const close = (key: string, to: bigint): void => {
    const stay = open.get(key);
    if (stay !== undefined) stays.push({ ...stay, to });
    open.delete(key);
  };
  for (const event of reading.history.filter(isKind('joined', 'left', 'dropped'))) {
    const { process, group, member, at } = event;
    const key = JSON.stringify([process, group, member]);
    close(key, at);
    if (event.kind === 'joined')
      open.set(key, { process, group, member, earliest: at - tolerance, from: at, to: reading.endAt });
  }
  for (const [key, { process }] of [...open]) close(key, reading.died.get(process) ?? reading.endAt);
  return stays;
}

/**
 * From asking to be a member, again after each loss, to being told that one is: whoever asks may be seen, unless it has
 * been cut off or stopped for longer than a session lives.
 */
function arrivalsOf(reading: Reading, tolerance: bigint): Stay[] {
  const arrivals: Stay[] = [];
  const asking = new Map<string, EventOf<'joining' | 'dropped'>>();
  const close = (key: string, to: bigint): void => {
    const begun = asking.get(key);
    asking.delete(key);
    if (begun === undefined) return;
    const { process, group, member, at } = begun;
    const away = [...reading.cuts(process), ...reading.stops(process)].filter((cut) => cut.to - cut.from > tolerance);
    for (const window of without({ from: at, to }, away))
      arrivals.push({ process, group, member, earliest: window.from, ...window });
  };
  for (const event of reading.history.filter(isKind('joining', 'joined', 'left', 'dropped'))) {
    const key = JSON.stringify([event.process, event.group, event.member]);
    close(key, event.at);
    if (event.kind === 'joining' || event.kind === 'dropped') asking.set(key, event);
  }
  for (const [key, { process }] of [...asking]) close(key, reading.died.get(process) ?? reading.endAt);
  return arrivals;
}

function viewsOf(reading: Reading): View[] {
  const last = new Map<string, View>();
  const views: View[] = [];
  const finish = (key: string, at: bigint): void => {
    const view = last.get(key);
    if (view !== undefined) views.push({ ...view, to: later(view.from, at) });
  };
  for (const { process, group, members, at } of reading.history.filter(isKind('saw'))) {
    const key = JSON.stringify([process, group]);
    finish(key, at);
    last.set(key, { watcher: process, group, members: new Set(members), from: at, to: reading.endAt });
  }
  for (const [key, view] of last) finish(key, watchedUntil(reading, view));
  return views;
}

function watchedUntil(reading: Reading, { watcher, group }: View): bigint {
  const stopped = reading.history.find(
    (event): event is EventOf<'unwatched'> =>
      event.kind === 'unwatched' && event.process === watcher && event.group === group,
  );
  return stopped?.at ?? reading.died.get(watcher) ?? reading.endAt;
}

function extended({ from, to }: Interval, by: bigint): Interval {
  return { from, to: to + by };
}

function contains(intervals: readonly Interval[], at: bigint): boolean {
  return intervals.some(({ from, to }) => from <= at && at <= to);
}
